"""``mmctr-kit items``: the item table of a run or a recipe as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmctr_kit.cli.complete import complete_runs_and_recipes
from mmctr_kit.cli.options import RUNS, DataOption, ForceOption, JsonOption, RunsOption
from mmctr_kit.cli.output import print_json, say, say_path, status, warn

if TYPE_CHECKING:
    from mmctr_kit.recipe import Recipe


app = typer.Typer(no_args_is_help=True, help="Item embeddings: write a fused table.")


@app.callback()
def items() -> None:
    """Item embeddings: write a fused table."""


@app.command()
def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|RECIPE",
            help="Its items block is taken; a run first.",
            autocompletion=complete_runs_and_recipes,
        ),
    ],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="A name that ends in .parquet.")] = Path(
        "item_info.parquet"
    ),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key, like a.b=3."),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Write an item table in the form of the challenge's item_info.parquet.

    That file is what a Task1 entrant hands in: item_id, item_tags, item_emb_d128.

    [bold]Examples[/bold]

      mmctr-kit items export din_official --data DATA --set items.embedding=separate_pca

      mmctr-kit items export din_e4 --data DATA --out item_info.parquet
    """
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.items.export import export_items, require_export

    recipe, where = _recipe(source, settings or [], runs)
    require_export(out, force)
    require_folder(data)
    from mmctr_kit.data.load import load
    from mmctr_kit.items.table import describe, item_table

    with status(f"loading {data}"):
        content = load(data)
    with status("making the item table"):
        table = item_table(content, recipe.items)
        made_of = describe(content, recipe.items)
        warnings = export_items(content, table, out, force)
    if as_json:
        made = {"path": str(out), "from": where, "rows": table.shape[0]}
        told = {"dimensions": table.shape[1], "made_of": made_of.splitlines()}
        print_json({**made, **told, "warnings": list(warnings)})
        return
    shape = f"{table.shape[0]:,} rows, {table.shape[1]:,} dimensions"
    say_path("wrote ", out, f" from {where}: {shape}")
    for line in made_of.splitlines():
        say(line)
    for line in warnings:
        warn(line)


def _recipe(source: str, settings: list[str], runs: Path) -> tuple["Recipe", str]:
    """The recipe of a run by name under ``runs`` or by path, else of a recipe; and what it is."""
    from mmctr_kit.errors import UsageError
    from mmctr_kit.recipe import load_recipe

    for folder in (runs / source, Path(source)):
        if not (folder / "manifest.json").is_file():
            continue
        path = folder / "recipe.yaml"
        if not path.is_file():
            raise UsageError(
                f"run '{folder.name}' has no recipe, as blends and imported predictions have none; "
                "name a cv run or a recipe"
            )
        return load_recipe(str(path), settings), f"run {folder}"
    return load_recipe(source, settings), f"recipe {source}"
