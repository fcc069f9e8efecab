"""``mmctr-kit items export``: the item table of a run or a recipe as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, say, say_path, status, warn

if TYPE_CHECKING:
    from mmctr_kit.recipe import Recipe


_COUNTED = "counted from all train users; a fold model of cv counts from its training users alone"


def export(
    source: Annotated[
        str,
        Argument(
            metavar="RUN|RECIPE",
            help="Whose items block to use; a run is looked for first.",
            autocompletion=options.complete_runs_and_recipes,
        ),
    ],
    data: options.Data,
    out: Annotated[Path, Option(help="A file name that ends in .parquet.")] = Path(
        "item_info.parquet"
    ),
    settings: options.Settings = None,
    force: options.Force = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Write an item table in the form of the challenge's item_info.parquet.

    That file is what a Task1 entrant hands in: item_id, item_tags, item_emb_d128. Factors are
    counted from all train users, as a model of mmctr-kit fit without held-out users counts them.

    [bold]Examples[/bold]

      mmctr-kit items export din_official --data DATA --set items.embedding=separate_pca
      mmctr-kit items export din_e4 --data DATA --out item_info.parquet
    """
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.items.export import export_items, require_export

    recipe, source = _recipe(source, settings or [], runs)
    require_export(out, force)
    require_folder(data)
    import numpy as np

    from mmctr_kit.data.load import load
    from mmctr_kit.items.features import ItemFeatures
    from mmctr_kit.items.table import describe

    with status(f"loading {data}"):
        content = load(data)
    with status("making the item table"):
        features = ItemFeatures.derive(recipe, content)
        table = features.of_users(np.arange(len(content.train))).table
        parts = describe(content, recipe.items).splitlines()
        warnings = export_items(content, table, out, force)
        if features.learn:
            parts.append(_COUNTED)
    rows, dimensions = table.shape
    if as_json:
        made = {"path": str(out), "from": source, "rows": rows, "dimensions": dimensions}
        print_json({**made, "made_of": parts, "warnings": list(warnings)})
        return
    say_path("wrote ", out, f" from {source}: {rows:,} rows, {dimensions:,} dimensions")
    for line in parts:
        say(line)
    for line in warnings:
        warn(line)


def _recipe(source: str, settings: list[str], runs: Path) -> tuple["Recipe", str]:
    """Load the recipe of a run, or a recipe if no run has that name; also say which."""
    from mmctr_kit.api.preflight import load_recipe
    from mmctr_kit.errors import UsageError
    from mmctr_kit.runs.run import Run, is_run

    for folder in (runs / source, Path(source)):
        if not is_run(folder):
            continue
        run = Run(folder)
        if not run.has("recipe.yaml"):
            raise UsageError(
                f"run '{folder.name}' has no recipe, as blends and imported predictions have none; "
                "name a cv run or a recipe"
            )
        return load_recipe(run.file("recipe.yaml"), settings), f"run {folder}"
    return load_recipe(source, settings), f"recipe {source}"
