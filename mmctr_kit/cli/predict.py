"""``mmctr-kit predict``: scores of other rows, from a finished run."""

from pathlib import Path
from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, progress, say_path, warn
from mmctr_kit.errors import plural


def predict(
    run: Annotated[str, options.run_argument("RUN", "A cv run, a fit or a blend.")],
    rows: Annotated[
        Path, Option(metavar="FILE", help="The rows: parquet or CSV in the challenge's columns.")
    ],
    data: options.Data,
    out: Annotated[
        Path | None,
        Option(help="A .parquet or .csv file; default: RUN-FILE in this folder."),
    ] = None,
    device: options.Device = "auto",
    force: options.Force = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Score rows that are not of the data set, as the run scored its test rows.

    FILE has user_id, item_seq, item_id, likes_level, views_level and, if wanted, ID. In a CSV file
    a history is "[3, 17, 5]" or 3 17 5, the most recent item last. The output has ID (or user_id
    and item_id), the logit, and a score in \\[0, 1] that ranks as the logit does.

    DATA is what the run was trained on. A user or item that is new to the run gets a score, and is
    counted. An item that item_info does not have is left out of a history; a row that asks for its
    score is an error.

    [bold]Examples[/bold]

      mmctr-kit predict din_official --rows new.parquet --data DATA
      mmctr-kit predict mix --rows new.csv --out scores.csv --data DATA
    """
    from mmctr_kit.api.predict import default_out
    from mmctr_kit.api.predict import predict as score_rows

    with progress() as display:
        made = score_rows(
            run,
            rows,
            data,
            out=out or default_out(run, rows),
            device=device,
            force=force,
            runs=runs,
            progress=display,
        )
    if as_json:
        print_json(made.to_json())
    else:
        if made.new_users or made.new_items:
            warn(made.remark(), "note:", "cyan")
        say_path("wrote ", str(made.path), f": {plural(made.rows, 'row')} scored by {made.run}")
