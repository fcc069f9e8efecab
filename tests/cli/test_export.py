"""``mmctr-kit export`` as typed. tests/extras has the trackers themselves."""

import json
from pathlib import Path

import pytest

from mmctr_kit.export import trackers
from tests.cli.conftest import mistake, run
from tests.export.conftest import exported_runs
from tests.export.memory import MemoryTracker

__all__ = ["exported_runs"]  # a fixture


def test_it_says_what_became_of_each_run_and_how_to_look(
    exported_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = MemoryTracker()
    monkeypatch.setattr(trackers, "require_tool", lambda *_: None)
    monkeypatch.setattr(trackers, "open_tracker", lambda *_: tracker)
    command = ("export", "alpha", "small", "--to", "tensorboard", "--runs", str(exported_runs))
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "alpha (cv): written",
        "small (study): written",
        "small-finalist-7 (cv): written",
        "18 trials: written",
        "in memory",
        "to look: tensorboard --logdir memory",
    ]
    told = json.loads(run(*command, "--json").stdout)
    assert told["place"] == "memory"
    assert {one["state"] for one in told["exported"]} == {"unchanged"}
    assert [one["key"] for one in told["exported"]] == list(tracker.copies)


def test_a_tool_that_is_not_installed_is_one_line_with_the_command_to_run(
    exported_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trackers, "NEEDED", {"mlflow": ("no_such_package",)})
    code, said = mistake(capsys, "export", "alpha", "--to", "mlflow", "--runs", str(exported_runs))
    assert code == 2
    assert said == (
        "error: --to mlflow needs no_such_package, not installed here; pip install "
        "'mmctr-kit[mlflow]'\n"
    )


def test_a_run_that_is_not_there_is_refused_before_a_tool_opens_its_place(
    exported_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trackers, "require_tool", lambda *_: None)
    code, said = mistake(capsys, "export", "alph", "--to", "wandb", "--runs", str(exported_runs))
    assert code == 2
    assert "no run 'alph' (did you mean alpha?)" in said
