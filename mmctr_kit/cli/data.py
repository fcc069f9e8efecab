"""``mmctr-kit data``: check and profile a download, generate a data set, import MovieLens."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer

from mmctr_kit.cli import options, profile
from mmctr_kit.cli.output import print_json, progress, report, say, say_path, status
from mmctr_kit.errors import plural

app = Typer(help="Check, profile, generate or import data in the challenge's layout.")
app.command("profile")(profile.profile)


@app.command()
def check(
    folder: options.Folder,
    as_json: options.Json = False,
    strict: options.Strict = False,
    _list: options.ListChecks = False,
) -> None:
    """Check that a download is complete, aligned and sane.

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
    out: options.NewFolder,
    preset: Annotated[str, Option(help="tiny, demo or full.")] = "demo",
    seed: options.Seed = 0,
    covers: Annotated[
        bool, Option("--covers", help="Also draw item_images, and write titles of English words.")
    ] = False,
    bad: Annotated[
        float,
        Option(metavar="SHARE", help="Spoil the text or image of this share of the items, to 0.5."),
    ] = 0.0,
    as_json: options.Json = False,
) -> None:
    """Generate a data set with a known best AUC.

    OUT/data has the challenge's layout; OUT/truth holds what only the generator knows.

    [bold]Examples[/bold]

      mmctr-kit data synth OUT
      mmctr-kit data synth big --preset full --seed 3
      mmctr-kit data synth OUT --covers --bad 0.05
    """
    from mmctr_kit.api.data import generate_data

    with progress(as_json) as display:
        made = generate_data(out, preset, seed=seed, covers=covers, bad=bad, progress=display)
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
        Argument(
            metavar="SRC", help="Folder with u.data, ratings.dat, ratings.csv or .inter files."
        ),
    ],
    out: options.NewFolder,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Turn MovieLens ratings into the challenge's layout.

    Ratings of 4 or more are positives. Text comes from titles and genres; there are no images.
    The seed draws the negatives and the splits.

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
