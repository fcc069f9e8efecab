"""``mmctr-kit runs verify``: whether all files of runs are as they were written."""

from typing import Annotated

from typer import Exit

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, say, status
from mmctr_kit.errors import plural


def verify(
    run: Annotated[
        list[str] | None,
        options.run_argument("[NAME]...", "Runs, blends, studies or ablations; without, all."),
    ] = None,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Compare every file of runs, studies and ablations with what was written.

    When a run is finished, the sha256 of each of its files is written into its file DONE, which
    'sha256sum -c DONE' checks too. Every command compares a file when it reads it; this reads all.
    Exits with 1 if one was changed or is missing.

    [bold]Examples[/bold]

      mmctr-kit runs verify
      mmctr-kit runs verify din_official din_mha_se_pca.study --json
    """
    from mmctr_kit.api.verify import verify_runs

    with status(f"comparing the files in {runs}"):
        result = verify_runs(run or (), runs=runs)
    if as_json:
        print_json([each.to_json() for each in result])
    else:
        for each in result:
            say(str(each), style="" if each.ok else "red", wrap=False)
        damaged = sum(not each.ok for each in result)
        if damaged:
            say(
                f"{plural(damaged, 'of them is', 'of them are')} damaged: put the files back from "
                "a copy, or delete the folder and repeat its command, which 'mmctr-kit runs show' "
                "prints"
            )
    if not result.ok:
        raise Exit(1)
