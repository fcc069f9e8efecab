"""The check that asks the profile: does anything tell labels, or splits, that should not?"""

import math
from collections.abc import Iterator
from pathlib import Path

from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.audit.profile import PROBES, quick_profile
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, UsageError, plural

_CHECKED = {"split-users", "sibling-rows", "target-in-history"}
"""Probes of what other checks count themselves, in every row of the files."""


def leak_findings(folder: Path) -> Iterator[Finding]:
    """The suspicions of the profile's quick probes on a folder in which nothing failed.

    Loads it, which the first command to use it would do too and keep: not run where there is no
    room to keep it.
    """
    try:
        data = load(folder)
    except (DataError, UsageError) as e:
        what, _, todo = str(e).partition("; ")
        yield Finding("leaks", Level.WARN, f"not run: {what}", todo or "check again")
        return
    try:
        verdicts = quick_profile(data)
    except DataError as e:
        yield Finding("leaks", Level.PASS, f"skipped: {e}", "")
        return
    asked = [
        v
        for v in verdicts
        if v.reading.probe not in _CHECKED and not math.isnan(v.reading.value.value)
    ]
    for verdict in asked:
        if verdict.suspicious:
            reading = verdict.reading
            told = PROBES[reading.probe]
            what = f"{reading.probe} ({reading.where}): {reading.what}; {told.means}"
            yield Finding("leaks", Level.WARN, what, told.todo)
    if not any(v.suspicious for v in asked):
        what = f"{plural(len(asked), 'reading')} of the profile's quick probes, none suspicious"
        yield Finding("leaks", Level.PASS, what, "")
