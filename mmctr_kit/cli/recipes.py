"""``mmctr-kit recipes``: the shipped recipes, and one in full."""

from typing import Annotated

import typer

from mmctr_kit.cli.output import say, table


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe's file.")] = None,
) -> None:
    """List the shipped recipes, or print one to copy and change.

    [bold]Examples[/bold]

      mmctr-kit recipes

      mmctr-kit recipes din_official > mine.yaml
    """
    from mmctr_kit.recipe import find_recipe, shipped_recipes

    if name is not None:
        typer.echo(find_recipe(name).read_text("utf-8"), nl=False)
        return
    rows = []
    for path in shipped_recipes():
        first = path.read_text("utf-8").splitlines()[0]
        rows.append((path.stem, first.removeprefix("#").strip()))
    table(("recipe", "what it is"), rows, left=2)
    say("mmctr-kit recipes NAME prints one; mmctr-kit cv takes a name or a file")
