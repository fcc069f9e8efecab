"""Shared options: the shell completes names quickly, and ``--list`` shows checks and runs none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmctr_kit.audit.check import CHECKS as DATA
from mmctr_kit.audit.findings import Catalogue
from mmctr_kit.cli.app import app
from mmctr_kit.submission.checks.catalog import BY_LEDGER, CHECKS
from mmctr_kit.submission.rules import RULES

CODE = (
    "import sys\n"
    "from mmctr_kit.cli.app import main\n"
    "sys.argv = ['mmctr-kit']\n"
    "try:\n    main()\nexcept SystemExit:\n    pass\n"
    "print('LOADED', [m for m in ('torch', 'lightgbm', 'optuna', 'numpy', 'pyarrow')"
    " if m in sys.modules])\n"
)


def offered(line: str, folder: Path) -> set[str]:
    """What bash is offered at the end of ``line``, typed in ``folder``."""
    words = line.split(" ")
    told = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    environment = os.environ | told | {"_MMCTR_KIT_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    names, loaded = done.stdout.split("LOADED ")
    assert loaded.strip() == "[]"
    return set(names.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs ``beta`` and ``bravo`` and a study in runs/, ``best`` elsewhere, and a recipe file."""
    for where in ("runs/beta", "runs/bravo", "runs/.hidden", "other/best"):
        (tmp_path / where).mkdir(parents=True)
        (tmp_path / where / "manifest.json").touch()
    (tmp_path / "runs" / "b.study").mkdir()
    (tmp_path / "runs" / "b.study" / "study.json").touch()
    (tmp_path / "din_mine.yaml").touch()
    return tmp_path


def test_runs_are_offered_where_a_run_is_wanted(folder: Path) -> None:
    assert offered("mmctr-kit report b", folder) == {"beta", "bravo", "b.study"}
    assert offered("mmctr-kit slices br", folder) == {"bravo"}


def test_a_run_that_is_on_the_line_is_not_offered_again(folder: Path) -> None:
    assert offered("mmctr-kit blend beta b", folder) == {"bravo", "b.study"}


def test_the_folder_of_runs_is_the_one_that_the_line_names(folder: Path) -> None:
    assert offered("mmctr-kit report --runs other b", folder) == {"best"}


def test_recipes_are_offered_shipped_ones_and_files(folder: Path) -> None:
    found = offered("mmctr-kit cv din_m", folder)
    assert {"din_mine.yaml", "din_mha_demo", "din_mha_se_pca"} <= found
    assert all(name.startswith("din_m") for name in found)


def test_tasks_are_offered_by_names_that_need_no_quotes(folder: Path) -> None:
    assert offered("mmctr-kit submit beta --task T", folder) == {"Task1", "Task2"}
    assert offered("mmctr-kit submit beta --task b", folder) == {"both"}


def test_it_can_be_installed() -> None:
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output


OF_SUBMIT = {**CHECKS, **BY_LEDGER, **{rule.info.id: rule.info for rule in RULES}}
CASES = [(("data", "check"), DATA), (("submit",), OF_SUBMIT)]


@pytest.mark.parametrize(("command", "checks"), CASES, ids=["data check", "submit"])
@pytest.mark.parametrize("options", [("--list", "--json"), ("--json", "--list")], ids=str)
def test_the_list_is_the_catalogue_without_any_argument(
    command: tuple[str, ...], checks: Catalogue, options: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(app, [*command, *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == [
        {"id": c.id, "worst": c.worst.value, "promise": c.promise} for c in checks.values()
    ]


@pytest.mark.parametrize(("command", "checks"), CASES, ids=["data check", "submit"])
def test_the_table_has_a_line_for_each_check(command: tuple[str, ...], checks: Catalogue) -> None:
    result = CliRunner().invoke(app, [*command, "--list"])
    assert result.exit_code == 0, result.output
    starts = {line.split()[0] for line in result.output.splitlines() if line.startswith(" ")}
    assert set(checks) <= starts
    assert max(map(len, result.output.splitlines())) <= 80


def test_without_the_list_the_argument_is_needed() -> None:
    assert CliRunner().invoke(app, ["data", "check"]).exit_code != 0
