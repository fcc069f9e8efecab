"""Dry runs of ``tune``, ``ablate`` and of trees: what they print, and that they write nothing."""

import json
import shutil
from pathlib import Path

from typer.testing import Result

from tests.cli.conftest import run

FAST = ("--set", "training.epochs=1", "--set", "training.min_steps=1", "--set", "folds.count=2")


def dry(root: Path, runs: Path, command: str, *more: str) -> Result:
    place = ("--data", str(root / "data"), "--runs", str(runs), "--devices", "cpu")
    done = run(command, "din_demo", *place, *FAST, "--dry-run", *more)
    assert done.exit_code == 0, done.output
    return done


def written(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in folder.rglob("*")
        if p.is_file()
    }


def assert_parts(shown: str) -> None:
    """What an estimate is made of is said."""
    for part in ("start of processes", "loading", "preparing", "training", "predicting", "scoring"):
        assert part in shown


def test_a_study_is_planned_with_its_finalists_and_nothing_is_written(
    tiny_root: Path, tmp_path: Path
) -> None:
    shown = dry(tiny_root, tmp_path / "runs", "tune", "--trials", "7", "--final-seeds", "2")
    flat = " ".join(shown.stdout.split())
    assert "din_demo.study: 7 trials of 2 folds on cpu" in flat
    assert "3 finalists x 2 seeds x 2 folds = 12 fold models" in flat
    assert "estimated time" in flat
    assert_parts(flat)
    assert not (tmp_path / "runs").exists()
    plan = json.loads(dry(tiny_root, tmp_path / "runs", "tune", "--json").stdout)
    assert (plan["trials"], plan["finalists"], plan["final_seeds"]) == (30, 3, 3)
    assert plan["seconds"] > plan["search"] > plan["trial"] > 0
    assert not (tmp_path / "runs").exists()


def test_of_a_study_that_is_there_only_the_rest_is_planned_and_it_stays_as_it_is(
    tiny_root: Path, tmp_path: Path
) -> None:
    place = ("--data", str(tiny_root / "data"), "--runs", str(tmp_path), "--devices", "cpu")
    tune = ("tune", "din_demo", *place, *FAST, "--trials", "1", "--finalists", "0")
    done = run(*tune)
    assert done.exit_code == 0, done.output
    before = written(tmp_path)
    plan = json.loads(dry(tiny_root, tmp_path, "tune", "--trials", "4", "--json").stdout)
    assert plan["trials"] == 3
    searched = dry(tiny_root, tmp_path, "tune", "--trials", "1", "--finalists", "0", "--json")
    assert (json.loads(searched.stdout)["trials"], written(tmp_path)) == (0, before)
    other = dry(tiny_root, tmp_path, "tune", "--set", "training.learning_rate=0.5")
    assert "without --dry-run this would stop: study 'din_demo.study' exists" in other.stderr
    assert written(tmp_path) == before


def test_an_ablation_is_planned_run_by_run_and_nothing_is_written(
    tiny_root: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shown = dry(tiny_root, runs, "ablate", "--only", "tags-off")
    flat = " ".join(shown.stdout.split())
    assert "din_demo.ablate: 2 runs x 2 folds x 1 seed on cpu" in flat
    assert "tags-off model.use_tags: true -> false" in flat
    assert "estimated time: " in flat
    assert_parts(flat)
    assert not runs.exists()
    plan = json.loads(dry(tiny_root, runs, "ablate", "--only", "tags-off", "--json").stdout)
    assert (plan["runs"], plan["finished"]) == (["base", "tags-off"], [])
    parts = sum(each["seconds"] for each in plan["costs"].values())
    assert plan["seconds"] > parts + plan["measuring"] - 1e-6
    assert not runs.exists()


def test_the_plan_of_trees_speaks_of_trees(tiny_root: Path, tmp_path: Path) -> None:
    place = ("--data", str(tiny_root / "data"), "--runs", str(tmp_path / "runs"))
    shown = run("cv", "gbdt_demo", *place, "--set", "training.epochs=2", "--dry-run")
    assert shown.exit_code == 0, shown.output
    flat = " ".join(shown.stdout.split())
    assert "trees per model 50 in 2 chunks" in flat
    assert "measured chunk of 25 trees" in flat
    assert "step" not in flat
    assert_parts(flat)
    assert "batch" not in flat


def test_of_a_run_that_goes_on_only_the_models_that_are_left_are_planned(
    tiny_root: Path, tmp_path: Path
) -> None:
    place = ("--data", str(tiny_root / "data"), "--runs", str(tmp_path), "--devices", "cpu")
    done = run("cv", "din_demo", *place, *FAST)
    assert done.exit_code == 0, done.output
    assert json.loads(dry(tiny_root, tmp_path, "cv", "--json").stdout)["din_demo"]["done"]
    (tmp_path / "din_demo" / "DONE").unlink()
    shutil.rmtree(tmp_path / "din_demo" / "folds" / "1-0")
    before = written(tmp_path)
    assert (
        "din_demo: 1 of 2 fold models still to train on cpu"
        in dry(tiny_root, tmp_path, "cv").stdout
    )
    for more, left in (((), 1), (("--force",), 2)):
        plan = json.loads(dry(tiny_root, tmp_path, "cv", "--json", *more).stdout)["din_demo"]
        assert (plan["models_left"], plan["done"]) == (left, False)
    assert written(tmp_path) == before
