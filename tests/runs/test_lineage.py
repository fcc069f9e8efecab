"""Where a run comes from is recorded beside it, cannot fail, and tells how to go on with it."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit import __version__
from mmctr_kit.files import locked, write_json
from mmctr_kit.runs.call import called, command_line
from mmctr_kit.runs.lineage import (
    again,
    began,
    begin_lineage,
    git_state,
    note_begun,
    note_finished,
    note_resumed,
    read_lineage,
    unfinished,
    write_lineage,
)
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import begin_run
from tests.runs.test_run import MANIFEST, finished
from tests.runs.unsealed import unsealed

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, of one file."""
    folder = tmp_path / "mine"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "notes.txt").write_text("1\n")
    git(folder, "add", "notes.txt")
    git(folder, "commit", "-qm", "one")
    return folder


@needs_git
def test_the_commit_is_known_anywhere_in_a_repository_and_whether_files_differ_from_it(
    repository: Path,
) -> None:
    commit, inside = git(repository, "rev-parse", "HEAD"), repository / "runs"
    inside.mkdir()
    (inside / "new.txt").write_text("not under version control\n")
    assert git_state(inside) == (commit, False)
    (repository / "notes.txt").write_text("2\n")
    assert git_state(inside) == (commit, True)


@needs_git
def test_no_repository_no_commit_a_bare_one_and_no_git_are_no_errors(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    empty, bare = tmp_path / "empty", tmp_path / "bare"
    empty.mkdir()
    assert git_state(empty) == (None, None)
    assert git_state(tmp_path / "nowhere") == (None, None)
    git(empty, "init", "-q")
    assert git_state(empty) == (None, None)
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    assert git_state(bare) == (git(repository, "rev-parse", "HEAD"), None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(repository) == (None, None)


def test_a_run_has_when_where_and_by_which_command_it_was_made(tmp_path: Path) -> None:
    with called("mmctr-kit cv x"):
        writer = begin_run(tmp_path / "x", MANIFEST, None, False, Path("some/data"))
    assert writer is not None
    lineage = Run(tmp_path / "x").lineage
    assert lineage is not None
    assert (lineage.command, lineage.folder) == ("mmctr-kit cv x", os.getcwd())
    assert lineage.data == str(Path.cwd() / "some" / "data")
    assert (lineage.version, lineage.finished, lineage.resumed) == (__version__, None, 0)
    with called("mmctr-kit cv x --jobs 2"):
        assert begin_run(tmp_path / "x", MANIFEST, None, False) is not None
    assert read_lineage(tmp_path / "x") == lineage  # nothing was trained that could be resumed
    note_resumed(tmp_path / "x")
    assert read_lineage(tmp_path / "x") == replace(lineage, resumed=1)
    finished(tmp_path / "x")
    done = read_lineage(tmp_path / "x")
    assert done is not None
    assert done == replace(lineage, resumed=1, finished=done.finished)
    assert lineage.began <= (done.finished or "")
    assert Run(tmp_path / "x").timings["seconds"] == 2


def test_a_study_keeps_what_began_it_and_takes_the_latest_plan(tmp_path: Path) -> None:
    with called("first"):
        note_begun(tmp_path, begin_lineage(None, "CPU", 5))
    with called("second"):
        note_begun(tmp_path, begin_lineage(None, "CPU", 8))
    lineage = read_lineage(tmp_path)
    assert lineage is not None
    assert (lineage.command, lineage.planned, lineage.resumed) == ("first", 8, 1)
    assert again(lineage) == "second"
    with called("a joiner"):
        note_begun(tmp_path, begin_lineage(None, "CPU", 3), joins=True)
    assert read_lineage(tmp_path) == lineage
    note_finished(tmp_path, (), ())
    lineage = read_lineage(tmp_path)
    assert lineage is not None
    assert lineage.finished is not None
    note_begun(tmp_path, begin_lineage(None, "CPU", 9))  # extended, not resumed
    lineage = read_lineage(tmp_path)
    assert lineage is not None
    assert (lineage.finished, lineage.planned, lineage.resumed) == (None, 9, 1)


def test_what_an_earlier_version_wrote_has_no_lineage_but_a_date(tmp_path: Path) -> None:
    finished(tmp_path / "x")
    write_json(unsealed(tmp_path / "x") / "timings.json", {"seconds": 2})
    os.utime(tmp_path / "x" / "manifest.json", (0, 0))
    note_resumed(tmp_path / "x")
    assert read_lineage(tmp_path / "x") is None
    assert began(tmp_path / "x", "manifest.json") == "1970-01-01T00:00:00+00:00"
    assert began(tmp_path / "nowhere", "manifest.json") is None
    write_json(tmp_path / "x" / "timings.json", {"lineage": {"began": "of another version"}})
    assert read_lineage(tmp_path / "x") is None


def test_an_unfinished_run_says_how_to_go_on_or_that_it_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x"
    with called("mmctr-kit cv x --data 'my data'"):
        begin_run(path, MANIFEST, None, False)
    go_on = "to go on with it: mmctr-kit cv x --data 'my data'"
    assert str(unfinished(path, "run 'x'")) == f"run 'x' is unfinished; {go_on}"
    with locked(path):
        assert "is at work on it; wait until it ends" in str(unfinished(path, "run 'x'"))
    monkeypatch.chdir("/")
    assert str(unfinished(path, "run 'x'")).endswith(f"{go_on} (in {tmp_path})")
    lineage = read_lineage(path)
    assert lineage is not None
    write_lineage(path, replace(lineage, command=None), {})
    assert str(unfinished(path, "it")) == "it is unfinished; repeat the command that began it"
    assert again(replace(lineage, folder=os.getcwd())) == lineage.command


def test_all_of_it_is_in_the_file_that_may_differ(tmp_path: Path) -> None:
    run = finished(tmp_path / "x")
    holds = [p.name for p in run.path.iterdir() if b"lineage" in p.read_bytes()]
    assert holds == ["timings.json"]
    assert set(run.timings) == {"lineage", "seconds"}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("mmctr-kit cv x --force --name y", "mmctr-kit cv x --name y"),
        ("mmctr_kit.fit('x', force=True)", "mmctr_kit.fit('x')"),
        ("mmctr-kit cv x --name=a--force", "mmctr-kit cv x --name=a--force"),
    ],
)
def test_the_command_that_goes_on_does_not_begin_again(command: str, expected: str) -> None:
    with called(command):
        assert again(begin_lineage(None, "CPU")) == expected


def test_what_was_not_recorded_of_a_command_is_said() -> None:
    with called(command_line(["tune", "x", "--storage", "postgresql://me:secret@db/t"])):
        text = again(begin_lineage(None, "CPU"))
    assert "secret" not in text
    assert text.endswith("(*** stands for what was not recorded: who logs in, and how)")
