"""Checks that histories run in the right direction and were cut at the right end.

A history that is reversed, or cut so that its oldest items stay, holds valid numbers and trains
without any error. How the challenge's own rows and sequences relate is not published: a sequence
may continue after the history, with the rows' targets, and may lack items of it. So FAIL needs
proof that the histories are the ones reversed: those of another split run along the sequences.
If sequences continue at one end only, that end is probably the recent one, which is no proof.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.check.rows import RowFile, RowFiles
from mmctr_kit.audit.check.sequences import TAIL, Directions, UserLists, directions
from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import plural

MIN_USERS = 10
"""With fewer users, nothing can be said."""
MOST = 0.5
"""Share of the users from which a split counts as reversed, disordered or cut."""
NEARLY_ALL = 0.9
"""Share of the sequences that must continue at the same end to say which end is recent."""

CHECK = "history-order"
_REVERSE = "the most recent item comes last, in every split: reverse these histories"
_REVERSED = "the most recent item comes last: were these histories reversed?"
_LOOK = "a history's most recent item comes last: find out which of the two is in another order"


@dataclass(frozen=True)
class _Compared:
    """Results for a split's compared users. ``capped`` (n,): the history is as long as any of the
    split, so it may have been cut."""

    directions: Directions
    capped: NDArray[np.bool_]

    @property
    def reversed(self) -> bool:
        return self._most(self.directions.reversed)

    @property
    def along(self) -> bool:
        return self._most(self.directions.along)

    @property
    def continued(self) -> int:
        """Users with a reversed history that is not cut and whose sequence is longer at its end."""
        d = self.directions
        return int((d.reversed & ~self.capped & (d.after > 0) & (d.before == 0)).sum())

    @property
    def preceded(self) -> int:
        """Users with such a history whose sequence is longer at its start."""
        d = self.directions
        return int((d.reversed & ~self.capped & (d.before > 0) & (d.after == 0)).sum())

    def _most(self, hits: NDArray[np.bool_]) -> bool:
        return len(hits) >= MIN_USERS and bool(hits.mean() >= MOST)


def check_order(rows: RowFiles, sequences: UserLists | None, log: Log) -> None:
    """One finding for each split whose histories can be compared with ``sequences``."""
    if sequences is None:
        return
    compared: dict[str, _Compared] = {
        s: c for s, f in rows.items() if (c := _compare(f, sequences)) is not None
    }
    for split in compared:
        _check_split(split, compared, log)


def _compare(file: RowFile, sequences: UserLists) -> _Compared | None:
    if file.history is None or file.sample is None:
        return None
    result = directions(file.sample, sequences)
    return _Compared(result, result.items >= file.history.counts.max())


def _check_split(split: str, compared: Mapping[str, _Compared], log: Log) -> None:
    split_result = compared[split]
    users = len(split_result.capped)
    what = f"{split}: {plural(users, 'user')} compared with item_seq.parquet"
    if users < MIN_USERS:
        log.passed(CHECK, f"{what}, too few to tell")
        return
    along, back = split_result.directions.along.mean(), split_result.directions.reversed.mean()
    what += f", {along:.1%} of the histories run as it does, {back:.1%} backwards"
    if split_result.reversed:
        _report_reversed(what, compared, log)
    elif not split_result.along:
        log.warn(CHECK, f"{what}, the rest in another order", _LOOK)
    else:
        _report_cut(what, split_result, log)


def _report_reversed(what: str, compared: Mapping[str, _Compared], log: Log) -> None:
    """Histories or sequences are reversed: is it the histories?"""
    if others := [split for split, other in compared.items() if other.along]:
        what = f"{what}, while those of {' and '.join(others)} run as it does"
        log.fail(CHECK, what, _REVERSE)
        return
    # What a sequence holds beyond a history that was not cut came after it.
    later = sum(c.continued for c in compared.values())
    sooner = sum(c.preceded for c in compared.values())
    if later + sooner < MIN_USERS or max(later, sooner) / (later + sooner) < NEARLY_ALL:
        log.warn(CHECK, what, _LOOK)
    elif later < sooner:
        log.passed(CHECK, f"{what}; the sequences' most recent item is first")
    else:
        longer = plural(later, "sequence continues", "sequences continue")
        log.warn(CHECK, f"{what}; {longer} at the end, probably the recent one", _REVERSED)


def _report_cut(what: str, compared: _Compared, log: Log) -> None:
    """If histories were cut, which part was kept?"""
    d = compared.directions
    cut = compared.capped & d.along & (d.before + d.after >= TAIL)
    first, n = int((cut & (d.before == 0)).sum()), int(cut.sum())
    if n >= MIN_USERS and first >= MOST * n:
        what = f"{what}; of {n:,} that were cut, {first:,} are the first items of the sequence"
        log.warn(CHECK, what, "keep the last items of a longer sequence")
    else:
        log.passed(CHECK, what)
