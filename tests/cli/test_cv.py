"""``mmctr-kit cv``: its plan, what it leaves alone, and the alarm if OOF and valid disagree."""

import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from mmctr_kit.cli.app import app
from mmctr_kit.cli.cv import remark_on_chance
from mmctr_kit.data.contract import FILES
from mmctr_kit.errors import UsageError
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe.family import Member
from tests.cli.conftest import TRAIN, mistake, run


def cv(data: Path, runs: Path, *more: str) -> Result:
    settings = ("epochs=3", "min_steps=60", "batch_size=256", "learning_rate=0.01")
    fast = [part for each in settings for part in ("--set", f"training.{each}")]
    fast += ["--set", "folds.count=2", "--devices", "cpu"]
    place = ("--data", str(data), "--runs", str(runs))
    return CliRunner().invoke(app, ["cv", "history_length_only", *place, *fast, *more])


@pytest.fixture
def leaky(tiny_root: Path, tmp_path: Path) -> Path:
    """The tiny data set, its positives of train cut to histories of three items."""
    folder = Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))
    path = folder / FILES["train"].path
    table = pq.read_table(path)
    past = np.stack(table.column("item_seq").to_pylist())
    label = np.asarray(table.column("label"))
    past[label == 1, :-3] = 0
    kind = table.schema.field("item_seq").type
    flat = pa.FixedSizeListArray.from_arrays(pa.array(past.ravel()), kind.list_size)
    at = table.schema.get_field_index("item_seq")
    pq.write_table(table.set_column(at, "item_seq", flat), path)
    return folder


def test_the_alarm_names_the_leak_that_is_there(leaky: Path, tmp_path: Path) -> None:
    done = cv(leaky, tmp_path / "runs")
    assert done.exit_code == 0, done.output
    warned = done.stderr.splitlines()
    assert any("differ by" in line for line in warned)
    (cause,) = [line for line in warned if "a possible cause" in line]
    assert "history-label (train, in users)" in cause
    metrics = json.loads((tmp_path / "runs" / "history_length_only" / "metrics.json").read_text())
    assert [c.partition(" ")[0] for c in metrics["alarm_causes"]] == ["history-label"]


def test_a_run_without_an_alarm_has_no_causes(tiny_root: Path, tmp_path: Path) -> None:
    done = cv(tiny_root / "data", tmp_path / "runs", "--json")
    metrics = json.loads(done.stdout)["history_length_only"]
    assert (metrics["alarm"], metrics["alarm_causes"]) == (None, [])


def test_mostly_empty_histories_are_told_before_training(tiny_root: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))
    path = folder / FILES["train"].path
    table = pq.read_table(path)
    cut = pa.array([past[:8] for past in table.column("item_seq").to_pylist()])
    at = table.schema.get_field_index("item_seq")
    pq.write_table(table.set_column(at, "item_seq", cut), path)
    done = cv(folder, tmp_path / "runs", "--dry-run")
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stderr.splitlines() if "histories are empty" in line]
    assert line.startswith("warning: most histories are empty: ")


def test_a_finished_run_is_left_alone_and_says_so(work: Path, tiny_root: Path) -> None:
    again = run(
        "cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", str(work / "runs"), *TRAIN
    )
    assert again.exit_code == 0
    assert "finished already" in again.output


def test_epochs_that_min_steps_raises_are_said_before_and_while_training(
    tmp_path: Path, tiny_root: Path
) -> None:
    steps = ("--set", "training.epochs=1", "--set", "training.min_steps=20")
    arguments = (
        *("cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", str(tmp_path / "runs")),
        *("--set", "folds.count=2", "--devices", "cpu"),
    )
    for more in (("--dry-run",), ()):
        done = run(*arguments, *steps, *more)
        assert done.exit_code == 0, done.output
        assert done.output.count("training.epochs 1 raised to ") == 1
        assert "by training.min_steps 20" in done.output
    done = run(*arguments, "--set", "training.min_steps=0", "--dry-run", "--name", "y")
    assert "raised" not in done.output


def test_an_empty_name_is_no_name(tiny_root: Path) -> None:
    done = run("cv", "din_demo", "--data", str(tiny_root / "data"), "--name", "")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("--name '': expected letters")


