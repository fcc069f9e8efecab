"""mmctr_kit.runs.conflict: a name is free, holds the same run, or is refused in one line."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.runs.conflict import changed_environment, is_finished, require_free
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import begin_run

MANIFEST = Manifest(
    kind="cv",
    rows="r",
    features="f",
    folds="o",
    recipe="c",
    seeds=(0, 1),
    sources=("a",),
    environment={"torch": "2.13.0", "threads": 1},
)
ELSEWHERE = replace(MANIFEST, environment={"torch": "2.13.0", "threads": 4})


def finished(path: Path) -> None:
    begin_run(path, MANIFEST, "name: x\n", False)
    (path / "DONE").write_text("done\n")


def test_a_name_is_free_if_nothing_has_it(tmp_path: Path) -> None:
    assert not is_finished(tmp_path / "x", MANIFEST, False)
    require_free(tmp_path / "x", {"kind": "cv"}, False)


def test_what_is_known_beforehand_decides_as_far_as_it_goes(tmp_path: Path) -> None:
    begin_run(tmp_path / "x", MANIFEST, RECIPE.format(file="a", epochs=5), False)
    require_free(tmp_path / "x", {"kind": "cv"}, False, RECIPE.format(file="a", epochs=5))
    with pytest.raises(RunError, match="exists but is a cv run"):
        require_free(tmp_path / "x", {"kind": "blend"}, False)
    with pytest.raises(RunError, match=r"differs in recipe \(training.epochs: 5 there, 3 now\)"):
        require_free(tmp_path / "x", {"kind": "cv"}, False, RECIPE.format(file="a", epochs=3))
    require_free(tmp_path / "x", {"kind": "blend"}, True)


def test_the_environment_matters_until_a_run_is_finished(tmp_path: Path) -> None:
    begin_run(tmp_path / "x", MANIFEST, None, False)
    run = Run(tmp_path / "x")
    assert changed_environment(run, MANIFEST) == []
    assert changed_environment(run, ELSEWHERE) == ["threads 1 -> 4"]
    (run.path / "DONE").write_text("done\n")
    assert changed_environment(run, ELSEWHERE) == []


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        ("rows", "z", "rows"),
        ("features", "z", "item features"),
        ("folds", "z", "folds"),
        ("recipe", "z", "recipe"),
        ("seeds", (0,), r"seeds \(0, 1 there; 0 now\)"),
        ("sources", ("a", "b"), r"the runs it blends \(a there; a, b now\)"),
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_a_different_run_of_that_name_is_refused_by_what_differs_and_replaced_by_force(
    tmp_path: Path, part: str, value: Any, told: str, done: bool
) -> None:
    path = tmp_path / "x"
    if done:
        finished(path)
    else:
        begin_run(path, MANIFEST, None, False)
    other = replace(MANIFEST, **{part: value})
    with pytest.raises(RunError, match=f"exists but differs in {told}; .*--force"):
        begin_run(path, other, None, False)
    assert Run(path).finished == done
    writer = begin_run(path, other, None, True)
    assert writer is not None
    assert Run(path).manifest == other
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "timings.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("kind", "told"), [("cv", "a cv run"), ("blend", "a blend"), ("imported", "an import")]
)
def test_a_run_of_another_kind_is_refused_as_what_it_is(
    tmp_path: Path, kind: Any, told: str
) -> None:
    begin_run(tmp_path / "x", replace(MANIFEST, kind=kind), None, False)
    other = replace(MANIFEST, kind="cv" if kind == "blend" else "blend", recipe="z")
    with pytest.raises(RunError, match=f"^run 'x' exists but is {told}; choose another --name"):
        begin_run(tmp_path / "x", other, None, False)


def test_force_makes_the_same_run_again(tmp_path: Path) -> None:
    finished(tmp_path / "x")
    assert is_finished(tmp_path / "x", MANIFEST, False)
    assert not is_finished(tmp_path / "x", MANIFEST, True)
    assert begin_run(tmp_path / "x", MANIFEST, None, True) is not None
    assert not Run(tmp_path / "x").finished


def _a_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").touch()


def _an_empty_folder(path: Path) -> None:
    path.mkdir()


def _a_file(path: Path) -> None:
    path.write_text("mine")


def _a_folder_with_another_manifest(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_text('{"name": "a web app", "icons": []}')


def _a_folder_with_a_broken_manifest(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_bytes(b"\xff{")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        _a_folder,
        _an_empty_folder,
        _a_file,
        _a_folder_with_another_manifest,
        _a_folder_with_a_broken_manifest,
    ],
)
def test_what_is_no_run_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], None], force: bool
) -> None:
    path = tmp_path / "x"
    make(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match="x") as caught:
        begin_run(path, MANIFEST, None, force)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unfinished_run_is_not_finished_elsewhere(tmp_path: Path) -> None:
    begin_run(tmp_path / "x", MANIFEST, None, False)
    elsewhere = replace(MANIFEST, environment={"torch": "2.13.0", "threads": 4})
    with pytest.raises(RunError, match=r"begun elsewhere \(threads 1 -> 4\)"):
        begin_run(tmp_path / "x", elsewhere, None, False)


RECIPE = "name: x\nitems:\n  embedding: file\n  file: {file}\ntraining:\n  epochs: {epochs}\n"


def refused(path: Path, recipe_yaml: str) -> str:
    with pytest.raises(RunError) as caught:
        begin_run(path, replace(MANIFEST, recipe="other"), recipe_yaml, False)
    return str(caught.value)


def test_another_recipe_is_refused_by_the_settings_that_differ(tmp_path: Path) -> None:
    begin_run(tmp_path / "x", MANIFEST, RECIPE.format(file="a", epochs=5), False)
    told = refused(tmp_path / "x", RECIPE.format(file="b", epochs=3))
    assert "differs in recipe (training.epochs: 5 there, 3 now); choose another --name" in told


def test_equal_settings_of_another_fingerprint_are_another_versions(tmp_path: Path) -> None:
    """An item file counts by its content, so that where it lies is no difference."""
    begin_run(tmp_path / "x", MANIFEST, RECIPE.format(file="a", epochs=5), False)
    told = refused(tmp_path / "x", RECIPE.format(file="b", epochs=5))
    assert "(not its settings: another version of mmctr-kit)" in told


def test_a_run_of_another_teacher_says_what_may_differ(tmp_path: Path) -> None:
    recipes = ["items: {}\ntraining:\n  teacher: " + teacher for teacher in ("a", "b", "null")]
    begin_run(tmp_path / "x", MANIFEST, recipes[0], False)
    assert "or what its training.teacher predicts" in refused(tmp_path / "x", recipes[1])
    assert "training.teacher: some there, None now" in refused(tmp_path / "x", recipes[2])


@pytest.mark.parametrize("damaged", ["", "a: [", "- 1", "name: x\n"])
def test_a_damaged_recipe_names_no_setting(tmp_path: Path, damaged: str) -> None:
    begin_run(tmp_path / "x", MANIFEST, damaged, False)
    assert "differs in recipe; choose" in refused(tmp_path / "x", RECIPE.format(file="a", epochs=5))
