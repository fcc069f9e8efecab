"""``mmctr-kit tune`` as a user types it: a worker killed, interrupted, gone on with, and read."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from mmctr_kit.cli.app import app, main
from mmctr_kit.cli.tune import print_summary
from mmctr_kit.files import read_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.tuning.finalists import Finalist
from mmctr_kit.tuning.folder import StudyFolder
from mmctr_kit.tuning.summary import Summary
from tests.tuning.killing import kill_in_a_trial, workers_of

RECIPE = {
    "name": "small",
    "model": {
        "name": "din",
        "use_history": False,
        "embedding_dim": 4,
        "mlp_hidden": [8],
        "batch_norm": False,
    },
    "items": {"embedding": "text", "text_dim": 4},
    "training": {"batch_size": 256, "epochs": 2, "holdout": 0.2, "learning_rate": 1e-2},
    "folds": {"count": 2},
    "search": {
        "items.embedding": {"choice": ["text", "joint_pca"]},
        "items.text_dim": {"int": [2, 16], "when": {"items.embedding": ["text"]}},
        "training.learning_rate": {"float": [1e-3, 5e-2], "log": True},
    },
}
TRIALS = 24


@dataclass(frozen=True)
class Story:
    """Where the runs are; what the interrupted command printed, how it ended, and what it told on
    standard error; what the same command then printed."""

    runs: Path
    first: str
    code: int
    error: str
    second: str


def command(root: Path, recipe: Path, runs: Path, *more: str) -> list[str]:
    data = ("--data", str(root / "data"), "--runs", str(runs), "--devices", "cpu")
    final = ("--finalists", "2", "--final-seeds", "2")
    return ["tune", str(recipe), *data, "--trials", str(TRIALS), *final, *more]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def story(tiny_root: Path, recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Two workers; one is killed after a trial, and after some more comes Ctrl-C."""
    runs = tmp_path_factory.mktemp("tune") / "runs"
    arguments = command(tiny_root, recipe_file, runs)
    process = subprocess.Popen(
        [sys.executable, "-m", "mmctr_kit", *arguments, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert process.stderr is not None
    lines: list[str] = []
    trials = 0
    for line in process.stderr:
        lines.append(line)
        trials += line.startswith("trial ")
        if trials == 1 and line.startswith("trial "):
            kill_in_a_trial(workers_of(process.pid), StudyFolder(runs / "small.study"))
        if trials >= 4 and any("a worker was killed" in line for line in lines):
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, rest = process.communicate(timeout=120)
    shown = "".join(lines) + rest
    second = run(*arguments, "--workers", "1")
    assert second.exit_code == 0, second.output
    return Story(runs, shown, process.returncode, shown, second.output)


def study_of(story: Story) -> dict[str, object]:
    return read_json(story.runs / "small.study" / "study.json")


@pytest.mark.slow
def test_a_killed_worker_is_told_and_replaced(story: Story) -> None:
    assert re.search(
        r"warning: a worker was killed \(signal 9\); .* will be tried again", story.error
    )
    assert len(re.findall(r"^trial \d+", story.first, re.MULTILINE)) >= 4


@pytest.mark.slow
def test_ctrl_c_is_one_line_that_says_how_to_go_on(story: Story) -> None:
    assert story.code == 130
    assert story.error.splitlines()[-1] == (
        "error: interrupted; the same command goes on with the study"
    )
    assert "Traceback" not in story.error


@pytest.mark.slow
def test_the_same_command_goes_on_to_as_many_trials_as_were_asked_for(story: Story) -> None:
    assert re.search(rf"{TRIALS} trials of 2 folds, .*, \d+ of them finished already", story.second)
    states = [t["state"] for t in study_of(story)["trials"]]  # type: ignore[attr-defined]
    assert states.count("complete") + states.count("pruned") == TRIALS
    assert states.count("failed") >= 1
    assert "running" not in states


@pytest.mark.slow
def test_the_report_is_narrow_and_says_what_to_believe(story: Story) -> None:
    shown = story.second
    assert re.search(r"^ +trial +search +one seed again +2 seeds: OOF +valid", shown, re.M)
    assert re.search(r"^the search's best AUC was 0\.\d{4}, trial \d+: optimistic", shown, re.M)
    assert re.search(r"^valid AUC 0\.\d{4} ± .* not used for selection", shown, re.M)
    report = shown[shown.index("Finalists, trained again") :]
    lines = [line for line in report.splitlines() if str(story.runs) not in line]
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
def test_the_time_left_tells_of_the_finalists_too(story: Story) -> None:
    assert re.search(r"; \d+/24, \d+ s left, then 2 finalists, about \d+ s$", story.second, re.M)
    assert re.search(r"; 24/24, then 2 finalists, about \d+ s$", story.second, re.M)
    assert re.search(r"^finalist, .* done in .* s; 1/8, \d+ s left$", story.second, re.M)
    done = re.findall(r"^finalist, .* done in .* s; (\d)/8", story.second, re.M)
    assert done == [str(n) for n in range(1, 9)]


@pytest.mark.slow
def test_a_finished_study_trains_nothing_and_tells_the_same(
    tiny_root: Path, recipe_file: Path, story: Story
) -> None:
    again = run(*command(tiny_root, recipe_file, story.runs, "--workers", "1", "--json"))
    assert again.exit_code == 0
    assert json.loads(again.stdout) == study_of(story)


def cv_of_best(tiny_root: Path, story: Story, runs: Path, *more: str) -> Result:
    best = story.runs / "small.study" / "best.yaml"
    where = ("--data", str(tiny_root / "data"), "--runs", str(runs), "--jobs", "1")
    return run("cv", str(best), *where, "--devices", "cpu", *more)


@pytest.mark.slow
def test_cv_of_the_recipe_written_gives_the_score_reported(
    tiny_root: Path, story: Story, tmp_path: Path
) -> None:
    again = cv_of_best(tiny_root, story, tmp_path)
    assert again.exit_code == 0, again.output
    metrics = Run(tmp_path / "small-tuned").metrics
    reported = study_of(story)
    assert metrics["valid"] == reported["reported_valid"]
    assert metrics["oof"] == reported["finalists"][0]["oof"]  # type: ignore[index]


@pytest.mark.slow
def test_a_finalist_is_named_for_blending_and_not_trained_again(
    tiny_root: Path, story: Story
) -> None:
    again = cv_of_best(tiny_root, story, story.runs)
    assert again.exit_code == 0, again.output
    chosen = study_of(story)["finalists"][0]["trial"]  # type: ignore[index]
    finalist = story.runs / "small.study" / "finalists" / f"trial-{chosen}"
    assert f"blend or submit {finalist} as it is (--force trains it again)" in again.stderr
    assert str(finalist) in again.stdout
    assert not (story.runs / "small-tuned").exists()
    (offered,) = [line for line in story.second.splitlines() if line.startswith("mmctr-kit blend")]
    words = shlex.split(offered)[1:]
    assert str(finalist) in words
    blended = run(*words)
    assert blended.exit_code == 0, blended.output
    assert (story.runs / "small-finalists" / "DONE").is_file()


@pytest.mark.slow
def test_what_the_finalists_cost_is_said_before_the_search(story: Story) -> None:
    text = "after the search: 2 finalists x 2 seeds x 2 folds = 8 fold models (--finalists 0"
    assert text in story.first
    assert re.search(r"^finalists: 8 fold models to train, about \d+ s$", story.second, re.M)


def test_the_space_is_listed_without_data_as_a_recipe_takes_it(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "absent"), "--runs", str(tmp_path / "runs"))
    shown = run("tune", "din_mha_demo", "--list")
    assert shown.exit_code == 0
    listed = json.loads(run("tune", "din_demo", "--list", "--json").stdout)
    assert "items.embedding" in listed["search"]
    content = load_recipe("din_mha_demo").resolved() | yaml.safe_load(shown.stdout)
    written = tmp_path / "mine.yaml"
    written.write_text(yaml.safe_dump(content, sort_keys=False))
    again = run("tune", str(written), *data, "--list")
    assert again.stdout == shown.stdout
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (("--timeout", "soon"), 2, "expected a time like 90s, 30m or 2h; found 'soon'"),
        (("--set", "training.epochs=0"), 2, "training.epochs"),
        (("--name", "a/b"), 2, "expected letters"),
    ],
)
def test_a_mistake_is_one_line(
    more: tuple[str, ...],
    code: int,
    told: str,
    tiny_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = ("--data", str(tiny_root / "data"), "--runs", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["mmctr-kit", "tune", "din_demo", *data, *more])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == code
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


POINT = {"items.embedding": "separate_pca", "training.epochs": 10, "model.mlp_hidden": [64, 32]}


def summary(changes: dict[str, Any], seeds: tuple[int, ...] = (1, 2, 3)) -> Summary:
    found = [Estimate(v, 0.0027, 40_000) for v in (0.7551, 0.7624, 0.7542, 0.7731)]
    finalist = Finalist(0, POINT, changes, *found)
    auc = {"value": 0.7551, "error": 0.0027, "n": 40_000}
    trial = {"number": 0, "state": "complete", "value": 0.7524, "auc": auc}
    return Summary("s", "r", 3, {}, {}, (trial,), {}, (finalist,), seeds)


def printed(told: Summary, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_summary(told, Path("runs/s.study"))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    return lines


@pytest.mark.usefixtures("eighty_columns")
def test_the_recipe_itself_changed_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(summary({}), capsys)
    assert "  nothing: the unchanged recipe was best" in lines
    assert not [line for line in lines if "=" in line]


@pytest.mark.usefixtures("eighty_columns")
def test_what_differs_from_the_recipe_is_said_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(summary({"training.epochs": 10}), capsys)
    assert [line for line in lines if "=" in line] == ["  training.epochs=10"]


@pytest.mark.usefixtures("eighty_columns")
def test_one_seeds_numbers_stand_side_by_side_and_the_seeds_mean_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(summary({}), capsys)
    head = next(line for line in lines if line.lstrip().startswith("trial "))
    assert head.split() == [
        "trial",
        "search",
        "one",
        "seed",
        "again",
        "3",
        "seeds:",
        "OOF",
        "valid",
    ]
    row = lines[lines.index(head) + 1]
    found = [float(word) for word in row.split() if word.startswith("0.")]
    assert found == [0.7551, 0.7542, 0.7624, 0.7731]
    assert row.count("±") == 4


@pytest.mark.usefixtures("eighty_columns")
def test_of_one_new_seed_there_is_no_mean_to_tell_apart(capsys: pytest.CaptureFixture[str]) -> None:
    once = summary({}, (1,))
    final = once.finalists[0]
    lines = printed(replace(once, finalists=(replace(final, one_seed=final.oof),)), capsys)
    assert "seeds" not in "\n".join(lines)
    assert any(line.startswith("search, again: mean fold AUC") for line in lines)
    assert any(line.startswith("valid: AUC of all fold models' mean") for line in lines)
