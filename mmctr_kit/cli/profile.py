"""``mmctr-kit data profile``: leaks, and shifts between the splits."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmctr_kit.cli.options import JsonOption
from mmctr_kit.cli.output import PLAIN_WIDTH, finite, print_json, say, table, wrapped
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.audit.profile.reading import Verdict


_TOLD = ("split-shift", "target-side")
"""Probes whose detail is worth reading on clean data too."""


def profile(
    folder: Annotated[Path, typer.Argument(metavar="DATA", help="The folder to profile.")],
    as_json: JsonOption = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on a suspicion.")] = False,
) -> None:
    """Does anything tell labels, or the splits apart, that should not?

    Each probe is measured with its error, and is a suspicion where it is further from what clean
    data shows than chance allows, corrected for the number of probes. Exits 0, or 1 with --strict
    where there is a suspicion.

    "clean" is what clean data has, and how far from it is no matter, however certain.

    [bold]Examples[/bold]

      mmctr-kit data profile DATA

      mmctr-kit data profile demo/data --json > profile.json
    """
    from mmctr_kit.audit.profile import profile_data

    verdicts = profile_data(folder, _tell)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if as_json:
        print_json([_plain(v) for v in verdicts])
    else:
        _print(verdicts)
    raise typer.Exit(int(strict and any(v.suspicious for v in verdicts)))


def _tell(probe: str) -> None:
    if sys.stderr.isatty():
        print(f"\rprofile: {probe}\033[K", end="", file=sys.stderr, flush=True)


def _print(verdicts: Sequence["Verdict"]) -> None:
    from mmctr_kit.audit.profile import PROBES

    table(("probe", "where", "measured", "clean", "verdict"), [_row(v) for v in verdicts], left=2)
    found = [v for v in verdicts if v.suspicious]
    say("")
    for v in verdicts:
        if v.reading.probe in _TOLD and not v.suspicious:
            _wrapped(f"{v.reading.probe} ({v.reading.where}): {v.reading.what}")
    for v in found:
        probe = PROBES[v.reading.probe]
        say("")
        _wrapped(f"{v.reading.probe} ({v.reading.where}): {v.reading.what}", style="yellow")
        _wrapped(f"  means: {probe.means}")
        _wrapped(f"  do: {probe.todo}")
    many = plural(len(found), "suspicion") if found else "no suspicions"
    say(f"\n{many} in {plural(len(verdicts), 'reading')}")


def _row(v: "Verdict") -> list[str]:
    r = v.reading
    if not r.value.n:
        return [r.probe, r.where, "not measured", "", ""]
    clean = "" if math.isnan(r.clean) else f"{r.clean:.1f}±{f'{r.floor:g}'}"
    measured = f"{r.value.value:.4f} ± {r.value.se:.4f}"
    return [r.probe, r.where, measured, clean, "LOOK" if v.suspicious else "clean"]


def _wrapped(text: str, style: str = "") -> None:
    for line in wrapped(text, PLAIN_WIDTH - 1, "    "):
        say(line, style=style)


def _plain(v: "Verdict") -> dict[str, Any]:
    from mmctr_kit.audit.profile import PROBES

    r, probe = v.reading, PROBES[v.reading.probe]
    return finite(
        {
            "probe": r.probe,
            "where": r.where,
            "measure": probe.measure,
            "value": r.value.value,
            "error": r.value.se,
            "n": r.value.n,
            "clean": r.clean,
            "floor": r.floor,
            "p": r.p,
            "p_holm": v.p_holm,
            "verdict": "suspicious" if v.suspicious else "clean" if r.value.n else "not measured",
            "what": r.what,
            "means": probe.means if v.suspicious else "",
            "todo": probe.todo if v.suspicious else "",
        }
    )
