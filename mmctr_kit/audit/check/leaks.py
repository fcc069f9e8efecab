"""The check that runs the profile's quick probes: does anything predict labels, or the split?"""

import math
from pathlib import Path

from mmctr_kit.audit.findings import Log
from mmctr_kit.audit.profile import PROBES, quick_profile
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, UsageError, plural

_CHECKED_ELSEWHERE = {"split-users", "sibling-rows", "target-in-history"}
"""Probes of what other checks count themselves, in every row of the files."""


def check_leaks(folder: Path, log: Log) -> None:
    """Reports what the quick probes suspect in a folder in which nothing failed.

    Loads the folder, which fills the cache for the first command that uses it. Not run if the
    cache has no room for it.
    """
    try:
        data = load(folder)
    except (DataError, UsageError) as e:
        what, _, todo = str(e).partition("; ")
        log.warn("leaks", f"not run: {what}", todo or "check again")
        return
    try:
        results = quick_profile(data)
    except DataError as e:
        log.passed("leaks", f"skipped: {e}")
        return
    asked = [
        r
        for r in results
        if r.measurement.probe not in _CHECKED_ELSEWHERE
        and not math.isnan(r.measurement.value.value)
    ]
    for m in (r.measurement for r in asked if r.suspicious):
        probe = PROBES[m.probe]
        log.warn("leaks", f"{m}; {probe.means}", probe.todo)
    number = plural(len(asked), "measurement")
    log.passed("leaks", f"{number} of the profile's quick probes, none suspicious")
