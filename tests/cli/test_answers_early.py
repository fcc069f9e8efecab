"""What a run's folder tells is said first: a refusal before anything is loaded, a resumption
before it goes on."""

import re
import shutil
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.files import write_json
from mmctr_kit.runs import FoldFolder
from tests.cli.test_commands import TRAIN, run


def cv(root: Path, runs: Path, *more: str, recipe: str = "din_demo") -> tuple[int, str, object]:
    command = ("cv", recipe, "--data", str(root / "data"), "--runs", str(runs), *TRAIN, *more)
    done = run(*command, "--set", "folds.count=2", "--jobs", "1")
    return done.exit_code, done.output, done.exception


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Path) -> NoReturn:
        raise AssertionError("the data was loaded")

    monkeypatch.setattr("mmctr_kit.challenge.load.load", load)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """A folder with one finished run, din_demo."""
    folder = tmp_path_factory.mktemp("early")
    code, output, _ = cv(tiny_root, folder)
    assert code == 0, output
    return folder


@pytest.mark.usefixtures("no_loading")
def test_a_name_taken_by_other_settings_is_refused_without_loading(
    tiny_root: Path, runs: Path
) -> None:
    _, _, error = cv(tiny_root, runs, "--set", "training.learning_rate=0.5")
    assert isinstance(error, RunError)
    assert "'din_demo' exists but differs in recipe (training.learning_rate: " in str(error)


@pytest.mark.usefixtures("no_loading")
def test_a_name_taken_by_a_blend_is_refused_without_loading(
    tiny_root: Path, tmp_path: Path
) -> None:
    manifest = {"kind": "blend", "rows": "r", "features": "f", "folds": "o", "recipe": "c"}
    (tmp_path / "din_demo").mkdir()
    write_json(tmp_path / "din_demo" / "manifest.json", manifest)
    _, _, error = cv(tiny_root, tmp_path)
    assert isinstance(error, RunError)
    assert "differs in kind (kind: blend there, cv now)" in str(error)


def test_force_and_a_dry_run_are_as_they_were_with_a_finished_run(
    tiny_root: Path, runs: Path
) -> None:
    code, output, _ = cv(tiny_root, runs, "--dry-run")
    assert code == 0, output
    assert "finished already" in output
    code, output, _ = cv(tiny_root, runs, "--dry-run", "--force", "--set", "seeds=[1]")
    assert code == 0, output
    assert "finished already" not in output


def test_of_several_recipes_those_that_are_finished_are_left_alone(
    tiny_root: Path, runs: Path
) -> None:
    command = ("cv", "din_demo", "din_demo_e4", "--data", str(tiny_root / "data"))
    done = run(*command, "--runs", str(runs), *TRAIN, "--set", "folds.count=2", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert re.search(r"din_demo\s+is finished already", done.output)
    assert re.search(r"din_demo_e4:?\s+OOF AUC", done.output)


def test_an_unfinished_run_says_in_one_line_where_it_goes_on(
    tiny_root: Path, runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "din_demo", tmp_path / "din_demo")
    (tmp_path / "din_demo" / "DONE").unlink()
    shutil.rmtree(tmp_path / "din_demo" / "folds" / "1-0")
    state = FoldFolder(tmp_path / "din_demo" / "folds" / "1-0")
    state.save_epoch([], {"epochs_done": np.array(0)}, {})  # nothing to go on from
    code, output, _ = cv(tiny_root, tmp_path, "--dry-run")
    assert code == 0, output
    assert "goes on" not in output
    shutil.rmtree(state.path)
    code, output, _ = cv(tiny_root, tmp_path)
    assert code == 0, output
    line = "din_demo goes on where it stopped: finished 1 of 2 (fold 0 seed 0)"
    assert output.splitlines()[0] == line
