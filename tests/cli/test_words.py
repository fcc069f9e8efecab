"""Parameters in words: what stands for a value, and what a value must be."""

from typing import Any

import pytest
from typer.main import get_command

from mmctr_kit.cli import words
from mmctr_kit.cli.app import app

COMMANDS: Any = get_command(app)


def parameter(command: str, name: str) -> Any:
    found: Any = COMMANDS
    for word in command.split():
        found = found.commands[word]
    return next(p for p in found.params if p.name == name)


@pytest.mark.parametrize(
    ("command", "name", "metavar", "expected"),
    [
        ("tune", "trials", "N", "a whole number, 1 or more"),
        ("blend", "seed", "N", "a whole number, 0 to 2147483647"),
        ("bench", "seconds", "X", "a number, 0.01 or more"),
        ("cv", "name", "NAME", ""),
        ("cv", "runs", "FOLDER", ""),
        ("cv", "force", "", ""),
        ("score", "labels", "FILE", ""),
        ("slices", "split", "oof|valid", "one of oof, valid"),
        ("blend", "method", "METHOD", "one of auto, mean, "),
        ("submit", "task", "Task1|Task2|both", "one of Task1, Task2, both, Task1&2"),
    ],
)
def test_a_value_is_named_and_described(
    command: str, name: str, metavar: str, expected: str
) -> None:
    found = parameter(command, name)
    assert words.metavar(found) == metavar
    assert words.expected(found).startswith(expected)
    assert bool(words.expected(found)) == bool(expected) or name == "force"


def test_an_option_is_named_by_its_dashes_and_an_argument_by_its_word() -> None:
    assert words.label(parameter("cv", "data")) == "--data"
    assert words.label(parameter("cv", "recipe")) == "RECIPE..."


def test_long_choices_stand_in_the_text_and_the_settings_file_s_key_beside_the_variable() -> None:
    assert any(
        note.startswith("one of auto, mean") for note in words.notes(parameter("blend", "method"))
    )
    assert words.notes(parameter("cv", "runs")) == [
        "default: runs",
        "env: MMCTR_KIT_RUNS",
        "mmctr-kit.toml: runs",
    ]
    assert words.notes(parameter("cv", "settings")) == ["repeatable"]


def test_a_usage_line_shows_what_is_needed_and_what_is_not() -> None:
    cv, recipes = COMMANDS.commands["cv"], COMMANDS.commands["recipes"]
    assert words.usage("mmctr-kit cv", cv.params, False) == "mmctr-kit cv [OPTIONS] RECIPE..."
    assert words.usage("mmctr-kit recipes", recipes.params, False).endswith("[OPTIONS] [NAME]")