def test_a_dry_run_prints_the_plan_and_makes_nothing(tmp_path: Path, tiny_root: Path) -> None:
    runs = tmp_path / "runs"
    shown = run(
        "cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", str(runs), "--dry-run"
    )
    assert shown.exit_code == 0, shown.output
    assert re.search(r"rows train / valid / test\s+2,000 / 400 / 400", shown.output)
    assert "steps per model" in shown.output
    assert re.search(r"training data kept in\s+CPU memory", shown.output)
    assert not runs.exists()


def test_a_family_is_planned_trained_and_ready_to_be_blended(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = (Member("history_length_only", "a"), Member("history_length_only", "b", seed=1))
    monkeypatch.setattr("mmctr_kit.recipe.family.FAMILIES", {"best": small})
    settings = ("training.epochs=1", "training.min_steps=0", "folds.count=2")
    fast = [part for each in settings for part in ("--set", each)]
    line = ("cv", "best", "--data", str(tiny_root / "data"), "--runs", str(tmp_path), *fast)
    plan = json.loads(run(*line, "--budget", "1h", "--dry-run", "--json").stdout)
    assert [(each["name"], each["plan"]) for each in plan] == [(m.name, "train") for m in small]
    assert all(each["seconds"] > 0 for each in plan)
    assert not list(tmp_path.iterdir())
    done = run(*line)
    assert done.exit_code == 0, done.output
    command = done.output.splitlines()[-1]
    assert command.startswith("mmctr-kit blend history_length_only history_length_only-seed1 --na")
    blended = run(*command.split()[1:], "--method", "mean")
    assert blended.exit_code == 0, blended.output


def test_a_budget_goes_with_a_family_and_a_family_alone(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = mistake(capsys, "cv", "din_demo", "--data", "nowhere", "--budget", "30m")
    assert (code, "goes with a family: mmctr-kit cv best" in said) == (2, True)
    code, said = mistake(capsys, "cv", "best", "din_demo", "--data", "nowhere")
    assert (code, "best is a family of recipes; name it alone" in said) == (2, True)


def test_folds_by_user_on_data_split_by_time_are_refused_with_strict(
    timed_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--data", str(timed_root), "--runs", str(tmp_path / "runs"))
    code, error = mistake(capsys, "cv", "history_length_only", *place, "--strict")
    assert code == 1
    assert "folds.by is user" in error.splitlines()[-1]
    assert error.count("error: ") == 1
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_of_a_taken_name_says_what_would_stop_it_and_shows_the_plan(
    work: Path, tiny_root: Path
) -> None:
    place = ("--data", str(tiny_root / "data"), "--runs", str(work / "runs"), "--devices", "cpu")
    before = (work / "runs" / "din_demo" / "manifest.json").read_bytes()
    shown = run("cv", "din_demo", *place, "--set", "training.epochs=7", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "without --dry-run this would stop: run 'din_demo' exists but differs" in shown.stderr
    assert "steps per model" in shown.stdout
    assert (work / "runs" / "din_demo" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("oof", "valid", "said"),
    [
        (Estimate(0.51, 0.01, 99), Estimate(0.53, 0.01, 99), "OOF AUC within"),
        (Estimate(0.49, 0.01, 99), Estimate(0.5, 0.01, 99), "OOF and valid AUC within"),
        (Estimate(0.53, 0.01, 99), Estimate(0.53, 0.01, 99), ""),
        (Estimate(0.53, 0.01, 99), Estimate(0.47, 0.01, 99), "remark: valid AUC 2 standard errors"),
        (Estimate(0.4, 0.01, 99), Estimate(0.4, 0.01, 99), "OOF and valid AUC 2 standard errors"),
        (Estimate(0.51, math.nan, 99), None, ""),
    ],
)
def test_a_result_at_chance_or_below_gets_one_remark(
    oof: Estimate, valid: Estimate | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Any = SimpleNamespace(oof_auc=oof, valid_auc=valid)
    remark_on_chance(found)
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("remark:") == bool(said)
    assert said in printed
    assert ("labels were turned over" in printed) == ("or more below 0.5" in printed)


def test_oof_at_chance_and_valid_below_it_get_a_remark_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found: Any = SimpleNamespace(
        oof_auc=Estimate(0.51, 0.01, 99), valid_auc=Estimate(0.4, 0.01, 99)
    )
    remark_on_chance(found)
    printed = " ".join(capsys.readouterr().out.split())
    assert "remark: valid AUC 2 standard errors or more below 0.5" in printed
    assert "remark: OOF AUC within 2 standard errors of 0.5" in printed
