"""The examples in the help texts name what README's walk-through, or ``mmctr-kit demo``, leaves."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from mmctr_kit.cli.app import app
from mmctr_kit.cli.demo import RECIPES
from mmctr_kit.recipe import load_recipe
from mmctr_kit.recipe.family import FAMILIES

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
FROM_ELSEWHERE = {"import-checkpoint", "import-predictions", "data movielens", "data import"}
DEMO_RUNS = {*RECIPES, "blend"}
DEMO_FILES = {"demo/blend-both.zip", "demo/data", "demo/truth", "demo/truth/test_labels.parquet"}


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """A command line's command, like ``data check``, and its parameters, as Typer takes them."""
    command: Any = get_command(app)
    words, names = shlex.split(line.partition(" > ")[0])[1:], []
    while words and words[0] in getattr(command, "commands", {}):
        names.append(words[0])
        command = command.commands[words.pop(0)]
    try:
        return " ".join(names), command.make_context("x", words).params
    except typer.Exit:  # an option that prints something and ends the command
        return " ".join(names), {}


def examples(command: Any) -> Iterator[str]:
    for line in (command.help or "").splitlines():
        if line.startswith("  mmctr-kit "):
            yield line.strip()
    for child in getattr(command, "commands", {}).values():
        yield from examples(child)


def walk_through() -> tuple[set[str], set[str]]:
    """The runs and the files that README's commands make, with the defaults' places."""
    runs, files = set(), set()
    for line in re.findall(r"^ *(mmctr-kit [^\n#]+)", README, re.MULTILINE):
        if "RECIPE" in line or "RUN" in line:
            continue
        command, params = parsed(line)
        if command == "cv":
            runs |= {params["name"]} if params["name"] else set(params["recipe"])
        elif command == "blend":
            runs.add(params["name"])
        elif command == "fit":
            runs.add(f"{params['like']}-fit")
        elif command == "ablate":
            runs.add(f"{params['recipe']}.ablate")
        elif command == "tune":
            runs.add(f"{params['recipe']}.study")
        elif command == "submit" and not params["check"]:
            files.add(f"submissions/{params['run']}-{params['task']}.zip")
    return runs, files


RUNS, FILES = walk_through()
EVERY = list(dict.fromkeys(examples(get_command(app))))


def test_there_are_examples_and_a_walk_through() -> None:
    assert len(EVERY) > 30
    assert {"din_official", "din_e4", "mix"} <= RUNS
    assert "submissions/mix-both.zip" in FILES


@pytest.mark.parametrize("line", EVERY)
def test_an_example_names_what_is_there_by_then(line: str) -> None:
    command, params = parsed(line)
    of_demo = str(params.get("runs")) == "demo/runs"
    known, files = DEMO_RUNS if of_demo else RUNS, FILES | DEMO_FILES
    named = [params.get(key) for key in ("run", "source", "file", "like")]
    for name in [
        n for group in named for n in (group if isinstance(group, list | tuple) else [group])
    ]:
        if name is not None and command not in FROM_ELSEWHERE:
            assert str(name) in (files if "/" in str(name) else known)
    if command in ("cv", "ablate", "tune", "fit"):
        recipes = params["recipe"] or []
        for recipe in [recipes] if isinstance(recipes, str) else recipes:
            family = FAMILIES.get(recipe, ()) if command == "cv" else ()
            for name in [member.recipe for member in family] or [recipe]:
                load_recipe(name, params["settings"] or ())
    for key in ("data", "folder", "truth", "labels"):
        if params.get(key) is not None:
            assert str(params[key]) in {"DATA", "OUT", "ml-100k", *DEMO_FILES}
