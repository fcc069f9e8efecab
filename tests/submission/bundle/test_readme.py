"""mmctr_kit.submission.bundle.readme: it says what the run is, and what it scored."""

import re
from pathlib import Path

import pytest

from mmctr_kit.data.contract import Task
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.bundle.read import open_bundle
from mmctr_kit.submission.bundle.readme import readme
from mmctr_kit.submission.bundle.write import write_bundle
from tests.submission.bundle.conftest import bundled


@pytest.mark.parametrize(
    ("name", "what", "predictors"),
    [
        ("one", "One model of the recipe `din_demo` (model `din`), trained", ["valid"]),
        (
            "four",
            "The mean of 4 models (2 folds, 2 seeds) of the recipe `din_demo` (model `din`), tr",
            ["valid", "fold_models_valid", "oof"],
        ),
    ],
)
def test_it_says_what_the_run_is_and_scores_with_standard_errors(
    runs: Path, tmp_path: Path, name: str, what: str, predictors: list[str]
) -> None:
    folder = bundled(runs / name, tmp_path / "bundle")
    page, bundle = (folder / "README.md").read_text(), open_bundle(folder)
    assert page.startswith(f"# {name}: ")
    assert what in page
    assert f"| {Run(runs / name).valid_auc} |" in page
    assert list(bundle.content["scores"]) == predictors
    assert page.count(" ± 0.") == len(predictors)
    assert f"`{bundle.sha256}`" in page
    assert "Licence: MIT, see LICENSE." in page


def test_every_file_is_explained(runs: Path, tmp_path: Path) -> None:
    folder = bundled(runs / "own", tmp_path / "bundle")
    page = (folder / "README.md").read_text()
    for path in folder.iterdir():
        name = f"{path.name}/" if path.is_dir() else path.name
        assert name == "README.md" or f"- `{name}`: " in page


def test_it_says_which_rules_of_its_task_the_run_breaks(runs: Path, tmp_path: Path) -> None:
    page = (bundled(runs / "one", tmp_path / "task2") / "README.md").read_text()
    assert "It breaks these rules of Task2:\n\n- the item embedding is one of" in page
    assert "unclear" not in page
    write_bundle(Run(runs / "one"), tmp_path / "both", Task.BOTH, "MIT", "Team Two")
    page = (tmp_path / "both" / "README.md").read_text()
    assert "it keeps the rules of Task1&2" in page
    write_bundle(Run(runs / "own"), tmp_path / "file", Task.BOTH, "MIT", "Team Two")
    page = (tmp_path / "file" / "README.md").read_text()
    assert "Whether it keeps these rules of Task1&2 is unclear:\n\n- the item embedding is" in page
    write_bundle(Run(runs / "own"), tmp_path / "task1", Task.TASK1, "MIT", "Team Two")
    page = (tmp_path / "task1" / "README.md").read_text()
    assert re.search(r"It breaks these rules of Task1:\n\n- .*\n\nThese are unclear:\n\n- ", page)


def test_a_fold_model_of_several_seeds_is_their_mean(runs: Path, tmp_path: Path) -> None:
    bundle = open_bundle(bundled(runs / "four", tmp_path / "bundle"))
    recipe = bundle.recipe()
    page = readme(bundle.content, recipe, "", "")
    assert "| the mean of a fold's 2 seeds: mean valid AUC over the folds |" in page
    assert "single fold model" not in page
    page = readme({**bundle.content, "seeds": [0]}, recipe, "", "")
    assert "| a single fold model: mean valid AUC over the folds |" in page


def test_a_model_of_its_recipes_name_is_named_once(runs: Path, tmp_path: Path) -> None:
    bundle = open_bundle(bundled(runs / "one", tmp_path / "bundle"))
    recipe = bundle.recipe().model_copy(update={"name": "din"})
    assert "One model of the recipe `din`, trained" in readme(bundle.content, recipe, "", "")


def test_it_says_which_versions_are_those_of_training(runs: Path, tmp_path: Path) -> None:
    folder = bundled(runs / "one", tmp_path / "bundle")
    page = " ".join((folder / "README.md").read_text().split())
    assert "pins torch and numpy as they were in training, and the other packages" in page
    assert "exact" not in page
