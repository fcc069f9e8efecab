"""A run is removed whole, and never while a process is at work on it."""

import shutil
from pathlib import Path

import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.files import locked
from mmctr_kit.runs.remove import blends_of, remove_folder, require_idle, search_of
from mmctr_kit.runs.run import all_runs
from mmctr_kit.runs.writer import begin_run
from tests.runs.test_run import MANIFEST, finished
from tests.runs.unsealed import unsealed


def idle() -> bool:
    return False


def test_a_removed_run_is_gone_and_its_neighbours_are_not(tmp_path: Path) -> None:
    for name in ("x", "y"):
        finished(tmp_path / name)
    remove_folder(tmp_path / "x", idle)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".locks", "y"]


def test_a_kill_while_it_is_deleted_leaves_nothing_that_looks_like_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x", "y"):
        finished(tmp_path / name)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(tmp_path / "x", idle)
    assert not (tmp_path / "x").exists()
    assert [run.name for run in all_runs(tmp_path)] == ["y"]
    remove_folder(tmp_path / "y", idle)
    assert [p.name for p in tmp_path.iterdir()] == [".locks"]


def test_a_run_at_work_is_refused_and_stays_whole(tmp_path: Path) -> None:
    finished(tmp_path / "x")
    before = {p.name for p in (tmp_path / "x").iterdir()}
    with locked(tmp_path / "x"), pytest.raises(RunError, match="by another process"):
        remove_folder(tmp_path / "x", idle)
    with pytest.raises(RunError, match="'x' is in use: a process is at work on it"):
        remove_folder(tmp_path / "x", lambda: True)
    with locked(tmp_path / "x"), pytest.raises(RunError, match="is in use"):
        require_idle(tmp_path / "x", False)
    require_idle(tmp_path / "x", False)
    assert {p.name for p in (tmp_path / "x").iterdir()} == before


def test_a_link_to_a_run_is_removed_and_the_run_is_not(tmp_path: Path) -> None:
    finished(tmp_path / "far" / "x")
    (tmp_path / "x").symlink_to(tmp_path / "far" / "x")
    remove_folder(tmp_path / "x", idle)
    assert not (tmp_path / "x").exists()
    assert (tmp_path / "far" / "x" / "DONE").is_file()


def test_the_blends_of_a_run_or_of_what_it_lies_in_are_found(tmp_path: Path) -> None:
    finished(tmp_path / "mix")  # made of "a"
    assert [run.name for run in blends_of(tmp_path / "a", tmp_path)] == ["mix"]
    assert blends_of(tmp_path / "b", tmp_path) == []
    (unsealed(tmp_path / "mix") / "blend.json").write_text(
        '{"places": {"a": "s.study/finalists/a"}}'
    )
    assert blends_of(tmp_path / "a", tmp_path) == []
    assert [run.name for run in blends_of(tmp_path / "s.study", tmp_path)] == ["mix"]


def test_a_run_inside_a_study_or_an_ablation_is_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "s.study").mkdir()
    (tmp_path / "s.study" / "settings.json").write_text("{}")
    for path in ("s.study/finalists/trial-1", "a.ablate/base", "x"):
        begin_run(tmp_path / path, MANIFEST, None, False)
    assert search_of(tmp_path / "s.study" / "finalists" / "trial-1") == tmp_path / "s.study"
    assert search_of(tmp_path / "a.ablate" / "base") == tmp_path / "a.ablate"
    assert search_of(tmp_path / "x") is None
