"""Notes on runs save reading them again, and never outlive a change of a file."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit.data.cache import cache_folder
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.files import writing
from mmctr_kit.runs import notes as notes_module
from mmctr_kit.runs.leaderboard import LeaderboardRow, leaderboard
from mmctr_kit.runs.notes import notes_on
from mmctr_kit.runs.run import Run, all_runs
from mmctr_kit.submission.verdicts import check_runs, compact
from tests.runs.test_leaderboard import MANIFEST, made_up, write_run

READ = ("manifest.json", "metrics.json", "timings.json", "valid.parquet")
"""The files of a run that a list of runs is made from."""


@pytest.fixture(autouse=True)
def _own_cache_and_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own; files count as old at once."""
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(writing, "_TICK_NS", 0)


@pytest.fixture
def runs(tiny: ChallengeData, tmp_path: Path) -> Path:
    for name, signal in (("good", 2.0), ("middle", 1.0), ("worst", -1.0)):
        write_run(tmp_path / "runs", name, made_up(tiny, signal), replace(MANIFEST, kind="fit"))
    return tmp_path / "runs"


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    for name in ("predictions", "recipe", "recipe_content", "file"):
        monkeypatch.setattr(Run, name, fail)


def listed(runs: Path) -> list[LeaderboardRow]:
    return leaderboard(all_runs(runs))


def test_a_run_that_has_not_changed_is_not_read_again(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rules = listed(runs), check_runs(all_runs(runs), runs)
    forbid_reading(monkeypatch)
    assert listed(runs) == before
    assert [row.behind is None for row in before] == [True, False, False]
    assert check_runs(all_runs(runs), runs) == rules
    assert compact(rules["good"]) == "1? 2? 1&2?"


@pytest.mark.parametrize("name", [*READ, "DONE"])
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_a_file_that_changed_is_named_in_spite_of_the_notes(
    runs: Path, name: str, gone: bool
) -> None:
    listed(runs)
    path = runs / "middle" / name
    path.write_bytes(path.read_bytes()[:-1])
    if gone:
        path.unlink()
    state = {row.name: row.state for row in listed(runs)}
    assert state == {
        "good": "",
        "middle": "unfinished" if gone and name == "DONE" else "unreadable",
        "worst": "",
    }


def test_another_best_run_is_what_all_are_compared_with(runs: Path, tiny: ChallengeData) -> None:
    listed(runs)
    write_run(runs, "better", made_up(tiny, 3.0))
    noted = listed(runs)
    shutil.rmtree(cache_folder())
    assert noted == listed(runs)
    assert noted[0].name == "better"


def test_a_run_made_again_has_no_notes(runs: Path, tiny: ChallengeData) -> None:
    before = listed(runs)
    shutil.rmtree(runs / "worst")
    write_run(runs, "worst", made_up(tiny, -2.0))
    after = {row.name: row for row in listed(runs)}
    assert after["middle"] == before[1]
    assert after["worst"].valid != before[2].valid


@pytest.mark.parametrize("damaged", ["good", "middle"], ids=["the best", "another"])
def test_damage_that_changes_neither_size_nor_times_hides_no_other_run(
    runs: Path, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    monkeypatch.setattr(notes_module, "_stamp", lambda run: str(run.path))
    listed(runs)
    (runs / damaged / "valid.parquet").write_bytes(b"zeros")
    write_run(runs, "late", made_up(tiny, 4.0 if damaged == "middle" else 0.5))
    rows = {row.name: row for row in listed(runs)}
    assert rows.keys() == {"good", "middle", "worst", "late"}
    assert [row.name for row in rows.values() if row.state == "unreadable"] == [damaged]
    assert "valid.parquet was changed" in rows[damaged].progress
    assert rows["worst"].behind is not None


def test_notes_that_are_damaged_or_of_other_code_are_not_used(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listed(runs)
    (path,) = (cache_folder() / "runs").glob("*.json")
    text = path.read_text()
    path.write_text(text.replace('"kind": "fit"', '"kind": "cvs"', 1))
    assert path.read_text() != text
    assert listed(runs) == before
    monkeypatch.setattr(notes_module, "_code", lambda: "another")
    with notes_on(runs) as notes:
        assert notes.of(Run(runs / "good")) == {}


def test_without_a_cache_the_list_is_the_same(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listed(runs)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "file" / "cache"))
    assert listed(runs) == before


def test_a_file_of_this_moment_may_change_unnoticed_and_is_not_noted(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_TICK_NS", 10**15)
    with notes_on(runs) as notes:
        assert notes.stamp(Run(runs / "good")) is None
        notes.of(Run(runs / "good"))["row"] = 1
        assert notes.of(Run(runs / "good")) == {}


def test_notes_on_runs_that_were_removed_are_dropped(runs: Path) -> None:
    listed(runs)
    shutil.rmtree(runs / "worst")
    (runs / "middle" / "metrics.json").touch()
    listed(runs)
    (path,) = (cache_folder() / "runs").glob("*.json")
    assert "worst" not in path.read_text()
