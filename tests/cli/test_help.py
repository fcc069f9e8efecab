"""Every help fits its terminal, in words, with examples; groups print theirs; -h is --help."""

import re
import shlex
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mmctr_kit.cli import help as module
from mmctr_kit.cli.app import app
from tests.cli.conftest import run

PYTHONS = re.compile(r"<\w|\b(TEXT|INTEGER|FLOAT|PATH|BOOLEAN)\b|\blist\[|\bNone\b|int range")
"""What Typer calls values: Python's types, or words that name only these."""


def everything(command: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command and every group, by its words."""
    inner = getattr(command, "commands", {})
    return {path: command} | {
        words: found
        for name, child in inner.items()
        for words, found in everything(child, (*path, name)).items()
    }


EVERY = everything(get_command(app))
GROUPS = [path for path, command in EVERY.items() if getattr(command, "commands", None)]


def shown(path: tuple[str, ...], option: str, width: int) -> str:
    done = CliRunner().invoke(app, [*path, option], env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("path", EVERY, ids=lambda path: " ".join(path) or "mmctr-kit")
def test_help_is_in_words_has_an_example_and_is_no_wider_than_the_terminal(
    path: tuple[str, ...], width: int
) -> None:
    text = shown(path, "--help", width)
    assert max(map(len, text.splitlines())) <= width
    assert not PYTHONS.search(text)
    assert f"mmctr-kit {' '.join(path)}".rstrip() in text.split("\nExamples\n")[1]
    assert "\n  -h, --help" in text
    assert shown(path, "-h", width) == text


@pytest.mark.parametrize("path", EVERY, ids=lambda path: " ".join(path) or "mmctr-kit")
def test_no_option_is_called_by_its_type(path: tuple[str, ...]) -> None:
    for parameter in EVERY[path].params:
        assert parameter.help or parameter.name == "help", parameter.name


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80])
def test_an_example_that_is_broken_into_lines_is_one_command_to_a_shell(width: int) -> None:
    for path, command in EVERY.items():
        text = shown(path, "-h", width)
        joined = re.sub(r" \\\n +", " ", text)
        for line in (command.help or "").splitlines():
            if line.startswith("  mmctr-kit "):
                assert f"  {line.strip()}\n" in joined
        if " \\\n" in text:
            lines = text[text.index(" \\\n") :].splitlines()
            assert shlex.split(lines[1])[0] != "mmctr-kit"


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: " ".join(path) or "mmctr-kit")
def test_a_group_alone_prints_its_help_or_does_what_it_says(path: tuple[str, ...]) -> None:
    if EVERY[path].invoke_without_command:
        pytest.skip("it does something alone")
    done = CliRunner().invoke(app, [*path])
    assert done.exit_code == 2  # as Typer has it for a group without a command
    assert "Usage: " in done.output
    assert "Examples" in done.output


def test_the_commands_stand_in_panels_in_the_order_of_work() -> None:
    text = shown((), "-h", 80)
    places = [text.index(f"\n{panel}\n") for panel in module.PANELS]
    assert places == sorted(places)
    assert "\nCommands\n" not in text  # every command has its panel
    for command in ("data", "cv", "blend", "submit", "runs"):
        assert f"\n  {command} " in text


def test_what_need_not_be_typed_each_time_is_told_where_somebody_looks() -> None:
    assert "MMCTR_KIT_DATA" in run("-h").output
    assert "mmctr-kit.toml" in run("-h").output
    text = " ".join(run("cv", "-h").output.split())
    assert "[required; env: MMCTR_KIT_DATA; mmctr-kit.toml: data]" in text


def test_a_name_that_is_longer_than_the_column_has_a_line_of_its_own() -> None:
    text = shown(("cv",), "-h", 60)
    assert "\n  --devices, --device auto|cpu|cuda|cuda:0,cuda:1\n      auto: all GPUs" in text


def test_help_is_shown_however_narrow_a_terminal_says_that_it_is() -> None:
    for path in EVERY:
        assert "".join(shown(path, "--help", 1).split())
