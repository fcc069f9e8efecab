"""Checks that histories run in the right direction and were cut at the right end.

A history that is reversed, or cut so that its oldest items stay, holds valid numbers and trains
without any error. How the challenge's own rows and sequences relate is not published: a sequence
may continue after the history, with the rows' targets, and may lack items of it. So FAIL needs
proof that the histories are the ones reversed: those of another split run along the sequences.
If sequences continue at one end only, that end is probably the recent one, which is no proof.
"""

from collections.abc import Mapping

import numpy as np

from mmctr_kit.audit.check.rows import RowFiles
from mmctr_kit.audit.check.sequences import TAIL, Directions, UserLists, directions
from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import Split
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import Flags

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


def _most(hits: Flags) -> bool:
    return len(hits) >= MIN_USERS and bool(hits.mean() >= MOST)


def check_order(rows: RowFiles, sequences: UserLists | None, log: Log) -> None:
    """One finding for each split whose histories can be compared with ``sequences``."""
    if sequences is None:
        return
    compared = {
        split: directions(file.sample, sequences, int(file.history.counts.max()))
        for split, file in rows.items()
        if file.history is not None and file.sample is not None
    }
    for split in compared:
        _check_split(split, compared, log)


def _check_split(split: Split, compared: Mapping[Split, Directions], log: Log) -> None:
    along, back = compared[split].along, compared[split].reversed
    users = len(along)
    what = f"{split}: {plural(users, 'user')} compared with item_seq.parquet"
    if users < MIN_USERS:
        log.passed(CHECK, f"{what}, too few to tell")
        return
    what += f", {along.mean():.1%} of the histories run as it does, {back.mean():.1%} backwards"
    if _most(back):
        _report_reversed(what, compared, log)
    elif not _most(along):
        log.warn(CHECK, f"{what}, the rest in another order", _LOOK)
    else:
        _report_cut(what, compared[split], log)


def _report_reversed(what: str, compared: Mapping[Split, Directions], log: Log) -> None:
    """Reports histories that run against their sequences, one of which is reversed."""
    if others := [split for split, other in compared.items() if _most(other.along)]:
        what = f"{what}, while those of {' and '.join(others)} run as it does"
        log.fail(CHECK, what, _REVERSE)
        return
    # What a sequence holds beyond a history that was not cut came after it.
    later, sooner = np.sum([_beyond(d) for d in compared.values()], axis=0).tolist()
    if later + sooner < MIN_USERS or max(later, sooner) / (later + sooner) < NEARLY_ALL:
        log.warn(CHECK, what, _LOOK)
    elif later < sooner:
        log.passed(CHECK, f"{what}; the sequences' most recent item is first")
    else:
        longer = plural(later, "sequence continues", "sequences continue")
        log.warn(CHECK, f"{what}; {longer} at the end, probably the recent one", _REVERSED)


def _beyond(d: Directions) -> tuple[int, int]:
    """Users whose reversed, uncut history a sequence exceeds at its end only, at its start only."""
    uncut, later, sooner = d.reversed & ~d.capped, d.after > 0, d.before > 0
    return int((uncut & later & ~sooner).sum()), int((uncut & sooner & ~later).sum())


def _report_cut(what: str, d: Directions, log: Log) -> None:
    """Reports histories that are the first items of a longer sequence, not the last."""
    cut = d.capped & d.along & (d.before + d.after >= TAIL)
    first, n = int((cut & (d.before == 0)).sum()), int(cut.sum())
    if n >= MIN_USERS and first >= MOST * n:
        what = f"{what}; of {n:,} that were cut, {first:,} are the first items of the sequence"
        log.warn(CHECK, what, "keep the last items of a longer sequence")
    else:
        log.passed(CHECK, what)
