"""``mmctr-kit submit`` records, ``mmctr-kit ledger`` tells."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import predictions_for
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.writer import begin_run
from mmctr_kit.submission import ledger
from tests.cli.conftest import mistake, run


@pytest.fixture
def place(tiny: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with three runs that differ in how good they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCTR_KIT_LEDGER")
    for i in range(3):
        rng = np.random.default_rng(i)
        rows = {s: rng.normal(size=len(r)) for s, r in tiny.rows.items()}
        for split in ("train", "valid"):
            rows[split] += i * np.asarray(tiny.rows[split].labels())
        fold = (tiny.train.user_id % 2).astype(np.int16)
        found = predictions_for(tiny, rows["train"], fold, rows["valid"][None], rows["test"][None])
        writer = begin_run(Path("runs") / f"r{i}", Manifest("cv", "r", "f", "o", "c"), None, False)
        assert writer is not None
        writer.finish(found, score_predictions(found), {})
    return tmp_path


def joined(result: Result) -> str:
    """What was printed, without line ends and indents."""
    return " ".join(result.output.split())


def submit(name: str, *more: str) -> Result:
    done = run("submit", name, "--task", "Task2", *more)
    assert done.exit_code == 0, done.output
    return done


def test_submit_says_that_it_recorded_also_what_is_written_elsewhere(place: Path) -> None:
    assert "recorded in the new ledger submissions/ledger.jsonl\n" in submit("r0").output
    assert "recorded in submissions/ledger.jsonl before\n" in submit("r0").output
    again = submit("r1", "--out", "elsewhere/x.zip").output
    assert "recorded in submissions/ledger.jsonl\n" in again
    lines = (place / "submissions" / "ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == [
        "submissions/r0-Task2.zip",
        "elsewhere/x.zip",
    ]


def test_submit_counts_the_days_attempts_and_warns_of_the_sixth(
    place: Path, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_now", lambda: "2026-03-01T12:00:00+00:00")
    fold = (tiny.train.user_id % 2).astype(np.int16)
    for i in range(3, 6):
        rows = {s: np.random.default_rng(i).normal(size=len(r)) for s, r in tiny.rows.items()}
        found = predictions_for(tiny, rows["train"], fold, rows["valid"][None], rows["test"][None])
        writer = begin_run(Path("runs") / f"r{i}", Manifest("cv", "r", "f", "o", "c"), None, False)
        assert writer is not None
        writer.finish(found, score_predictions(found), {})
    said = "today (UTC) for Task2, if you upload every file that was written"
    for i in range(5):
        assert f"attempt {i + 1} of 5 {said}" in submit(f"r{i}").output
    sixth = submit("r5")
    assert "WARN  daily-attempts" in sixth.output
    assert "6 files for Task2 were written today (UTC); 5 may be uploaded" in joined(sixth)
    strict = run("submit", "r5", "--task", "Task2", "--out", "again.zip", "--strict", "--json")
    assert strict.exit_code == 1
    assert str(strict.exception).endswith("nothing was written")
    assert not (place / "again.zip").exists()
    assert "no new attempt" not in submit("r0").output
    listed = run("ledger").output
    assert "6 files for Task2 were written today (UTC); 5 may be uploaded" in listed
    shown = json.loads(run("ledger", "--json").stdout)
    assert (shown["written_today"], shown["attempts_per_day"]) == ({"Task2": 6}, 5)


def test_json_of_submit_is_one_object(place: Path) -> None:
    del place
    made = json.loads(run("submit", "r0", "--task", "task2", "--json").stdout)
    assert list(made) == ["file", "task", "rows", "rules", "attempt", "checks"]
    assert made["file"] == "submissions/r0-Task2.zip"
    assert (made["task"], made["attempt"]) == ("Task2", 1)
    assert {t: r["verdict"] for t, r in made["rules"].items()}["Task2"] == "breached"
    assert "rule-averaged" in {f["id"] for f in made["checks"]}


@pytest.mark.parametrize("name", ["both", "BOTH", "Task1&2", "task1&2"])
def test_a_task_is_taken_by_its_name_or_its_columns_in_any_case(place: Path, name: str) -> None:
    del place
    done = run("submit", "r0", "--task", name)
    assert done.stdout.startswith("wrote submissions/r0-both.zip: 400 rows, column Task1&2\n")
    done = run("ledger", "add", "submissions/r0-both.zip", "--auc", "0.5", "--task", name)
    assert done.exit_code == 0, done.output


def test_a_check_names_the_ledgers_run_and_its_breaches(place: Path) -> None:
    def findings(*more: str) -> dict[str, tuple[str, str]]:
        shown = run("submit", "--check", "mine.zip", "--json", *more).stdout
        return {f["id"]: (f["level"], f["what"]) for f in json.loads(shown)}

    submit("r0", "--out", "mine.zip")
    (level, what), known = findings()["rules"], "run r0 for Task2, by submissions/ledger.jsonl"
    assert (level, what) == ("PASS", f"{known}: each doubt is named")
    assert findings()["rule-averaged"][0] == "WARN"
    assert findings("--ledger", "other.jsonl")["rules"] == (
        "PASS",
        "not checked: 'mine.zip' is not in the ledger other.jsonl",
    )
    assert findings("--ledger", "runs")["rules"][1].startswith("not checked: the ledger 'runs'")
    shutil.rmtree("runs/r1")
    Path("runs/r0").rename("runs/r1")
    gone = f"{known}; run r0 is gone from runs: its rules cannot be checked"
    assert findings()["rules"] == ("WARN", gone)
    Path("runs/r2").rename("runs/r0")
    assert "run r0 was replaced since" in findings()["rules"][1]
    assert place.is_dir()


def test_the_table_says_whether_the_run_keeps_the_rules_of_the_files_task(place: Path) -> None:
    del place
    submit("r0")
    run("submit", "r1", "--task", "both")
    shutil.rmtree("runs/r1")
    shown = run("ledger").output.splitlines()
    assert shown[0].split()[-3:] == ["board", "rules", "written"]
    assert [line.split()[-2] for line in shown[1:3]] == ["breached", "n/a"]
    assert "rules n/a: run r1 is gone from runs" in shown
    rules = [s["rules"] for s in json.loads(run("ledger", "--json").stdout)["submissions"]]
    assert (rules[0]["verdict"], rules[1]) == ("breached", None)


def test_list_shows_the_same_and_takes_options_of_either_place(place: Path) -> None:
    run("submit", "r0", "--task", "Task2", "--ledger", "mine.jsonl")
    shown = run("ledger", "--ledger", "mine.jsonl").output
    assert "r0" in shown
    for options in (("--ledger", "mine.jsonl", "list"), ("list", "--ledger", "mine.jsonl")):
        assert run("ledger", *options).output == shown
    added = ("add", "submissions/r0-Task2.zip", "--auc", "0.5")
    assert run("ledger", "--ledger", "mine.jsonl", *added).exit_code == 0
    assert not (place / "submissions" / "ledger.jsonl").exists()


def test_a_comma_in_a_score_is_answered_with_the_point(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del place
    code, error = mistake(capsys, "ledger", "add", "a.zip", "--auc", "0,97")
    assert (code, error.count("\n")) == (2, 1)
    assert "'0,97': write 0.97" in error
    assert "'high': expected a number" in mistake(capsys, "ledger", "add", "a", "--auc", "high")[1]


def test_the_ledger_shows_the_three_numbers_and_how_ranks_agree_from_three_scores_on(
    place: Path,
) -> None:
    for i in range(3):
        submit(f"r{i}")
        shutil.copy(f"submissions/r{i}-Task2.zip", "renamed.zip")
        said = run("ledger")
        assert "like the leaderboard" not in said.output
        noted = run("ledger", "add", "renamed.zip", "--auc", f"0.{5 + 2 * i}", "--note", "phase 1")
        assert noted.exit_code == 0, noted.output
        assert noted.stdout.startswith(f"r{i} (Task2, written 20")
    shown = run("ledger").output
    assert "Task2: OOF ranks 3 submissions like the leaderboard by 1.00" in shown
    assert [line.partition("): ")[2] for line in shown.splitlines() if "note on r" in line] == [
        "phase 1"
    ] * 3
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    found = json.loads(run("ledger", "--json").stdout)
    assert [s["leaderboard"] for s in found["submissions"]] == [0.5, 0.7, 0.9]
    assert [s["oof"]["value"] for s in found["submissions"]] == sorted(
        s["oof"]["value"] for s in found["submissions"]
    )
    assert [(a["number"], a["n"]) for a in found["agreement"]] == [("OOF", 3), ("valid", 3)]
    assert found["damaged"] == []
    assert place.is_dir()


def test_a_leaderboard_score_that_is_hardly_the_files_is_remarked_on(place: Path) -> None:
    del place
    submit("r0")
    added = run("ledger", "add", "submissions/r0-Task2.zip", "--auc", "0.97")
    assert added.exit_code == 0
    assert "leaderboard 0.97 is +0." in added.stderr
    assert "another file's score" in run("ledger").output
    (row,) = json.loads(run("ledger", "--json").stdout)["submissions"]
    assert row["remark"].startswith("r0 (Task2): leaderboard 0.97")
    run("ledger", "add", "submissions/r0-Task2.zip", "--auc", "0.51")
    assert "another file's score" not in run("ledger").output


def test_a_damaged_line_is_a_warning_and_stands_in_the_json(place: Path) -> None:
    submit("r0")
    with (place / "submissions" / "ledger.jsonl").open("a") as handle:
        handle.write('{"kind": "scored", "au')
    shown = run("ledger")
    assert shown.exit_code == 0
    assert "ledger.jsonl line 2 cannot be read" in shown.stderr
    assert "r0" in shown.stdout
    assert len(json.loads(run("ledger", "--json").stdout)["damaged"]) == 1


def test_a_ledger_that_refuses_leaves_the_submission_and_warns(place: Path) -> None:
    (place / "submissions" / "ledger.jsonl").mkdir(parents=True)
    done = submit("r0")
    assert "cannot be written" in done.stderr
    assert (place / "submissions" / "r0-Task2.zip").is_file()


def test_an_empty_ledger_says_how_to_fill_it(place: Path) -> None:
    del place
    assert "'mmctr-kit submit' records what it writes" in run("ledger").output


@pytest.mark.parametrize("command", [("ledger",), ("ledger", "add")], ids=" ".join)
def test_help_has_examples(command: tuple[str, ...]) -> None:
    assert f"mmctr-kit {' '.join(command)}" in run(*command, "--help").output


def test_misuse_is_a_usage_error(place: Path) -> None:
    del place
    submit("r0")
    for arguments in (("nothing.zip", "--auc", "0.9"), ("runs/r0/DONE", "--auc", "0.9")):
        found = run("ledger", "add", *arguments)
        assert getattr(found.exception, "exit_code", None) == 2


def test_a_mistyped_file_is_answered_with_the_recorded_one(place: Path) -> None:
    del place
    submit("r0")
    found = run("ledger", "add", "submissions/r0-Tsk2.zip", "--auc", "0.9")
    assert "(did you mean r0-Task2.zip?)" in str(found.exception)


def test_a_score_far_from_one_without_a_standard_error_is_remarked_on() -> None:
    valid = Estimate(0.7, math.nan, 400)
    row = ledger.Standing("f.zip", "0", "r", "Task2", "", 400, None, valid, 0.95, "")
    assert "valid 0.7000 (standard error n/a): another file's score" in str(row.remark)
    assert replace(row, leaderboard=0.71).remark is None
