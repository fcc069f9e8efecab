"""``mmctr-kit data profile``: leaks, and shifts between the splits."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from typer import Exit, Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import console, finite, print_json, progress, say, table, wrapped
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.audit.profile.measurement import TestResult


_ALWAYS_SHOWN = ("split-shift", "target-side")
"""Probes whose detail is worth reading on clean data too."""


def profile(
    folder: options.Folder,
    as_json: options.Json = False,
    strict: Annotated[bool, Option("--strict", help="Exit 1 on a suspicion.")] = False,
) -> None:
    """Look for leaks: signals that predict the label, or the split, but should not.

    A measurement is a suspicion if it lies further from its value on leak-free data than chance
    allows, corrected for the number of measurements. Exits 0, or 1 with --strict and a suspicion.

    "expected": the value on leak-free data ± tolerance; deviations inside it are ignored, even if
    significant.

    [bold]Examples[/bold]

      mmctr-kit data profile DATA
      mmctr-kit data profile demo/data --json > profile.json
    """
    from mmctr_kit.api.data import profile_data

    with progress() as display:
        result = profile_data(folder, progress=display)
    if as_json:
        print_json([_plain(v) for v in result.results])
    else:
        _print(result.results)
    raise Exit(int(strict and not result.ok))


def _print(verdicts: Sequence["TestResult"]) -> None:
    from mmctr_kit.audit.profile import PROBES
    from mmctr_kit.audit.profile.measurement import ALPHA

    columns = ("probe", "where", "measured", "expected", "verdict")
    table(columns, [_row(v) for v in verdicts], left=2)
    _wrapped(
        "expected: without leaks, ± what does no harm; LOOK: further off than chance explains, "
        f"which sound data reach with a probability under {ALPHA:.0%} in all measurements together"
    )
    suspicions = [v for v in verdicts if v.suspicious]
    say("")
    for v in verdicts:
        if v.measurement.probe in _ALWAYS_SHOWN and not v.suspicious:
            _wrapped(str(v.measurement))
    for v in suspicions:
        probe = PROBES[v.measurement.probe]
        say("")
        _wrapped(str(v.measurement), style="yellow")
        _wrapped(f"  means: {probe.means}")
        _wrapped(f"  do: {probe.todo}")
    many = plural(len(suspicions), "suspicion") if suspicions else "no suspicions"
    say(f"\n{many} in {plural(len(verdicts), 'measurement')}")


def _row(v: "TestResult") -> list[str]:
    r = v.measurement
    if not r.value.n:
        return [r.probe, r.where, "not measured", "", ""]
    clean = "" if math.isnan(r.clean) else f"{r.clean:.1f}±{f'{r.tolerance:g}'}"
    return [r.probe, r.where, str(r.value), clean, "LOOK" if v.suspicious else "clean"]


def _wrapped(text: str, style: str = "") -> None:
    for line in wrapped(text, console().width - 1, "    "):
        say(line, style=style)


def _plain(v: "TestResult") -> Any:
    from mmctr_kit.audit.profile import PROBES

    r, probe = v.measurement, PROBES[v.measurement.probe]
    content = {
        "probe": r.probe,
        "where": r.where,
        "measure": probe.measure,
        **r.value.to_json(),
        "clean": r.clean,
        "floor": r.tolerance,
        "p": r.p,
        "p_holm": v.p_holm,
        "verdict": "suspicious" if v.suspicious else "clean" if r.value.n else "not measured",
        "what": r.what,
        "means": probe.means if v.suspicious else "",
        "todo": probe.todo if v.suspicious else "",
    }
    return finite(content)
