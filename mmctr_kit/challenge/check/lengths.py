"""Checks on how long histories are, of each split by itself and beside the others."""

from collections.abc import Iterator, Mapping

import numpy as np

from mmctr_kit.challenge.check.rows import HistoryFacts, RowFiles
from mmctr_kit.challenge.contract import MAX_HISTORY, Split
from mmctr_kit.challenge.doubts import MOSTLY_EMPTY
from mmctr_kit.challenge.hash import distinct
from mmctr_kit.findings import Finding, Level, count

SHORT_HISTORY = 3
EXPECTED = 10
"""Longer histories of other splits, and such that a split should then have, that are no chance."""

CHECK = "history-length"
_HISTORIES = ("history has", "histories have")


def length_findings(rows: RowFiles) -> Iterator[Finding]:
    """Empty, short and long histories, and a split whose long ones were cut."""
    known = {s: f.history for s, f in rows.items() if f.history is not None}
    for split, history in known.items():
        yield _length(split, history)
    for split in known:
        yield from _cut(split, known)


def _length(split: Split, history: HistoryFacts) -> Finding:
    counts = history.counts
    said = f"{split}: {counts.min()} to {counts.max()} items, mean {counts.mean():.1f}"
    if empty := int((counts == 0).sum()):
        what = f"{said}; {empty:,} ({empty / len(counts):.2%}) of the histories empty"
        if empty > MOSTLY_EMPTY * len(counts):
            todo = (
                "were histories cut at the wrong end? padding stands on the left, so keep the "
                "right end: item_seq[-n:], not item_seq[:n]"
            )
            return Finding(CHECK, Level.FAIL, what, todo)
        todo = "fine for new users; the challenge has none: did padding replace the items?"
        return Finding(CHECK, Level.WARN, what, todo)
    if short := int((counts < SHORT_HISTORY).sum()):
        todo = "fine in data of your own; the challenge's own have at least 3"
        what = f"{said}; {count(short, *_HISTORIES)} fewer than {SHORT_HISTORY}"
        return Finding(CHECK, Level.WARN, what, todo)
    if long := int((counts > MAX_HISTORY).sum()):
        todo = f"keep the last {MAX_HISTORY}, as the challenge does"
        what = f"{said}; {count(long, *_HISTORIES)} more than {MAX_HISTORY}"
        return Finding(CHECK, Level.WARN, what, todo)
    return Finding(CHECK, Level.PASS, said, "")


def _cut(split: Split, known: Mapping[Split, HistoryFacts]) -> Iterator[Finding]:
    """Where none of a split is as long as many of the others are."""
    longest = int(known[split].counts.max())
    others = [h for s, h in known.items() if s != split]
    if not others or longest >= max(int(h.counts.max()) for h in others):
        return
    beyond = [h.counts > longest for h in others]
    # Rows of a user share a history: it counts once.
    longer = len(distinct(np.concatenate([h.keys[b] for h, b in zip(others, beyond, strict=True)])))
    share = float(np.concatenate(beyond).mean())
    if min(longer, share * len(distinct(known[split].keys))) >= EXPECTED:
        yield Finding(
            CHECK,
            Level.WARN,
            f"{split}: none has over {longest} items, {share:.1%} of the other splits' do",
            f"was {split} cut? keep as many of the last items in every split",
        )
