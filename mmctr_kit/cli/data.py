"""``mmctr-kit data``: check and profile a download, generate a data set, import MovieLens."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mmctr_kit.cli import profile
from mmctr_kit.cli.check_list import ListDataChecks
from mmctr_kit.cli.options import JsonOption, StrictOption
from mmctr_kit.cli.output import print_json, progress, report, say, say_path, status
from mmctr_kit.errors import plural

app = typer.Typer(help="Check, profile, generate or import data in the challenge's layout.")
app.command("profile")(profile.profile)
_MAX_SEED = 2**31 - 1


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DATA", help="The folder to check.")],
    as_json: JsonOption = False,
    strict: StrictOption = False,
    _list: ListDataChecks = False,
) -> None:
    """Is this download complete, aligned and sane?

    Exits 1 if a check FAILs. A WARN exits 0, or 1 with --strict.

    [bold]Examples[/bold]

      mmctr-kit data check DATA

      mmctr-kit data check demo/data --json > findings.json
    """
    from mmctr_kit.api.data import check_data

    with status(f"checking {folder}"):
        result = check_data(folder)
    report(result.findings, strict, as_json)


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    preset: Annotated[str, typer.Option(help="tiny, demo or full.")] = "demo",
    seed: Annotated[
        int, typer.Option(min=0, max=_MAX_SEED, help="Another seed, another data set.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Generate a data set with a known best AUC.

    OUT/data has the challenge's layout; OUT/truth what only the generator knows.

    [bold]Examples[/bold]

      mmctr-kit data synth OUT

      mmctr-kit data synth big --preset full --seed 3
    """
    from mmctr_kit.api.data import generate_data

    with progress(as_json) as display:
        made = generate_data(out, preset, seed=seed, progress=display)
    if as_json:
        print_json({"data": str(made.data), "truth": str(made.truth), "best_auc": made.best_auc})
        return
    say_path("wrote ", made.data, f" ({preset}, seed {seed})")
    say(f"wrote {made.truth}")
    best = ", ".join(f"{split} {auc:.4f}" for split, auc in made.best_auc.items())
    say(f"best possible AUC, row by row: {best}")


@app.command()
def movielens(
    source: Annotated[
        Path,
        typer.Argument(metavar="SRC", help="u.data, ratings.dat, ratings.csv or .inter folder."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    seed: Annotated[
        int, typer.Option(min=0, max=_MAX_SEED, help="Draws negatives and the splits.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Turn MovieLens ratings into the challenge's layout.

    Positives are ratings of 4 or more; text comes from titles and genres; there is no image.

    [bold]Examples[/bold]

      mmctr-kit data movielens ml-100k ml100k-mmctr
    """
    from mmctr_kit.datasets.movielens import convert

    with status(f"converting {source}"):
        summary = convert(source, out, seed)
    if as_json:
        print_json(asdict(summary))
        return
    rows = ", ".join(f"{split} {n:,}" for split, n in summary.rows.items())
    held = f"{plural(summary.users, 'user')}, {plural(summary.items, 'item')}; rows: {rows}"
    say_path("wrote ", out, f": {held}")
    say(f"mean history {summary.mean_history:.1f}, label mean {summary.label_mean:.3f}")
    for note in summary.notes:
        say(f"note: {note}")
