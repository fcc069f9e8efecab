"""What the shell offers after a tab: names of runs and recipes, from folder names alone."""

from collections.abc import Iterator
from pathlib import Path

import typer

from mmctr_kit.cli.options import RUNS

_MARKS = ("manifest.json", "ablation.json", "study.json")


def complete_runs(context: typer.Context, incomplete: str) -> list[str]:
    """Runs, ablations and studies under --runs, less those that are on the line already."""
    there = (p.parent.name for mark in _MARKS for p in _root(context).glob(f"*/{mark}"))
    given = context.params.get("run")
    taken = given if isinstance(given, list) else []
    names = sorted({n for n in there if not n.startswith(".")} - set(taken))
    return [n for n in names if n.startswith(incomplete)]


def complete_recipes(incomplete: str) -> list[str]:
    """The shipped recipes, and YAML files in the folder that is being typed."""
    from mmctr_kit.recipe.load import shipped_recipes

    names = [p.stem for p in shipped_recipes()]
    return [n for n in (*names, *_files(incomplete)) if n.startswith(incomplete)]


def complete_runs_and_recipes(context: typer.Context, incomplete: str) -> list[str]:
    """Runs first, then recipes."""
    return complete_runs(context, incomplete) + complete_recipes(incomplete)


def _root(context: typer.Context) -> Path:
    return Path(context.params.get("runs") or RUNS)


def _files(incomplete: str) -> Iterator[str]:
    folder = Path(incomplete).parent if "/" in incomplete else Path()
    for path in sorted(folder.glob("*.yaml")):
        yield str(path)
