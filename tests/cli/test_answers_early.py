"""What a run's folder tells is said first: a refusal before anything is loaded, a resumption
before it goes on."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from mmctr_kit import __version__
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import MmctrKitError, RunError
from mmctr_kit.files import write_json
from mmctr_kit.recipe import load_recipe
from mmctr_kit.recipe.space import search_of
from mmctr_kit.runs.fold_folder import FoldFolder
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import begin_run
from tests.cli.conftest import TRAIN, run


def cv(root: Path, runs: Path, *more: str, recipe: str = "din_demo") -> tuple[int, str, object]:
    command = ("cv", recipe, "--data", str(root / "data"), "--runs", str(runs), *TRAIN, *more)
    done = run(*command, "--set", "folds.count=2", "--jobs", "1")
    return done.exit_code, done.output, done.exception


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Path) -> NoReturn:
        raise AssertionError("the data was loaded")

    monkeypatch.setattr("mmctr_kit.data.load.load", load)


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
    assert "run 'din_demo' exists but is a blend; choose another --name" in str(error)


MISTAKES = [
    ("ablate", ("--set", "training.epochs=9"), r"'base' .* differs in recipe \(training.epochs: "),
    ("ablate", ("--only", "see-off"), r"no variant 'see-off' \(did you mean se-off\?\)"),
    ("ablate", ("--skip", "*"), r"no variant is left \(--skip\)"),
    ("ablate", ("--name", "../x"), "'../x': expected letters"),
    ("ablate", ("--name", "run"), "run.ablate is a run; choose another --name"),
    (
        "tune",
        ("--set", "training.epochs=9"),
        r"differs in recipe \(training.epochs: 10 there, 9 now",
    ),
    ("tune", ("--set", "search={training.epochs: {int: [1, 3]}}"), "differs in search"),
    ("tune", ("--name", "notes"), "notes.study exists and is no study"),
    ("tune", ("--name", "../x"), "'../x': expected letters"),
    (
        "tune",
        ("--set", "search={items.embedding: {choice: [text]}, model.fusion: {choice: [gated]}}"),
        "search.model.fusion does nothing while items.embedding is text",
    ),
]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where an ablation and a study of din_mha_demo were begun, and other things lie."""
    folder, recipe = tmp_path_factory.mktemp("taken"), load_recipe("din_mha_demo")
    manifest = Manifest("cv", "r", "f", "o", "c", recipe.seeds)
    begin_run(folder / "din_mha_demo.ablate" / "base", manifest, recipe.to_yaml(), False)
    begin_run(folder / "run.ablate", manifest, None, False)
    (folder / "notes.study").mkdir()
    (folder / "din_mha_demo.study").mkdir()
    search = {key: values.as_plain() for key, values in search_of(recipe).items()}
    content = {"recipe": recipe.content(), "search": search, "version": __version__, "data": "d"}
    write_json(folder / "din_mha_demo.study" / "settings.json", content)
    return folder


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize(
    ("command", "more", "told"), MISTAKES, ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_what_an_ablation_or_a_study_can_be_refused_for_is_told_without_loading(
    tiny_root: Path, taken: Path, command: str, more: tuple[str, str], told: str
) -> None:
    where = ("--data", str(tiny_root / "data"), "--runs", str(taken), "--devices", "cpu")
    error = run(command, "din_mha_demo", *where, *more).exception
    assert isinstance(error, MmctrKitError)
    assert re.search(told, str(error))


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize("command", ["ablate", "tune"])
def test_a_list_is_had_whatever_lies_under_the_name(
    tiny_root: Path, taken: Path, command: str
) -> None:
    where = ("--data", str(tiny_root / "data"), "--runs", str(taken), "--devices", "cpu")
    other = ("--set", "training.epochs=9", "--list")
    done = run(command, "din_mha_demo", *where, *other)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("named", "more", "told"),
    [
        ("din_demo", (), "'din_demo' is part of the blend"),
        ("other", (), "'other' exists but is a cv run; choose another --name"),
        ("both", (), "'both' exists but differs in the runs it blends (a there; "),
        ("new", ("--method", "lightgbm-context"), "add --data DATA"),
        ("new", ("--data", "nowhere"), "no data folder at 'nowhere'"),
    ],
)
def test_what_a_blend_can_be_refused_for_is_told_without_reading_predictions(
    runs: Path, tmp_path: Path, named: str, more: tuple[str, ...], told: str
) -> None:
    for name in ("din_demo", "other"):
        shutil.copytree(runs / "din_demo", tmp_path / name)
        (tmp_path / name / "oof.parquet").write_bytes(b"no parquet")
    there = Run(tmp_path / "din_demo").manifest
    blend = replace(there, kind="blend", features=fingerprint([there.features]), sources=("a",))
    begin_run(tmp_path / "both", blend, None, False)
    done = run("blend", "din_demo", "--name", named, "--runs", str(tmp_path), *more)
    assert isinstance(done.exception, MmctrKitError)
    assert told in str(done.exception)


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
    assert output.splitlines()[:2] == [f"loading {tiny_root / 'data'}", line]
