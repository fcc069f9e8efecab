"""``mmctr-kit items align``: text and image aligned with what users took."""

from pathlib import Path
from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import finite, print_json, progress, say, say_path, table

WARNING = (
    "this file knows what all train users took: use it with mmctr-kit fit, or outside. For cv, set "
    "items.embedding to {0}, which each fold model learns from its training users alone"
)


def align(
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
    """Align items' text and image with taste, and say how well that finds held-out pairs.

    A projection of text, image and tags is trained on pairs of items that the same users took. The
    table says how often one item of a held-out pair is among the 50 nearest of the other: for pairs
    of items that were trained on in other pairs, and for cold items, which were not. Each share
    stands beside its standard error over pairs.

    Recipes use aligned vectors with items.embedding=aligned, or as one of items.blocks.

    [bold]Examples[/bold]

      mmctr-kit items align --data DATA
      mmctr-kit items align --data DATA --set items.encoded=encoded.parquet
      mmctr-kit items align --data DATA --set items.aligned_dim=128 --out aligned.parquet
    """
    from mmctr_kit.api.vectors import align_items

    with progress() as display:
        made = align_items(data, recipe, set=settings or [], out=out, force=force, progress=display)
    rows = made.rows()
    of = made.made
    if as_json:
        about = {"steps": of.steps, "batch": of.batch, "temperature": of.temperature}
        print_json(finite({"recall": rows, **about, "out": None if out is None else str(out)}))
        return
    say(
        f"{int(of.present.sum()):,} items, {of.vectors.shape[1]} dimensions; {of.steps:,} steps of "
        f"{of.batch:,} pairs; temperature {of.temperature:.3f}"
    )
    table(
        ("vectors", "recall of held-out pairs", "of cold items"),
        [
            [row["vectors"]] + [_share(row[kind], row[f"{kind}_se"]) for kind in ("pairs", "cold")]
            for row in rows
        ],
    )
    if out is not None:
        say_path("wrote ", out, ": item_id, vector")
        say(WARNING.format("aligned"), "yellow")


def _share(value: float, se: float) -> str:
    from mmctr_kit.metrics.estimate import Estimate

    if value != value:
        return "no such pair"
    return Estimate(value, se, 0).percent() if se else f"{100 * value:.1f} %"  # chance is exact
