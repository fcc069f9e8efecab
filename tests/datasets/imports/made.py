"""Small logs, with every oddity of real ones, and what rows they should make."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from mmctr_kit.datasets.imports.load import parse_spec
from mmctr_kit.datasets.imports.log import Log, read_log
from mmctr_kit.datasets.imports.rows import Candidates, candidates
from mmctr_kit.datasets.imports.spec import Spec


class Event(NamedTuple):
    """An interaction; ``rating`` 4 and 5 is positive, 1 and 2 negative, 3 neither."""

    user: int
    item: int
    time: int
    rating: int


EVENTS = st.lists(
    st.builds(
        Event,
        # Few users, items and times, so that equal times, duplicates and lone events occur.
        st.integers(0, 5),
        st.integers(0, 14),
        st.integers(0, 12),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=70,
)


def spec_of(**blocks: dict[str, Any]) -> Spec:
    """A SPEC of ``log.csv``, whose blocks the arguments change."""
    log = {
        "files": "log.csv", "user": "user", "item": "item", "time": "time", "time_unit": "ms",
        "positive": "rating >= 4", "negative": "rating <= 2",
    }  # fmt: skip
    content = {"interactions": log | blocks.pop("interactions", {}), **blocks}
    return parse_spec(content, "made")


def write_log(folder: Path, events: Sequence[Event]) -> None:
    """Write ``log.csv``; ids are texts."""
    lines = [f"u{e.user},i{e.item},{e.time},{e.rating}" for e in events]
    (folder / "log.csv").write_text("\n".join(["user,item,time,rating", *lines]) + "\n")


def log_of(folder: Path, events: Sequence[Event], spec: Spec) -> Log:
    """The log of the events."""
    write_log(folder, events)
    return read_log(spec, folder, lambda *_: None)


def rows_of(folder: Path, events: Sequence[Event], spec: Spec) -> tuple[Log, Candidates]:
    """The log of the events and its rows."""
    log = log_of(folder, events, spec)
    return log, candidates(log, spec.rows, spec.seed)


def names(log: Log, user: int, item: int) -> tuple[int, int]:
    """The numbers of a user and an item in the events."""
    return int(log.user_names[user].as_py()[1:]), int(log.item_names[item - 1].as_py()[1:])


def once(events: Sequence[Event], repeats: str) -> list[Event]:
    """Without repeats, in a plain loop; at one moment the higher label counts."""
    if repeats == "keep":
        return list(events)
    groups: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for event in events:
        groups[event.user, event.item].append(event)
    rank = {1: 0, 2: 0, 3: -1, 4: 1, 5: 1}
    kept = []
    for group in groups.values():
        group.sort(key=lambda e: (e.time, rank[e.rating]))
        kept.append(group[0] if repeats == "first" else group[-1])
    return kept


def taken_before(events: Sequence[Event], user: int, time: int, item: int) -> list[tuple[int, int]]:
    """(time, item) of the user's positives before ``time`` but for ``item``, in time."""
    return sorted(
        (e.time, e.item)
        for e in events
        if e.user == user and e.rating >= 4 and e.time < time and e.item != item
    )


def row_times(log: Log, rows: Candidates) -> np.ndarray[Any, Any]:
    """(rows,) the time of each row."""
    return log.time[rows.source]
