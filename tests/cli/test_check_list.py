"""mmctr_kit.cli.check_list: ``--list`` shows every check and runs none."""

import json

import pytest
from typer.testing import CliRunner

from mmctr_kit.audit.check import CHECKS as DATA
from mmctr_kit.audit.findings import Catalogue
from mmctr_kit.cli.app import app
from mmctr_kit.submission.checks.catalog import CHECKS, RULES

CASES = [(("data", "check"), DATA), (("submit",), {**CHECKS, **RULES})]


@pytest.mark.parametrize(("command", "checks"), CASES, ids=["data check", "submit"])
@pytest.mark.parametrize("options", [("--list", "--json"), ("--json", "--list")], ids=str)
def test_the_list_is_the_catalogue_without_any_argument(
    command: tuple[str, ...], checks: Catalogue, options: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(app, [*command, *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == [
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
