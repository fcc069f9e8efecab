"""``mmctr-kit ablate`` as a user types it: interrupted, gone on with, and read."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit.ablation.table import Row, Table
from mmctr_kit.ablation.variants import variants
from mmctr_kit.cli.ablate import print_table
from mmctr_kit.cv.model_cost import Latency, Measured
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import load_recipe
from tests.cli.conftest import mistake, run

SETTINGS = ("training.epochs=2", "training.batch_size=256", "folds.count=2")
SET = [part for setting in SETTINGS for part in ("--set", setting)]


def command(root: Path, runs: Path, *more: str) -> list[str]:
    data = ("--data", str(root / "data"), "--runs", str(runs), "--devices", "cpu")
    return ["ablate", "din_mha_demo", *data, "--jobs", "1", "--only", "se-off", *SET, *more]


def written(runs: Path) -> dict[Path, int]:
    """When each file of the runs and their costs was written."""
    folder = runs / "din_mha_demo.ablate"
    files = [p for part in ("base", "se-off", "costs") for p in (folder / part).rglob("*")]
    return {p: p.stat().st_mtime_ns for p in files}


@pytest.fixture(scope="module")
def stopped(
    tiny_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[int, str]]:
    """Where the runs are, and how the command ended that met Ctrl-C in the second run."""
    runs = tmp_path_factory.mktemp("ablate") / "runs"
    process = subprocess.Popen(
        [sys.executable, "-m", "mmctr_kit", *command(tiny_root, runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("2/2 se-off fold 0 seed 0 epoch 1/2"):
            break
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    return runs, (process.returncode, error)


@pytest.fixture(scope="module")
def finished(tiny_root: Path, stopped: tuple[Path, tuple[int, str]]) -> tuple[Path, str]:
    """Where the runs are, and what the same command printed that went on."""
    done = run(*command(tiny_root, stopped[0]))
    assert done.exit_code == 0, done.output
    return stopped[0], done.output


@pytest.mark.slow
def test_ctrl_c_is_one_line_that_says_how_to_go_on(stopped: tuple[Path, tuple[int, str]]) -> None:
    code, error = stopped[1]
    assert code == 130
    # Until the signal arrives the command may have told of another epoch.
    *told, last = error.splitlines()
    assert last == "error: interrupted; the same command goes on from the last finished epoch"
    assert all(line.startswith("2/2 se-off fold ") for line in told)


@pytest.mark.slow
def test_the_same_command_goes_on_and_prints_both_tables(finished: tuple[Path, str]) -> None:
    shown = finished[1]
    assert "2 runs, 1 of them finished already" in shown
    assert "base fold" not in shown
    assert re.search(r"^ base +0\.\d{4} ±\.\d{4} +0\.\d{4} ±\.\d{4} +1 seed", shown, re.MULTILINE)
    changes = r"[+-]0\.\d{4} ±\.\d{4} +[+-]0\.\d{4} ±\.\d{4}"
    assert re.search(rf"^ se-off +true +{changes} +1 seed", shown, re.MULTILINE)
    times = r"[\d.]+/[\d.]+"
    cost = rf"^ se-off +\d+\.\d+k +\d+\.\d+k +{times} +{times} +{times} +[\d,]+ *$"
    assert re.search(cost, shown, re.MULTILINE)
    lines = [line for line in shown.splitlines() if str(finished[0]) not in line]
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
def test_a_finished_ablation_trains_nothing_and_prints_the_same(
    tiny_root: Path, finished: tuple[Path, str]
) -> None:
    before = written(finished[0])
    again = run(*command(tiny_root, finished[0]))
    assert again.exit_code == 0
    assert "2 runs, 2 of them finished already" in again.output
    assert "epoch" not in again.output
    assert "measuring" not in again.output
    tables = [shown.partition("AUC of the base")[2] for shown in (again.output, finished[1])]
    assert tables[0] == tables[1]
    assert written(finished[0]) == before


@pytest.mark.slow
def test_json_is_the_file_and_nothing_else(tiny_root: Path, finished: tuple[Path, str]) -> None:
    printed = run(*command(tiny_root, finished[0], "--json"))
    content = json.loads(printed.stdout, parse_constant=pytest.fail)
    kept = (finished[0] / "din_mha_demo.ablate" / "ablation.json").read_text()
    assert content == json.loads(kept)
    assert [r["name"] for r in content["rows"]] == ["base", "se-off"]
    for row in content["rows"]:
        assert row["oof"]["error"] > 0
        assert row["valid"]["error"] > 0
        sizes = [(each["candidates"], each["requests"] >= 100) for each in row["cost"]["latency"]]
        assert sizes == [(1, True), (64, True), (1024, True)]
    assert content["rows"][1]["settings"] == ["model.se=false"]


@pytest.mark.slow
def test_variants_are_runs_that_the_leaderboard_lists(finished: tuple[Path, str]) -> None:
    listed = run("runs", "--runs", str(finished[0] / "din_mha_demo.ablate"), "--json")
    assert {r["name"] for r in json.loads(listed.stdout)} == {"base", "se-off"}
    assert "din_mha_demo.ablate" in run("runs", "--runs", str(finished[0])).stdout


def test_a_list_needs_no_data_and_trains_nothing(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    shown = run(*command(absent, tmp_path / "runs", "--list"))
    assert shown.exit_code == 0
    assert "model.se: true -> false" in shown.output
    listed = run("ablate", "din_mha_demo", "--only", "se-off", "--list", "--json")
    assert json.loads(listed.stdout) == {
        "variants": [{"name": "se-off", "settings": {"model.se": False}}]
    }
    assert not list(tmp_path.iterdir())


def test_every_switch_is_suggested_the_other_way_round(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = json.loads(run("ablate", "din_official", "--list", "--json").output)["variants"]
    switches = [v["name"] for v in listed if v["name"].endswith(("-on", "-off"))]
    assert {"se-on", "history-off"} <= set(switches)
    for name in switches:
        stem, _, way = name.rpartition("-")
        other = f"{stem}-{'off' if way == 'on' else 'on'}"
        error = mistake(capsys, "ablate", "din_official", "--list", "--only", other)[1]
        assert f"no variant '{other}' (did you mean {name}?)" in error


def test_without_a_list_the_data_are_needed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMCTR_KIT_DATA", raising=False)
    for command in ("ablate", "tune"):
        code, error = mistake(capsys, command, "din_demo")
        assert (code, error.count("\n")) == (2, 1)
        assert error.startswith("error: --data is missing: Folder that CONTAINS")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--only", "see-off"), "no variant 'see-off' (did you mean se-off?)"),
        (("--skip", "*"), "no variant is left"),
        (("--name", "../x"), "expected letters"),
        (("--set", "model.see=true"), "did you mean model.se?"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)
def test_a_wrong_command_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str],
    tiny_root: Path,
    tmp_path: Path,
    more: tuple[str, ...],
    says: str,
) -> None:
    code, error = mistake(capsys, *command(tiny_root, tmp_path / "runs", *more))
    assert code == 2
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_changed_recipe_is_one_line_and_exit_1(
    capsys: pytest.CaptureFixture[str], tiny_root: Path, finished: tuple[Path, str]
) -> None:
    other = ("--set", "training.learning_rate=0.1")
    code, error = mistake(capsys, *command(tiny_root, finished[0], *other))
    assert code == 1
    assert "run 'base' exists but differs in recipe" in error
    assert error.count("\n") == 1


def test_help_has_an_example() -> None:
    text = run("ablate", "--help").output
    assert "Examples" in text
    assert "mmctr-kit ablate din_mha_demo" in text


def widest(seeds: tuple[int, ...]) -> Table:
    """A table of every variant of the paper's recipe, with the longest numbers there might be."""
    found = load_recipe("din_mha_demo", ["signals.kinds=all"])
    tiny = Estimate(-0.000123, 0.0000123, 3_600_000)
    latency = tuple(Latency(n, 4321.0, 98765.4, 200) for n in (1, 64, 1024))
    cost = Measured(255_123_456, 1_234_567.8, latency, 98_765.4, "process")
    base = Row("base", "", "", (), Estimate(0.7, 0.0000123, 1), tiny, tiny, None, None, cost)
    claim = "better" if len(seeds) > 2 else None
    rows = [
        replace(base, name=v.name, before=str(v.before), oof=tiny, claim=claim)
        for v in variants(found)
    ]
    return Table("x", seeds, 100, "cpu", 128, 3.3, (base, *rows), {})


@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 1, 2)], ids=len)
@pytest.mark.usefixtures("eighty_columns")
def test_the_table_fits_80_columns_whatever_the_numbers(
    capsys: pytest.CaptureFixture[str], seeds: tuple[int, ...]
) -> None:
    table = widest(seeds)
    print_table(table)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert shown.count("±.00001") >= 3 * len(table.rows)
    assert shown.count("4321/98765") == 3 * len(table.rows)
    mark = {1: "1 seed", 2: "2 seeds", 3: "better 10.0"}[len(seeds)]
    assert shown.count(mark) >= len(table.rows) - 1
