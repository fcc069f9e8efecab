"""``mmctr-kit items factors``: who took what, factorised."""

from pathlib import Path
from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.items.align import WARNING
from mmctr_kit.cli.output import print_json, progress, say, say_path, table


def factors(
    recipe: Annotated[
        str, options.recipe_argument("RECIPE", "Name or file of a recipe, for its settings.")
    ] = "din_official",
    *,
    data: options.Data,
    out: Annotated[
        Path | None, Option(help="Write the vectors to this file, which ends in .parquet.")
    ] = None,
    settings: options.Settings = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Factorise who took what among all train users.

    The table says how many items have factors from their users, how many have them predicted from
    text and image (or tags, if the folder has neither), and of how many nothing is known.

    Recipes use factors with items.embedding=factors, or as one of items.blocks.

    [bold]Examples[/bold]

      mmctr-kit items factors --data DATA
      mmctr-kit items factors --data DATA --set items.factors_dim=128 --out factors.parquet
    """
    from mmctr_kit.api.vectors import factor_items

    with progress() as display:
        made = factor_items(
            data, recipe, set=settings or [], out=out, force=force, progress=display
        )
    rows = made.rows()
    if as_json:
        print_json({"sources": rows, "out": None if out is None else str(out)})
        return
    table(
        ("factors from", "items", "mean length"),
        [[row["from"], f"{row['items']:,}", f"{row['length']:.2f}"] for row in rows],
    )
    if out is not None:
        say_path("wrote ", out, ": item_id, vector")
        say(WARNING.format("factors"), "yellow")
