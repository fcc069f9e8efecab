"""``mmctr-kit runs rm``: asks, names what needs the run, and takes no for an answer."""

import io
import json
import shutil
from pathlib import Path

import pytest

from mmctr_kit.files import locked
from mmctr_kit.report.context import MARK
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
    assert f"Delete 1 folder ({root / 'both'}), " in flat
    assert flat.endswith("Nothing was done; add --yes")
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
    assert " ".join(error.split()).startswith(f"Delete 1 folder ({root / 'both'}), ")
    assert error.rstrip().endswith("[y/N]:")
    assert ("both" in names(root)) is not gone


def test_a_study_or_an_ablation_is_deleted_by_its_full_name_alone(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("ab.ablate", "st.study"):
        (root / folder).mkdir()
        (root / folder / "settings.json").write_text("{}")
        (root / folder / "ablation.json").write_text("{}")
        place = ("--yes", "--runs", str(root))
        code, error = mistake(capsys, "runs", "rm", folder.partition(".")[0], *place)
        assert code == 2
        assert error.rstrip().endswith(f"to delete it with all of them, name it in full: {folder}")
        assert (root / folder).is_dir()
        assert run("runs", "rm", folder, *place).exit_code == 0
        assert not (root / folder).exists()


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


def test_the_folder_typed_before_rm_comes_before_the_environment(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(root, other)
    monkeypatch.setenv("MMCTR_KIT_RUNS", str(other))
    assert run("runs", "--runs", str(root), "rm", "both", "--yes").exit_code == 0
    assert "both" not in names(root)
    assert "both" in names(other)
    assert run("runs", "rm", "both", "--yes").exit_code == 0
    assert "both" not in names(other)


@pytest.mark.parametrize("file", ["manifest.json", "settings.json"])
def test_a_folder_that_is_no_run_is_not_deleted(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "extension").mkdir()
    (tmp_path / "extension" / file).write_text('{"name": "of a browser"}')
    code, error = mistake(capsys, "runs", "rm", "extension", "--yes", "--runs", str(root))
    assert code == 2
    assert "no run, study or ablation 'extension'" in " ".join(error.split())
    assert (tmp_path / "extension" / file).exists()


def test_what_it_asks_about_is_what_it_deletes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(root, root / "runs")  # somebody once worked inside of runs/
    assert run("runs", "rm", "both", "--yes", "--runs", "runs").exit_code == 0
    assert "both" not in names(root)
    assert "both" in names(root / "runs")


def test_a_run_inside_a_study_that_goes_too_is_not_deleted_twice(root: Path) -> None:
    study = root / "s.study"
    (study / "finalists").mkdir(parents=True)
    (study / "settings.json").write_text("{}")
    shutil.copytree(root / "both", study / "finalists" / "trial-1")
    inner = str(study / "finalists" / "trial-1")
    done = run("runs", "rm", "s.study", inner, "--yes", "--json", "--runs", str(root))
    assert json.loads(done.stdout) == {"deleted": [str(study)]}
    assert not study.exists()


def test_jobs_of_a_cluster_may_still_write_to_a_run(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / ".slurm" / "both").mkdir(parents=True)
    code, error = mistake(capsys, "runs", "rm", "both", "--yes", "--runs", str(root))
    assert code == 1
    assert "may be in use by jobs of a SLURM cluster; cancel them" in " ".join(error.split())
    assert "both" in names(root)


def test_the_page_of_a_run_and_the_index_go_with_it(root: Path) -> None:
    (root / "both.html").write_text(f"<!doctype html>\n{MARK}\n")
    (root / "index.html").write_text(f"<!doctype html>\n{MARK}\n")
    (root / "din_demo.html").write_text("<p>of somebody else</p>")
    done = run("runs", "rm", "both", "din_demo", "--yes", "--runs", str(root))
    assert str(root / "both.html") in done.output
    assert "'mmctr-kit report --all' writes the index anew" in done.output
    assert {path.name for path in root.glob("*.html")} == {"din_demo.html"}


def test_an_index_stays_if_no_page_goes(root: Path) -> None:
    (root / "index.html").write_text(f"<!doctype html>\n{MARK}\n")
    run("runs", "rm", "both", "--yes", "--runs", str(root))
    assert (root / "index.html").is_file()
