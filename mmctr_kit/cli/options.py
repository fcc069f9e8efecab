"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path,
    typer.Option("--data", metavar="DATA", help="The download: the folder of MicroLens_1M_x1/."),
]
RunsOption = Annotated[
    Path,
    typer.Option("--runs", envvar="MMCTR_KIT_RUNS", help="Where run folders are kept."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace what is there under that name.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit 1 on WARN too.")]
RUNS = Path("runs")
