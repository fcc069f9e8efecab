"""What to do next follows from facts, and each command is one that the kit has."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.main import get_command

from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.cli.app import app
from mmctr_kit.report.advice import Advice, advice
from mmctr_kit.report.subject import Subject, open_subject
from mmctr_kit.runs import Run
from tests.report.made import make_run

Change = Callable[[dict[str, object]], object]


def changed(run: Run, name: str, change: Change) -> None:
    path = run.path / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def told(subject: Subject, root: Path) -> dict[str, Advice]:
    return {a.title: a for a in advice(subject, root, root / "submissions")}


@pytest.fixture
def run(tiny: ChallengeData, tmp_path: Path) -> Run:
    return make_run(tmp_path, "x", tiny, 1.0, 0)


def test_one_seed_asks_for_more_and_three_do_not(run: Run) -> None:
    root = run.path.parent
    found = told(open_subject("x", root), root)["Train more seeds"]
    assert "--set 'seeds=[0,1,2]'" in found.command
    changed(run, "manifest.json", lambda m: m.update(seeds=[0, 1, 2]))
    assert not [t for t in told(open_subject("x", root), root) if "seeds" in t]


def test_an_alarm_comes_first_and_is_urgent(run: Run) -> None:
    root = run.path.parent
    assert not any(a.urgent for a in told(open_subject("x", root), root).values())
    changed(run, "metrics.json", lambda m: m.update(alarm="OOF and valid differ"))
    first, *_ = advice(open_subject("x", root), root, root)
    assert first.urgent
    assert first.command.startswith("mmctr-kit data profile DATA")


def test_tied_scores_are_urgent(run: Run) -> None:
    subject = open_subject("x", run.path.parent)
    subject = replace(subject, metrics={**subject.metrics, "test_tied_share": 0.4})
    assert told(subject, run.path.parent)["Break the ties"].urgent


def test_curves_that_end_at_their_best_ask_for_more_epochs(run: Run) -> None:
    root = run.path.parent
    found = told(open_subject("x", root), root)["Train longer"]
    assert "training.epochs=6" in found.command
    for path in run.path.glob("folds/*/metrics.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        text = [json.dumps({**line, "best": line["epoch"] == 1}) for line in lines]
        path.write_text("\n".join(text) + "\n")
    again = told(open_subject("x", root), root)
    assert "Train longer" not in again
    assert "Regularise, or slow down" in again


def test_a_weak_slice_is_named(run: Run) -> None:
    def weaken(metrics: dict[str, object]) -> None:
        slices = metrics["slices"]
        assert isinstance(slices, list)
        slices[0] |= {"worse": True, "note": "n", "errors": -4.2}

    changed(run, "metrics.json", weaken)
    found = told(open_subject("x", run.path.parent), run.path.parent)["Look at the weak slices"]
    assert "4.2 errors below the other rows" in found.why


def test_a_submission_that_is_there_is_to_be_checked(run: Run) -> None:
    root = run.path.parent
    assert "Write a submission" in told(open_subject("x", root), root)
    (root / "submissions").mkdir()
    (root / "submissions" / "x-both.zip").touch()
    found = told(open_subject("x", root), root)
    assert "Write a submission" not in found
    assert "x-both.zip" in found["Check the submission again before you hand it in"].command


def test_runs_of_the_same_rows_are_to_be_blended_and_a_blend_is_not(
    tiny: ChallengeData, tmp_path: Path, made_runs: Path
) -> None:
    make_run(tmp_path, "a", tiny, 1.0, 0)
    make_run(tmp_path, "b", tiny, 1.0, 1)
    command = told(open_subject("a", tmp_path), tmp_path)["Blend it"].command
    assert command.startswith("mmctr-kit blend a b --name a_blend")
    assert "Blend it" not in told(open_subject("mix", made_runs), made_runs)


def test_of_two_runs_that_could_stand_in_for_each_other_one_is_to_go(made_runs: Path) -> None:
    subject = open_subject("mix", made_runs)
    small = {n: {"value": v, "error": 1e-4, "n": 9} for n, v in (("a", 1e-5), ("copy_of_a", 0.0))}
    large = {n: {"value": 0.01, "error": 1e-4, "n": 9} for n in ("b", "c")}
    related = {**subject.metrics["blend"], "adds": {**small, **large}}
    subject = replace(subject, metrics={**subject.metrics, "blend": related})
    found = told(subject, made_runs)["Leave out what adds least"]
    assert found.command.startswith("mmctr-kit blend a b c --name mix_less")
    assert "a, copy_of_a" in found.why


@pytest.mark.parametrize("name", ["alpha", "beta", "mix"])
def test_every_command_is_one_that_the_kit_has_with_options_that_it_takes(
    name: str, made_runs: Path
) -> None:
    given = advice(open_subject(name, made_runs), made_runs, made_runs)
    assert given
    for each in given:
        program, *words = shlex.split(each.command)
        assert program == "mmctr-kit"
        command = get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        takes = {o for parameter in command.params for o in parameter.opts}
        assert {w for w in words if w.startswith("--")} <= takes, each.command
