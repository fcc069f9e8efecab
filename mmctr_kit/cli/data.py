"""``mmctr-kit data``: check and profile a data folder, generate one, import logs."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Context, Exit, Option, Typer

from mmctr_kit.cli import options, profile
from mmctr_kit.cli.output import (
    print_json,
    print_yaml,
    progress,
    report,
    say,
    say_path,
    status,
    warn,
)
from mmctr_kit.errors import UsageError, plural

if TYPE_CHECKING:
    from mmctr_kit.datasets.imports.write import ImportedData

app = Typer(
    no_args_is_help=True,
    help="""Check, profile, generate or import data in the challenge's layout.

[bold]Examples[/bold]

  mmctr-kit data check DATA
  mmctr-kit data synth OUT""",
)
app.command("profile")(profile.profile)


@app.command()
def check(
    folder: options.Folder,
    as_json: options.Json = False,
    strict: options.Strict = False,
    problems: options.Problems = False,
    _list: options.ListChecks = False,
) -> None:
    """Check that a download is complete, aligned and sane.

    Exits 1 if a check FAILs. A WARN exits 0, or 1 with --strict. A SKIP is a check that needs
    something that is not there.

    [bold]Examples[/bold]

      mmctr-kit data check DATA
      mmctr-kit data check DATA --problems
      mmctr-kit data check demo/data --json > findings.json
    """
    from mmctr_kit.api.data import check_data

    with status(f"checking {folder}"):
        result = check_data(folder)
    report(result.findings, strict, as_json, problems)


@app.command()
def synth(
    out: options.NewFolder,
    preset: Annotated[
        str,
        Option(metavar="tiny|demo|full", help="2,000, 40,000 or 3.6 million train rows."),
    ] = "demo",
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

    with progress() as display:
        made = generate_data(out, preset, seed=seed, covers=covers, bad=bad, progress=display)
    if as_json:
        print_json({"data": str(made.data), "truth": str(made.truth), "best_auc": made.best_auc})
        return
    say_path("wrote ", made.data, f" ({preset}, seed {seed})")
    say(f"wrote {made.truth}")
    best = ", ".join(f"{split} {auc:.4f}" for split, auc in made.best_auc.items())
    say(f"best possible AUC, row by row: {best}")


def _example(context: Context, wanted: bool) -> None:
    """Print the shipped SPEC with every key and end the command."""
    if not wanted:
        return
    from mmctr_kit.datasets.imports.load import shipped

    print_yaml(shipped()["example"].read_text("utf-8"), context.params["as_json"])
    raise Exit


@app.command("import")
def import_(
    spec: Annotated[
        list[str],
        Argument(
            metavar="SPEC OUT",
            help="A SPEC (YAML file, shipped name, or a log), a new folder; tables with --guess.",
        ),
    ],
    items: Annotated[
        Path | None, Option(metavar="FILE", help="A table of the items, if SPEC is a log.")
    ] = None,
    positive: Annotated[
        str | None, Option(metavar="RULE", help="What is a positive, as in 'rating >= 4'.")
    ] = None,
    split: Annotated[
        str | None, Option(metavar="user|time|both", help="What divides train, valid and test.")
    ] = None,
    source: Annotated[
        Path | None,
        Option("--from", metavar="DIR", help="The folder of the files; else that of the SPEC."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        Option("--set", metavar="KEY=VALUE", help="Override a key of the SPEC; repeatable."),
    ] = None,
    guess: Annotated[
        bool, Option("--guess", help="Print a SPEC for these tables, to look through and mend.")
    ] = False,
    _example: Annotated[
        bool,
        Option("--example", callback=_example, help="Print a SPEC with every key and its meaning."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Make data in the challenge's layout from logs, items and pictures.

    A SPEC says which columns are what, what is a positive, where negatives come from and how rows
    are split. OUT/import has a report of every row left out, and the original ids.

    [bold]Examples[/bold]

      mmctr-kit data import --guess log.csv items.csv > spec.yaml
      mmctr-kit data import --example
      mmctr-kit data import spec.yaml OUT
      mmctr-kit data import log.csv OUT --items items.csv --positive 'rating >= 4'
      mmctr-kit data import spec.yaml OUT --set split.by=time
      mmctr-kit data import movielens-csv OUT --from ml-latest-small
    """
    from mmctr_kit.api.imports import guess_spec, import_data

    if guess:
        print_yaml(guess_spec(spec), as_json)
        return
    if len(spec) != 2:
        raise UsageError(
            f"found {plural(len(spec), 'argument')}; expected SPEC and OUT, as in: mmctr-kit data "
            "import spec.yaml OUT"
        )
    short = {"interactions.positive": positive, "split.by": split}
    keys = [*(f"{key}={value}" for key, value in short.items() if value), *(settings or ())]
    with progress() as display:
        made = import_data(spec[0], spec[1], items=items, source=source, set=keys, progress=display)
    _print_import(made, as_json)


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
    """Make data in the challenge's layout from MovieLens ratings.

    Ratings of 4 or more are positives. Text comes from titles and genres; there are no images.
    The seed draws the negatives and the splits. It is the short way to data import.

    [bold]Examples[/bold]

      mmctr-kit data movielens ml-100k ml100k-mmctr
    """
    from mmctr_kit.api.imports import import_movielens

    with progress() as display:
        made = import_movielens(source, out, seed=seed, progress=display)
    _print_import(made, as_json)


def _print_import(made: "ImportedData", as_json: bool) -> None:
    from mmctr_kit.datasets.imports.write import ORDER_DRAWN

    if ORDER_DRAWN in made.notes:
        warn(ORDER_DRAWN)
    if as_json:
        print_json({**asdict(made), "data": str(made.data)})
        return
    rows = ", ".join(f"{split} {n:,}" for split, n in made.rows.items())
    held = f"{plural(made.users, 'user')}, {plural(made.items, 'item')}; rows: {rows}"
    say_path("wrote ", made.data, f": {held}")
    say(f"mean history {made.mean_history:.1f}, label mean {made.label_mean:.3f}")
    say(made.how)
    say(
        f"{plural(made.read, 'interaction')} read: {plural(made.positives, 'positive')}, "
        f"{plural(made.negatives, 'negative')}; {made.drawn:,} negatives drawn; "
        f"{'no time' if made.time_unit == 'none' else f'time in {made.time_unit}'}"
    )
    if made.dropped:
        say("left out of the rows:")
        for why, count in made.dropped.items():
            say(f"  {count:,} {why}")
    for note in (note for note in made.notes if note != ORDER_DRAWN):
        say(f"note: {note}")
    say_path("report, SPEC and original ids: ", made.data / "import", "")
