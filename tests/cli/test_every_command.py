"""What every command keeps: help with an example, JSON for scripts, nothing heavy for the help."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mmctr_kit.cli.app import app

WITHOUT_JSON = {"demo": "shows other commands at work"}
"""Commands whose result no script would read, each with the reason."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its words."""
    inner = getattr(command, "commands", {})
    if path and (not inner or getattr(command, "invoke_without_command", False)):
        yield path, command
    for name, child in inner.items():
        yield from commands(child, (*path, name))


EVERY = dict(commands(get_command(app)))


def test_there_are_commands_of_both_kinds() -> None:
    assert {("cv",), ("report",), ("data", "check"), ("ledger",), ("ledger", "add")} <= set(EVERY)


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_has_an_example_that_names_the_command_and_fits_80_columns(
    path: tuple[str, ...],
) -> None:
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    _, examples = done.output.split("Examples")
    assert f"mmctr-kit {' '.join(path)}" in examples
    assert max(map(len, done.output.splitlines())) <= 80


@pytest.mark.slow
def test_the_help_of_every_command_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from mmctr_kit.cli.app import app\n"
        f"for path in {list(EVERY)!r}:\n"
        "    assert CliRunner().invoke(app, [*path, '--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'lightgbm', 'optuna', 'numpy', 'matplotlib', 'jinja2')"
        " if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_what_a_script_would_read_can_be_had_as_json(path: tuple[str, ...]) -> None:
    options = {o for parameter in EVERY[path].params for o in parameter.opts}
    assert ("--json" in options) == (path[-1] not in WITHOUT_JSON)
