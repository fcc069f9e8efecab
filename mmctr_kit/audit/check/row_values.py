"""Checks on the rows' values: lengths of histories, levels, and rows that train holds too."""

from collections.abc import Mapping

import numpy as np

from mmctr_kit.audit.check.item_files import ItemFile
from mmctr_kit.audit.check.rows import HistoryColumns, RowFile, RowFiles
from mmctr_kit.audit.check.scan import FileScan
from mmctr_kit.audit.findings import Log
from mmctr_kit.audit.sanity import MOSTLY_EMPTY
from mmctr_kit.data.contract import MAX_HISTORY, N_LEVELS, PAD, Split
from mmctr_kit.data.hashing import among, distinct, pair_keys
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import Ints, Uints

SHORT_HISTORY = 3
EXPECTED = 10
"""A split counts as cut if chance would give it at least this many longer histories."""
COPIED = 0.01
"""Share of a split's rows that may be in train too, as a few impressions of one item may."""
LEVELS = ("likes_level", "views_level")
TOP = N_LEVELS - 1
_HISTORIES = ("history has", "histories have")
_WHY = {
    "valid": "a valid score on rows that were trained on says nothing",
    "test": "the labels of test are then known to whatever is trained",
}


def check_lengths(rows: RowFiles, log: Log) -> None:
    """Empty, short and long histories, and a split whose long ones were cut."""
    known = {s: f.history for s, f in rows.items() if f.history is not None}
    for split in known:
        _check_length(split, known[split].counts, log)
        _check_cut(split, known, log)


def _check_length(split: Split, counts: Ints, log: Log) -> None:
    check = "history-length"
    what = f"{split}: {counts.min()} to {counts.max()} items, mean {counts.mean():.1f}"
    if empty := int((counts == 0).sum()):
        what += f"; {empty:,} ({empty / len(counts):.2%}) of the histories empty"
        if empty > MOSTLY_EMPTY * len(counts):
            todo = (
                "were histories cut at the wrong end? padding is on the left, so keep the right "
                "end: item_seq[-n:], not item_seq[:n]"
            )
            log.fail(check, what, todo)
        else:
            todo = "fine for new users; the challenge has none: did padding replace the items?"
            log.warn(check, what, todo)
    elif short := int((counts < SHORT_HISTORY).sum()):
        todo = "fine in data of your own; the challenge's histories have at least 3"
        what += f"; {plural(short, *_HISTORIES)} fewer than {SHORT_HISTORY}"
        log.warn(check, what, todo, challenge=True)
    elif long := int((counts > MAX_HISTORY).sum()):
        todo = f"keep the last {MAX_HISTORY}, as the challenge does"
        log.warn(check, f"{what}; {plural(long, *_HISTORIES)} more than {MAX_HISTORY}", todo)
    else:
        log.passed(check, what)


def _check_cut(split: Split, known: Mapping[Split, HistoryColumns], log: Log) -> None:
    """WARN if none of a split's histories is as long as many of the other splits' are."""
    longest = int(known[split].counts.max())
    others = [h for s, h in known.items() if s != split]
    if not others or longest >= max(int(h.counts.max()) for h in others):
        return
    beyond = [h.counts > longest for h in others]
    # Rows of a user share a history: it counts once.
    longer = len(distinct(np.concatenate([h.keys[b] for h, b in zip(others, beyond, strict=True)])))
    share = float(np.concatenate(beyond).mean())
    if min(longer, share * len(distinct(known[split].keys))) >= EXPECTED:
        what = f"{split}: none has over {longest} items, {share:.1%} of the other splits' do"
        todo = f"was {split} cut? keep as many of the last items in every split"
        log.warn("history-length", what, todo)


def check_copies(rows: RowFiles, log: Log) -> None:
    """Rows of valid and test that train holds, if there are more than a few."""
    for split in ("valid", "test"):
        if all({"user_id", "item_id"} <= rows[s].columns.keys() for s in (split, "train")):
            _check_copies(split, rows[split], rows["train"], log)


