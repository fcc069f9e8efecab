"""``mmctr-kit data profile``: leaks, and shifts between the splits."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmctr_kit.cli.options import JsonOption
from mmctr_kit.cli.output import PLAIN_WIDTH, finite, print_json, progress, say, table, wrapped
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.audit.profile.measurement import TestResult


_ALWAYS_SHOWN = ("split-shift", "target-side")
"""Probes whose detail is worth reading on clean data too."""


def profile(
    folder: Annotated[Path, typer.Argument(metavar="DATA", help="The folder to profile.")],
    as_json: JsonOption = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on a suspicion.")] = False,
) -> None:
    """Look for leaks: signals that predict the label, or the split, but should not.

    Each probe is a suspicion if it is further from its value on leak-free data than chance allows,
    corrected for the number of probes. Exits 0, or 1 with --strict if there is a suspicion.

    "clean": expected value ± tolerance on leak-free data; deviations inside it are ignored, even
    if significant.

    [bold]Examples[/bold]

      mmctr-kit data profile DATA

      mmctr-kit data profile demo/data --json > profile.json
    """
    from mmctr_kit.api.data import profile_data

    with progress(as_json) as display:
        result = profile_data(folder, progress=display)
    if as_json:
        print_json([_plain(v) for v in result.results])
    else:
        _print(result.results)
    raise typer.Exit(int(strict and not result.ok))


def _print(verdicts: Sequence["TestResult"]) -> None:
    from mmctr_kit.audit.profile import PROBES

    table(("probe", "where", "measured", "clean", "verdict"), [_row(v) for v in verdicts], left=2)
    found = [v for v in verdicts if v.suspicious]
    say("")
    for v in verdicts:
        if v.measurement.probe in _ALWAYS_SHOWN and not v.suspicious:
            _wrapped(str(v.measurement))
    for v in found:
        probe = PROBES[v.measurement.probe]
        say("")
        _wrapped(str(v.measurement), style="yellow")
        _wrapped(f"  means: {probe.means}")
        _wrapped(f"  do: {probe.todo}")
    many = plural(len(found), "suspicion") if found else "no suspicions"
    say(f"\n{many} in {plural(len(verdicts), 'measurement')}")


def _row(v: "TestResult") -> list[str]:
    r = v.measurement
    if not r.value.n:
        return [r.probe, r.where, "not measured", "", ""]
    clean = "" if math.isnan(r.clean) else f"{r.clean:.1f}±{f'{r.tolerance:g}'}"
    measured = f"{r.value.value:.4f} ± {r.value.se:.4f}"
    return [r.probe, r.where, measured, clean, "LOOK" if v.suspicious else "clean"]


def _wrapped(text: str, style: str = "") -> None:
    for line in wrapped(text, PLAIN_WIDTH - 1, "    "):
        say(line, style=style)


def _plain(v: "TestResult") -> dict[str, Any]:
    from mmctr_kit.audit.profile import PROBES

    r, probe = v.measurement, PROBES[v.measurement.probe]
    return finite(
        {
            "probe": r.probe,
            "where": r.where,
            "measure": probe.measure,
            "value": r.value.value,
            "error": r.value.se,
            "n": r.value.n,
            "clean": r.clean,
            "floor": r.tolerance,
            "p": r.p,
            "p_holm": v.p_holm,
            "verdict": "suspicious" if v.suspicious else "clean" if r.value.n else "not measured",
            "what": r.what,
            "means": probe.means if v.suspicious else "",
            "todo": probe.todo if v.suspicious else "",
        }
    )
