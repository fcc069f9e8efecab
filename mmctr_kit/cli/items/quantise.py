"""``mmctr-kit items quantise``: codes of item vectors, and how even they are."""

from pathlib import Path
from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import finite, print_json, progress, say, say_path, table


def quantise(
    recipe: Annotated[
        str, options.recipe_argument("RECIPE", "Name or file of a recipe, for its settings.")
    ] = "din_official",
    *,
    data: options.Data,
    of: Annotated[
        str | None,
        Option(
            metavar="KIND[,KIND]",
            help="What to quantise: values of codes.of; by default all but the embedding.",
        ),
    ] = None,
    levels: Annotated[int | None, Option(help="Codes of an item; the recipe's by default.")] = None,
    size: Annotated[int | None, Option(help="Values of a code; the recipe's by default.")] = None,
    out: Annotated[
        Path | None, Option(help="Write the codes to this file, whose name ends in .parquet.")
    ] = None,
    settings: options.Settings = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Quantise item vectors to codes by balanced residual k-means.

    The table says for each level how evenly its codes are used ("perplexity": 100 % if all are
    equally frequent; 60 % or more is good), how many of the items with vectors have its most
    frequent code, how many share all their codes up to this level with another item, and how much
    of the vectors the codes leave unexplained.

    Raw and aligned vectors stand in one table. Models use codes with the recipe key codes.of; a
    fold model of mmctr-kit cv has codes of its own if they are made of what users took.

    [bold]Examples[/bold]

      mmctr-kit items quantise --data DATA
      mmctr-kit items quantise din_mha_se_pca --data DATA --of text,aligned --size 128
      mmctr-kit items quantise --data DATA --of text --out codes.parquet
    """
    from mmctr_kit.api.codes import quantise_items

    with progress() as display:
        made = quantise_items(
            data,
            None if of is None else [kind.strip() for kind in of.split(",")],
            recipe,
            levels=levels,
            size=size,
            set=settings or [],
            out=out,
            force=force,
            progress=display,
        )
    rows = made.rows()
    if as_json:
        print_json(finite({"levels": rows, "out": None if out is None else str(out)}))
        return
    columns = ("of", "items", "level", "perplexity", "largest", "same codes", "left over")
    shares = ("perplexity", "largest", "collisions", "error")
    table(
        columns,
        [
            [row["of"], f"{row['items']:,}", str(row["level"])]
            + [f"{100 * row[name]:.1f} %" for name in shares]
            for row in rows
        ],
    )
    if out is not None:
        say_path("wrote ", out, f": item_id, {', '.join(made.codes)}")
    if any(row["perplexity"] < 0.6 for row in rows):
        say("a perplexity below 60 % wastes codes; a smaller --size may use them better", "yellow")
