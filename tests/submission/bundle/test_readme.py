"""mmctr_kit.submission.bundle.readme: it says what the run is, and what it scored."""

from pathlib import Path

import pytest

from mmctr_kit.data.contract import Task
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.bundle.read import open_bundle
from mmctr_kit.submission.bundle.write import write_bundle
from tests.submission.bundle.conftest import bundled


@pytest.mark.parametrize(
    ("name", "what", "predictors"),
    [
        ("one", "One model of the recipe `din_demo` (`din`)", ["valid"]),
        (
            "four",
            "The mean of 4 models of the recipe `din_demo` (`din`; 2 folds, 2 seeds)",
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
    assert "- breaks the rule of Task2: the item embedding is one of" in page
    write_bundle(Run(runs / "one"), tmp_path / "both", Task.BOTH, "MIT", "Team Two")
    page = (tmp_path / "both" / "README.md").read_text()
    assert "it keeps the rules of Task1&2" in page
