"""``mmctr-kit recipes``: the shipped recipes, one in full, and what its keys mean."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from typer import Option, echo

from mmctr_kit.cli import options
from mmctr_kit.cli.output import console, print_json, say, table, wrapped
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    from mmctr_kit.recipe.keys import Key

_INDENT = "    "


def recipes(
    name: Annotated[
        str | None, options.recipe_argument("NAME", "Name or file of a recipe, or a family.")
    ] = None,
    keys: Annotated[
        bool, Option("--keys", help="Say what each key takes and means, instead.")
    ] = False,
    only: Annotated[
        list[str] | None,
        Option(metavar="KEY", help="Of --keys, those of a block or like 'model.*dim'; repeatable."),
    ] = None,
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """List the shipped recipes, print one to copy and change, or explain its keys.

    With --keys, each key of the recipe and of its model has its value, its default, what it takes,
    what it means, and with which values of other keys it does something. Any of them goes with
    --set, as in --set training.epochs=3.

    [bold]Examples[/bold]

      mmctr-kit recipes
      mmctr-kit recipes din_official > mine.yaml
      mmctr-kit recipes din_official --keys --only training
      mmctr-kit recipes best
      mmctr-kit recipes --json
    """
    from mmctr_kit.recipe.family import FAMILIES
    from mmctr_kit.recipe.load import find_recipe, load_recipe, shipped_recipes

    if only and not keys:
        raise UsageError("--only chooses among the keys that --keys explains; add --keys")
    if name is None:
        if keys or settings:
            raise UsageError("NAME is missing: mmctr-kit recipes NAME --keys explains its keys")
        rows = []
        for path in shipped_recipes():
            first = path.read_text("utf-8").splitlines()[0]
            rows.append((path.stem, first.removeprefix("#").strip()))
        if as_json:
            print_json([{"name": n, "what": what} for n, what in rows])
            return
        table(("recipe", "what it is"), rows, left=2)
        say("mmctr-kit recipes NAME prints one; mmctr-kit cv takes a name or a file")
        families = "; ".join(f"{family} ({len(m)} runs)" for family, m in FAMILIES.items())
        say(f"families, which cv trains in turn, as time allows: {families}")
        say("mmctr-kit recipes NAME --keys says what each of its keys takes and means")
    elif name in FAMILIES and not keys and not settings:
        members = [(each.name, each.recipe, each.adds) for each in FAMILIES[name]]
        if as_json:
            print_json([dict(zip(("run", "recipe", "adds"), row, strict=True)) for row in members])
            return
        table(("run", "recipe", "what it adds to those above"), members, left=3)
        say(f"mmctr-kit cv {name} trains them, as time allows; mmctr-kit recipes RECIPE prints one")
    elif keys:
        from mmctr_kit.recipe.keys import recipe_keys

        listed = recipe_keys(load_recipe(name, settings or ()), only or ())
        if as_json:
            print_json([asdict(key) for key in listed])
        else:
            _print_keys(listed)
    elif as_json:
        print_json(load_recipe(name, settings or ()).resolved())
    elif settings:
        echo(load_recipe(name, settings).to_yaml(), nl=False)
    else:
        echo(find_recipe(name).read_text("utf-8"), nl=False)


def _print_keys(keys: "Sequence[Key]") -> None:
    from mmctr_kit.yaml_files import label

    width = console().width - len(_INDENT)
    for key in keys:
        for line in wrapped(f"{key.key}: {label(key.value)}", width, _INDENT):
            say(line, style="bold", wrap=False)
        changed = key.default is not None and key.default != key.value
        default = f"; default {label(key.default)}" if changed else ""
        texts = [f"takes {key.takes}{default}", key.meaning]
        if key.applies_to:
            now = "Does something only" if key.used else "Does nothing here; it would"
            texts.append(f"{now} if {key.applies_to}.")
        for text in texts:
            for line in wrapped(text, width):
                say(f"{_INDENT}{line}", wrap=False)
