"""Do histories run the way they should? One that is turned round, or cut so that its oldest items
stay, holds valid numbers and trains without any error.

How the challenge's own rows and sequences relate is not published: a sequence may go on after the
history, with the rows' targets, and may lack items of it. So what can't be compared tells nothing,
and FAIL needs proof that it is the histories that are turned round: those of another split run
along the sequences. Where sequences go on at one end, that end is likely the recent one, no more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.check.rows import RowFile, RowFiles
from mmctr_kit.audit.check.sequences import TAIL, Courses, Lists, courses
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.errors import plural

MIN_USERS = 10
"""Fewer users than this tell nothing."""
MOST = 0.5
"""Share of the users from which a split counts as turned round, disordered or cut."""
NEARLY_ALL = 0.9
"""Share of the sequences that must go on at one end to tell which end that is."""

CHECK = "history-order"
_TURN = "the most recent item comes last, in every split: turn these histories round"
_TURNED = "the most recent item comes last: were these histories turned round?"
_LOOK = "a history's most recent item comes last: look which of the two is in another order"
_KEEP = "of a longer sequence keep the last items"


@dataclass(frozen=True)
class _Seen:
    """What a split's compared users show; (n,) ``capped``: whose history is as long as any of the
    split, so that it may have been cut."""

    courses: Courses
    capped: NDArray[np.bool_]

    @property
    def turned(self) -> bool:
        return self._most(self.courses.back)

    @property
    def straight(self) -> bool:
        return self._most(self.courses.along)

    @property
    def later(self) -> int:
        """Users of a history turned round, and not cut, whose sequence holds more at its end."""
        found = self.courses
        return int((found.back & ~self.capped & (found.after > 0) & (found.before == 0)).sum())

    @property
    def sooner(self) -> int:
        """The same, at its beginning."""
        found = self.courses
        return int((found.back & ~self.capped & (found.before > 0) & (found.after == 0)).sum())

    def _most(self, hits: NDArray[np.bool_]) -> bool:
        return len(hits) >= MIN_USERS and bool(hits.mean() >= MOST)


def order_findings(rows: RowFiles, sequences: Lists | None) -> Iterator[Finding]:
    """A finding for each split whose histories are readable, where there are ``sequences``."""
    if sequences is None:
        return
    seen: dict[str, _Seen] = {}
    for split, file in rows.items():
        if (found := _see(file, sequences)) is not None:
            seen[split] = found
    for name in seen:
        yield _finding(name, seen)


def _see(file: RowFile, sequences: Lists) -> _Seen | None:
    if file.history is None or file.sample is None:
        return None
    found = courses(file.sample, sequences)
    return _Seen(found, found.items >= file.history.counts.max())


def _finding(split: str, seen: Mapping[str, _Seen]) -> Finding:
    here = seen[split]
    users = len(here.capped)
    said = f"{split}: {plural(users, 'user')} compared with item_seq.parquet"
    if users < MIN_USERS:
        return Finding(CHECK, Level.PASS, f"{said}, too few to tell", "")
    along, back = here.courses.along.mean(), here.courses.back.mean()
    said += f", {along:.1%} of the histories run as it does, {back:.1%} backwards"
    if here.turned:
        return _turned(said, seen)
    if not here.straight:
        return Finding(CHECK, Level.WARN, f"{said}, the rest in another order", _LOOK)
    return _cut(said, here)


def _turned(said: str, seen: Mapping[str, _Seen]) -> Finding:
    """Histories or sequences are turned round: are these histories it?"""
    if others := [split for split, there in seen.items() if there.straight]:
        what = f"{said}, while those of {' and '.join(others)} run as it does"
        return Finding(CHECK, Level.FAIL, what, _TURN)
    # What a sequence holds beyond a history that was not cut came after it.
    later, sooner = (sum(getattr(s, end) for s in seen.values()) for end in ("later", "sooner"))
    if later + sooner < MIN_USERS or max(later, sooner) / (later + sooner) < NEARLY_ALL:
        return Finding(CHECK, Level.WARN, said, _LOOK)
    if later < sooner:
        return Finding(CHECK, Level.PASS, f"{said}; the sequences' most recent item is first", "")
    what = f"{said}; {plural(later, 'sequence goes', 'sequences go')} on at the end, the recent one"
    return Finding(CHECK, Level.WARN, what, _TURNED)


def _cut(said: str, here: _Seen) -> Finding:
    """Of histories that were cut, which part was kept?"""
    found = here.courses
    cut = here.capped & found.along & (found.before + found.after >= TAIL)
    first = int((cut & (found.before == 0)).sum())
    n = int(cut.sum())
    if n >= MIN_USERS and first >= MOST * n:
        what = f"{said}; of {n:,} that were cut, {first:,} are the first items of the sequence"
        return Finding(CHECK, Level.WARN, what, _KEEP)
    return Finding(CHECK, Level.PASS, said, "")
