"""Options that several commands share."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

DataOption = Annotated[
    Path,
    typer.Option(
        "--data", metavar="DATA", help="Folder that CONTAINS MicroLens_1M_x1/ (its parent)."
    ),
]
RunsOption = Annotated[
    Path,
    typer.Option("--runs", envvar="MMCTR_KIT_RUNS", help="Where run folders are kept."),
]


def _device_names(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda|cuda:\d+(,cuda:\d+)*", value):
        raise typer.BadParameter(f"expected auto, cpu, cuda or cuda:0,cuda:1; found {value!r}")
    return value


DevicesOption = Annotated[
    str,
    typer.Option(
        "--devices",
        "--device",
        metavar="auto|cpu|cuda|cuda:0,cuda:1",
        callback=_device_names,
        help="auto: all GPUs, or the CPU; cuda insists on a GPU.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "--workers",
        min=1,
        help="Fold models side by side; by default one a CPU core, or one a GPU.",
    ),
]
JsonOption = Annotated[
    # Eager, so that --list knows it whatever their order.
    bool,
    typer.Option("--json", is_eager=True, help="Print JSON for a script."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace what is there under that name.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit 1 on WARN too.")]
RUNS = Path("runs")
LedgerOption = Annotated[
    Path,
    typer.Option("--ledger", envvar="MMCTR_KIT_LEDGER", help="Where submissions are recorded."),
]
LEDGER = Path("submissions") / "ledger.jsonl"
TaskName = Literal["Task1", "Task2", "both"]
"""A task as an option names it; both is Task1&2."""