def _check_copies(split: Split, file: RowFile, train: RowFile, log: Log) -> None:
    # Few users of train, as a rule none, are of the other split: only their rows are compared.
    shared = np.flatnonzero(among(train.columns["user_id"], distinct(file.columns["user_id"])))
    pairs, in_train = _pairs(file), _pairs(train)[shared]
    share, same = float(among(pairs, distinct(in_train)).mean()), "user and item"
    if share <= COPIED:
        return
    report, todo = log.fail, f"take them out of train: {_WHY[split]}"
    if file.history is not None and train.history is not None:
        pairs = pair_keys(pairs.view(np.int64), file.history.keys.view(np.int64))
        keys = train.history.keys[shared]
        in_train = pair_keys(in_train.view(np.int64), keys.view(np.int64))
        copied = float(among(pairs, distinct(in_train)).mean())
        if copied > COPIED:
            share, same = copied, "user, item and history"
        else:
            same = "user and item, another history"
            report, todo = log.warn, f"if they are the same impressions, {todo}"
    n = len(pairs)
    what = f"{split}: {round(share * n):,} of {n:,} rows ({share:.1%}) are in train too"
    report("duplicate-rows", f"{what} (same {same})", todo)


def _pairs(file: RowFile) -> Uints:
    return pair_keys(file.columns["user_id"], file.columns["item_id"])


def check_levels(rows: RowFiles, feature: ItemFile, scan: FileScan, log: Log) -> None:
    """Levels of rows and items, alone and compared; ``scan`` is item_feature's."""
    for split, file in rows.items():
        levels = {n: file.columns[n] for n in LEVELS if n in file.columns}
        for name, values in levels.items():
            if wrong := int(((values < 1) | (values > TOP)).sum()):
                number = plural(wrong, "row has", "rows have")
                todo = "levels are 1 to 10; 0 is padding and is in no row"
                log.fail("levels-range", f"{split}: {number} a {name} outside 1..{TOP}", todo)
        if levels:
            log.passed("levels-range", f"{split}: in 1..{TOP}")
    _check_item_levels(feature, log)
    if scan.usable("item_id") and all(scan.columns[n].copies == 0 for n in LEVELS):
        log.skip("levels-agree", "item_feature holds no levels")
    elif feature.item_id is not None:
        _check_agreement(rows, feature, feature.item_id, log)


def _check_item_levels(feature: ItemFile, log: Log) -> None:
    for name, levels in feature.levels.items():
        if outside := int(((levels < 0) | (levels > TOP)).sum()):
            what = f"item_feature: {plural(outside, 'value')} of {name} outside 0..{TOP}"
            todo = "levels are 1 to 10; the models' tables have no room for others"
            log.fail("levels-range", what, todo)
        elif unknown := int((levels == PAD).sum()):
            what = f"item_feature: {name} is 0, which means padding, at {plural(unknown, 'item')}"
            log.warn("levels-range", what, "levels are 1 to 10; 0 says nothing about the item")
    if feature.levels:
        log.passed("levels-range", f"item_feature: in 1..{TOP}")


def _check_agreement(rows: RowFiles, feature: ItemFile, item_id: Ints, log: Log) -> None:
    order = np.argsort(item_id, kind="stable")
    ids = item_id[order]
    for split, file in rows.items():
        names = [n for n in LEVELS if n in file.columns and n in feature.levels]
        if "item_id" not in file.columns or not names:
            continue
        item = file.columns["item_id"]
        position = np.minimum(np.searchsorted(ids, item), len(ids) - 1)
        known = ids[position] == item
        differs = {
            n: float((known & (feature.levels[n][order][position] != file.columns[n])).mean())
            for n in names
        }
        if any(differs.values()):
            shares = ", ".join(f"{n} in {share:.2%} of them" for n, share in differs.items())
            todo = "is item_feature shifted, or of another release?"
            log.warn("levels-agree", f"{split}: rows differ from item_feature: {shares}", todo)
        log.passed("levels-agree", f"{split}: as in item_feature")
