"""``mmctr-kit fit``: one network, its plan, and the scores that stand beside it."""

import json
import shutil
from pathlib import Path

import pytest

from mmctr_kit.datasets.synth import PRESETS, generate
from tests.cli.conftest import TRAIN, mistake, run


@pytest.fixture(scope="module")
def single(work: Path, tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, with the fit din_demo-fit beside the cv run din_demo."""
    runs = Path(shutil.copytree(work / "runs", tmp_path_factory.mktemp("single") / "runs"))
    place = ("--data", str(tiny_root / "data"), "--runs", str(runs))
    done = run("fit", "din_demo", *place, *TRAIN)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert any("(one model)" in line for line in lines)
    assert any(
        "Compared with din_demo, a cross-validation of the same recipe:" in line for line in lines
    )
    table = [line.split()[:2] for line in lines[-3:]]
    assert table == [["single", "fit"], ["fold", "model"], ["fold", "mean"]]
    return runs


def fit(tiny_root: Path, runs: Path, *more: str) -> tuple[str, ...]:
    return (
        "fit",
        "din_demo",
        "--data",
        str(tiny_root / "data"),
        "--runs",
        str(runs),
        *TRAIN,
        *more,
    )


def test_a_finished_fit_is_left_alone(single: Path, tiny_root: Path) -> None:
    done = run(*fit(tiny_root, single))
    assert done.exit_code == 0, done.output
    assert "nothing to do" in done.output


def test_json_has_the_metrics_and_the_three_predictors(single: Path, tiny_root: Path) -> None:
    content = json.loads(run(*fit(tiny_root, single, "--json")).stdout)
    single_fit, model, mean = content["predictors"]
    assert single_fit["valid_auc"] == content["valid"]["value"]
    assert single_fit["gap"] == pytest.approx(single_fit["valid_auc"] - mean["valid_auc"])
    assert (model["predictor"], mean["predictor"]) == ("fold model", "fold mean")


def test_a_dry_run_shows_one_network_and_trains_nothing(single: Path, tiny_root: Path) -> None:
    done = run(*fit(tiny_root, single, "--name", "planned", "--dry-run"))
    assert done.exit_code == 0, done.output
    assert "planned: 1 model on cpu" in done.output
    assert not (single / "planned").exists()


def test_like_trains_on_all_users_to_the_epoch_of_the_cross_validation(
    single: Path, tiny_root: Path
) -> None:
    done = run(*fit(tiny_root, single, "--name", "like", "--like", "din_demo"))
    assert done.exit_code == 0, done.output
    assert "holdout AUC" not in done.output
    recipe = (single / "like" / "recipe.yaml").read_text()
    assert "holdout: 0.0" in recipe


def test_a_damaged_run_beside_it_does_not_stop_a_fit(
    single: Path, tiny_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(single / "din_demo", tmp_path / "din_demo")
    (tmp_path / "din_demo" / "recipe.yaml").write_text("a: [")
    with pytest.warns(UserWarning, match=r"not compared with din_demo: .*recipe\.yaml was changed"):
        done = run(*fit(tiny_root, tmp_path))
    assert done.exit_code == 0, done.output
    assert "would say what to expect: mmctr-kit cv din_demo --data" in " ".join(done.output.split())


def test_like_refuses_a_run_of_other_data(
    single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(tmp_path / "other", PRESETS["tiny"], seed=1)
    code, error = mistake(
        capsys, "fit", "--like", "din_demo", "--data", str(tmp_path / "other" / "data"),
        "--runs", str(single), "--name", "x",
    )  # fmt: skip
    assert code == 1
    assert "run 'din_demo' is of other data than" in error


def test_the_recipe_may_be_that_of_the_cross_validation(single: Path, tiny_root: Path) -> None:
    place = ("--data", str(tiny_root / "data"), "--runs", str(single))
    done = run("fit", "--like", "din_demo_e4", *place)
    assert done.exit_code == 0, done.output
    assert (single / "din_demo_e4-fit" / "DONE").is_file()


def test_a_fit_is_averaged_with_other_runs_and_refuses_to_be_stacked(
    single: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("blend", "din_demo-fit", "din_demo", "--runs", str(single), "--name", "with-fit")
    code, error = mistake(capsys, *both, "--method", "greedy")
    assert code == 1
    assert "OOF" in error
    done = run(*both, "--method", "mean")
    assert done.exit_code == 0, done.output


def test_a_fit_is_submitted_reported_sliced_and_listed(single: Path, tmp_path: Path) -> None:
    runs = ("--runs", str(single))
    out = ("--out", str(tmp_path / "s.zip"))
    assert run("submit", "din_demo-fit", "--task", "Task2", *out, *runs).exit_code == 0
    page = tmp_path / "page.html"
    assert run("report", "din_demo-fit", "--out", str(page), *runs).exit_code == 0
    text = page.read_text()
    assert "One model of the whole train split, seed 0" in text
    assert "AUC of one model on the" in text
    done = run("slices", "din_demo-fit", "--split", "valid", *runs)
    assert done.exit_code == 0, done.output
    [row] = [x for x in run("runs", *runs).output.splitlines() if "din_demo-fit" in x]
    assert " fit " in row


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--set", "folds.count=3"), "folds.count does nothing in fit, which has no folds"),
        (("--set", "seeds=[1, 2]"), r"fit trains one model, and the recipe has 2 seeds"),
        (("--like", "absent"), "no run 'absent'"),
        (
            ("--like", "both", "--name", "x"),
            "'both' is a blend, which has no recipe; name one of its runs: din_demo or din_demo_e4",
        ),
        (("--set", "training.holdout=0"), "set training.snapshot=last too"),
        (("--name", "din_demo"), "run 'din_demo' exists but is a cv run"),
        (("--like", "din_demo", "--set", "training.holdout=0.1"), "does nothing with --like"),
        (("--set", "training.tail=0.5"), "training.tail: 0.5 does nothing while training.average"),
    ],
)
def test_mistakes_are_one_line(
    single: Path,
    tiny_root: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    says: str,
) -> None:
    code, error = mistake(capsys, *fit(tiny_root, single, *more))
    assert code in (1, 2)
    assert says in error
