"""``mmctr-kit recipes``: the shipped recipes, and one in full."""

from typing import Annotated

from typer import echo

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, say, table


def recipes(
    name: Annotated[
        str | None, options.recipe_argument("NAME", "Print this recipe's file.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the shipped recipes, or print one to copy and change.

    [bold]Examples[/bold]

      mmctr-kit recipes
      mmctr-kit recipes din_official > mine.yaml
      mmctr-kit recipes --json
    """
    from mmctr_kit.recipe.load import find_recipe, shipped_recipes

    if name is not None:
        if as_json:
            from mmctr_kit.recipe import load_recipe

            print_json(load_recipe(name, ()).resolved())
            return
        echo(find_recipe(name).read_text("utf-8"), nl=False)
        return
    rows = []
    for path in shipped_recipes():
        first = path.read_text("utf-8").splitlines()[0]
        rows.append((path.stem, first.removeprefix("#").strip()))
    if as_json:
        print_json([{"name": n, "what": what} for n, what in rows])
        return
    table(("recipe", "what it is"), rows, left=2)
    say("mmctr-kit recipes NAME prints one; mmctr-kit cv takes a name or a file")
