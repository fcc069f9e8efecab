"""``mmctr-kit runs rm``: asks, names what needs the run, and takes no for an answer."""

import io
import json
import shutil
from pathlib import Path

import pytest

from mmctr_kit.files import locked
from tests.cli.conftest import mistake, run


class Terminal(io.StringIO):
    """Standard input of somebody who is there."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def root(work: Path, tmp_path: Path) -> Path:
    shutil.copytree(work / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def names(root: Path) -> set[str]:
    return {path.parent.name for path in root.glob("*/manifest.json")}


def test_without_a_terminal_it_deletes_nothing_unless_yes(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    before = names(root)
    code, error = mistake(capsys, "runs", "rm", "both", "--runs", str(root))
    flat = " ".join(error.split())
    assert code == 2
    assert "Delete 1 folder (both), " in flat
    assert flat.endswith("There is no terminal to ask at; add --yes")
    assert names(root) == before
    done = run("runs", "rm", "both", "--yes", "--json", "--runs", str(root))
    assert json.loads(done.stdout) == {"deleted": [str(root / "both")]}
    assert names(root) == before - {"both"}


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("\n", False), ("n\n", False)])
def test_it_asks_and_no_is_the_default(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    gone: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    root_and_ledger = ("--runs", str(root), "--ledger", str(root / "none.jsonl"))
    code, error = mistake(capsys, "runs", "rm", "both", *root_and_ledger)
    assert code == (0 if gone else 1)
    assert error.startswith("Delete 1 folder (both), ")
    assert error.rstrip().endswith("[y/N]:")
    assert ("both" in names(root)) is not gone


def test_what_needs_a_run_is_named_before(root: Path, work: Path) -> None:
    ledger = ("--ledger", str(work / "none.jsonl"))
    done = run("runs", "rm", "din_demo", "--yes", *ledger, "--runs", str(root))
    assert "din_demo is part of the blend both" in " ".join(done.stderr.split())
    assert names(root) == {"din_demo_e4", "both"}


def test_a_run_at_work_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(root / "both"):
        code, error = mistake(capsys, "runs", "rm", "both", "--yes", "--runs", str(root))
    assert code == 1
    assert "'both' is in use: a process is at work on it" in error
    assert "both" in names(root)
