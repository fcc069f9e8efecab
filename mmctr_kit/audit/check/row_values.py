"""Checks on how long histories are, of each split by itself and beside the others."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.check.item_files import ItemFile
from mmctr_kit.audit.check.rows import HistoryFacts, RowFile, RowFiles
from mmctr_kit.audit.check.source import Source
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.audit.sanity import MOSTLY_EMPTY
from mmctr_kit.data.contract import MAX_HISTORY, N_LEVELS, PAD, Split
from mmctr_kit.data.hashing import among, distinct, pair_keys
from mmctr_kit.errors import plural

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
        what = f"{said}; {plural(short, *_HISTORIES)} fewer than {SHORT_HISTORY}"
        return Finding(CHECK, Level.WARN, what, todo)
    if long := int((counts > MAX_HISTORY).sum()):
        todo = f"keep the last {MAX_HISTORY}, as the challenge does"
        what = f"{said}; {plural(long, *_HISTORIES)} more than {MAX_HISTORY}"
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


COPIED = 0.01
"""Share of a split's rows that may be in train too, as a few impressions of one item may."""
_WHY = {
    "valid": "a valid score on rows that were trained on says nothing",
    "test": "the labels of test are then known to whatever is trained",
}


def copy_findings(rows: RowFiles) -> Iterator[Finding]:
    """Rows of valid and test that train holds, where there are more than a few."""
    train = rows["train"]
    for split in ("valid", "test"):
        finding = _copies(split, rows[split], train)
        if finding is not None:
            yield finding


def _copies(split: Split, file: RowFile, train: RowFile) -> Finding | None:
    if not all({"user_id", "item_id"} <= set(f.columns) for f in (file, train)):
        return None
    # Few users of train, as a rule none, are of the other split: only their rows are compared.
    shared = np.flatnonzero(among(train.columns["user_id"], distinct(file.columns["user_id"])))
    if not len(shared):
        return None
    here, there = _pairs(file), _pairs(train)[shared]
    met = float(among(here, distinct(there)).mean())
    if met <= COPIED:
        return None
    if file.history is None or train.history is None:
        return _finding(split, met, len(here), Level.FAIL, "same user and item")
    here, there = _with_history(here, file), _with_history(there, train, shared)
    copied = float(among(here, distinct(there)).mean())
    if copied > COPIED:
        return _finding(split, copied, len(here), Level.FAIL, "same user, item and history")
    return _finding(split, met, len(here), Level.WARN, "same user and item, another history")


def _pairs(file: RowFile) -> NDArray[np.uint64]:
    return pair_keys(file.columns["user_id"], file.columns["item_id"])


def _with_history(
    pairs: NDArray[np.uint64], file: RowFile, rows: NDArray[np.int64] | None = None
) -> NDArray[np.uint64]:
    assert file.history is not None
    histories = file.history.keys if rows is None else file.history.keys[rows]
    return pair_keys(pairs.view(np.int64), histories.view(np.int64))


def _finding(split: Split, share: float, rows: int, level: Level, same: str) -> Finding:
    what = f"{split}: {round(share * rows):,} of {rows:,} rows ({share:.1%}) stand in train too"
    todo = f"take them out of train: {_WHY[split]}"
    if level is Level.WARN:
        todo = f"if they are the same impressions, {todo}"
    return Finding("duplicate-rows", level, f"{what} ({same})", todo)


LEVELS = ("likes_level", "views_level")
TOP = N_LEVELS - 1


def level_findings(rows: RowFiles, feature: ItemFile, source: Source) -> Iterator[Finding]:
    """What the levels of rows and items tell, alone and together; ``source`` is item_feature's."""
    yield from _in_rows(rows)
    yield from _in_feature(feature)
    if source.usable("item_id") and all(source.columns[n].copies == 0 for n in LEVELS):
        yield Finding("levels-agree", Level.PASS, "skipped: item_feature holds no levels", "")
    else:
        yield from _agree(rows, feature)


def _in_rows(rows: RowFiles) -> Iterator[Finding]:
    for split, file in rows.items():
        levels = {n: file.columns[n] for n in LEVELS if n in file.columns}
        wrong = {n: int(((x < 1) | (x > TOP)).sum()) for n, x in levels.items()}
        for name, found in wrong.items():
            if found:
                yield Finding(
                    "levels-range",
                    Level.FAIL,
                    f"{split}: {plural(found, 'row has', 'rows have')} a {name} outside 1..{TOP}",
                    "levels are 1 to 10; 0 is padding and stands in no row",
                )
        if levels and not any(wrong.values()):
            yield Finding("levels-range", Level.PASS, f"{split}: in 1..{TOP}", "")


def _in_feature(feature: ItemFile) -> Iterator[Finding]:
    fine = bool(feature.levels)
    for name, levels in feature.levels.items():
        outside = int(((levels < 0) | (levels > TOP)).sum())
        unknown = int((levels == PAD).sum())
        fine = fine and not outside and not unknown
        if outside:
            yield Finding(
                "levels-range",
                Level.FAIL,
                f"item_feature: {plural(outside, 'value')} of {name} outside 0..{TOP}",
                "levels are 1 to 10; the models' tables have no more places",
            )
        elif unknown:
            yield Finding(
                "levels-range",
                Level.WARN,
                f"item_feature: {name} is 0, which means padding, at {plural(unknown, 'item')}",
                "levels are 1 to 10; 0 says nothing of the item",
            )
    if fine:
        yield Finding("levels-range", Level.PASS, f"item_feature: in 1..{TOP}", "")


def _agree(rows: RowFiles, feature: ItemFile) -> Iterator[Finding]:
    if feature.item_id is None:
        return
    order = np.argsort(feature.item_id, kind="stable")
    ids = feature.item_id[order]
    for split, file in rows.items():
        names = [n for n in LEVELS if n in file.columns and n in feature.levels]
        if "item_id" not in file.columns or not names:
            continue
        item = file.columns["item_id"]
        place = np.minimum(np.searchsorted(ids, item), len(ids) - 1)
        known = ids[place] == item
        differs = {
            n: float((known & (feature.levels[n][order][place] != file.columns[n])).mean())
            for n in names
        }
        told = ", ".join(f"{n} in {share:.2%} of them" for n, share in differs.items())
        if any(differs.values()):
            todo = "look whether item_feature is shifted or of another release"
            what = f"{split}: rows differ from item_feature: {told}"
            yield Finding("levels-agree", Level.WARN, what, todo)
        else:
            yield Finding("levels-agree", Level.PASS, f"{split}: as in item_feature", "")
