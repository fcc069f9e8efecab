"""Checks across rows: users, repeats, unseen items, times, targets in item_seq.parquet.

What they expect is inferred from published counts or a matter of taste, so none of them fails.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mmctr_kit.audit.check.rows import RowFile, RowFiles, rates_by_label
from mmctr_kit.audit.check.scan import FileScan
from mmctr_kit.audit.check.sequences import Sampler, UserLists, longest
from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import KNOWN_LABEL_MEAN, KNOWN_ROWS_PER_USER, PAD, TIME
from mmctr_kit.data.hashing import among, distinct, pair_keys
from mmctr_kit.data.parquet import ints, ragged
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import Ints, Uints, group_starts

UNSEEN = 0.10
TWINS = 0.005
"""Share of a split's users with the history of another split's user under another id."""
LONG_HISTORY = 3
"""Shorter histories coincide by chance."""
TARGETS_HELD = 0.01
"""Share of rows whose target item_seq.parquet may hold before it is worth a warning."""
LABEL_MEAN_GAP = 0.05
LATE = 0.1
"""A split comes after train, or was to, if at most this share of train's rows is later than the
first tenth of the split's."""


@dataclass(frozen=True)
class Sequences:
    """The content of item_seq.parquet.

    ``keys`` of its (user, item) pairs and ``users`` ascend; ``lowest`` and ``highest`` are item
    ids; ``sample`` holds the sequences of some users.
    """

    keys: Uints
    users: Ints
    lowest: int
    highest: int
    sample: UserLists

    def unknown(self, n_items: int | None) -> bool | None:
        """Whether an id is outside 0..n_items; None if ``n_items`` is not known."""
        return None if n_items is None else self.lowest < 0 or self.highest > n_items


def read_sequences(scan: FileScan) -> Sequences | None:
    """item_seq.parquet; None if it is absent or not usable."""
    if not scan.usable("user_id", "item_seq"):
        return None
    users, keys, low, high = [], [], 0, 0
    sampler = Sampler(scan.rows)
    for batch in scan.batches("user_id", "item_seq"):
        user = ints(batch["user_id"])
        seq: Ragged[np.int64] = ragged(batch["item_seq"])
        items = seq.values
        low, high = min(low, int(items.min(initial=0))), max(high, int(items.max(initial=0)))
        users.append(user)
        sampler.add(user, seq)
        real = items != PAD
        keys.append(pair_keys(user[seq.rows][real], items[real]))
    pairs, distinct_users = np.sort(np.concatenate(keys)), distinct(np.concatenate(users))
    return Sequences(pairs, distinct_users, low, high, longest(sampler.parts))


def check_users(rows: RowFiles, sequences: Sequences | None, log: Log) -> None:
    """Every check that compares rows with each other."""
    _check_two_splits(rows, log)
    for split, file in rows.items():
        if "user_id" in file.columns:
            user = file.columns["user_id"]
            negative = user[user < 0]
            if len(negative):
                what = f"{split}: {plural(len(negative), 'row')} with a negative user_id, like "
                todo = "were they read or cast wrongly? ids are only compared, so training works"
                log.warn("user-ids", f"{what}{negative[0]}", todo)
            log.passed("user-ids", f"{split}: no user_id is negative")
            _check_rows_per_user(split, file, log)
        if {"user_id", "item_id"} <= file.columns.keys():
            _check_repeats(split, file, log)
            if sequences is not None:
                _check_held_targets(split, file, sequences, log)
        if "label" in file.columns:
            mean = float(file.columns["label"].mean())
            todo = f"the challenge's is {KNOWN_LABEL_MEAN}; scores do not compare with published "
            far = abs(mean - KNOWN_LABEL_MEAN) > LABEL_MEAN_GAP
            what = f"{split}: label mean {mean:.4f}"
            log.warn_if(far, "label-mean", what, f"{todo}ones", challenge=True)
    _check_unseen(rows, log)
    _check_times(rows, log)


def _check_two_splits(rows: RowFiles, log: Log) -> None:
    """Users that two splits share, under one id or under two."""
    users = {s: distinct(f.columns["user_id"]) for s, f in rows.items() if "user_id" in f.columns}
    for a, b in combinations(users, 2):
        both = int(among(users[a], users[b]).sum())
        todo = "scores on one then also measure how well users of the other were memorised"
        what = f"{a} and {b} share {plural(both, 'user')}"
        log.warn_if(both > 0, "split-users", what, todo)
        first, second = rows[a].history, rows[b].history
        if first is None or second is None:
            continue
        long = distinct(first.keys[first.counts >= LONG_HISTORY])
        new = ~among(rows[b].columns["user_id"], users[a])
        twins = len(distinct(rows[b].columns["user_id"][new & among(second.keys, long)]))
        if twins > TWINS * len(users[b]):
            what = f"{plural(twins, 'user')} of {b} with the history of a user of {a} under "
            todo = "give both one user_id, or drop one; see 'mmctr-kit data profile'"
            log.warn("split-users", f"{what}another id", todo)


def _check_rows_per_user(split: str, file: RowFile, log: Log) -> None:
    order = np.argsort(file.columns["user_id"], kind="stable")
    user = file.columns["user_id"][order]
    starts = np.flatnonzero(group_starts(user))
    rows = np.diff([*starts, len(user)])
    usual = float((rows == KNOWN_ROWS_PER_USER).mean())
    what = f"{split}: {plural(len(starts), 'user')} with {rows.min()} to {rows.max()} rows each"
    if "label" in file.columns:
        positives = np.add.reduceat(file.columns["label"][order], starts)
        one = float((positives == 1).mean())
        what += f" ({one:.1%} with one positive)"
        usual = min(usual, one)
    # The last user of test has fewer rows if their number is no multiple of four.
    odd = split == "train" and usual < 0.99
    todo = f"the challenge's train has {KNOWN_ROWS_PER_USER} rows a user, one of them positive"
    log.warn_if(odd, "rows-per-user", what, todo, challenge=True)
    if file.history is not None:
        keys = file.history.keys[order]
        differ = np.add.reduceat((keys != np.repeat(keys[starts], rows)).astype(np.int64), starts)
        share = float((differ > 0).mean())
        what = f"{split}: {share:.2%} of the users have rows with different histories"
        todo = (
            "the challenge's users have one history each; a history that grows from row to row "
            "gives away the labels of earlier rows"
        )
        log.warn_if(share > 0, "shared-history", what, todo)


def _check_repeats(split: str, file: RowFile, log: Log) -> None:
    keys = pair_keys(file.columns["user_id"], file.columns["item_id"])
    order = np.argsort(keys)
    again = ~group_starts(keys[order])[1:]
    repeated = int(again.sum())
    what = f"{split}: {plural(repeated, 'row repeats', 'rows repeat')} the user and item of another"
    todo = "drop repeats, unless they are separate impressions"
    log.warn_if(repeated > 0, "duplicate-rows", what, todo)
    if "label" in file.columns:
        label = file.columns["label"][order]
        conflicts = int((again & (label[1:] != label[:-1])).sum())
        what = f"{split}: {plural(conflicts, 'repeat has', 'repeats have')} another label"
        todo = "keep one label for each user and item, or accept the noise"
        log.warn_if(conflicts > 0, "conflicting-labels", what, todo)


def _check_unseen(rows: RowFiles, log: Log) -> None:
    if "item_id" not in rows["train"].columns:
        return
    seen = distinct(rows["train"].columns["item_id"])
    for split in ("valid", "test"):
        if "item_id" in rows[split].columns:
            share = 1 - float(among(rows[split].columns["item_id"], seen).mean())
            what = f"{split}: {share:.2%} of the rows have an item that is never a target in train"
            todo = "id embeddings learn nothing about these; rely on the multimodal ones"
            log.warn_if(share > UNSEEN, "unseen-items", what, todo)


def _check_times(rows: RowFiles, log: Log) -> None:
    times = {s: f.columns[TIME] for s, f in rows.items() if TIME in f.columns}
    if "train" not in times:
        if rows["train"].columns:
            log.skip("times", "the rows have no times")
        return
    train = times.pop("train")
    for split, time in times.items():
        late = int((train > time.min()).sum())
        after = float((train > np.quantile(time, 0.1)).mean()) <= LATE
        what = f"{split}: {plural(late, 'row')} of train ({late / len(train):.2%}) after its first"
        todo = "take them out of train: who learns from them knows the future"
        log.warn_if(after and late > 0, "times", what, todo)


def _check_held_targets(split: str, file: RowFile, sequences: Sequences, log: Log) -> None:
    user = file.columns["user_id"]
    held = among(pair_keys(user, file.columns["item_id"]), sequences.keys)
    known, rate = float(among(user, sequences.users).mean()), float(held.mean())
    what = (
        f"{split}: item_seq.parquet has the user of {known:.1%} of the rows, with the row's target "
        f"in {rate:.2%}{rates_by_label(held, file)}"
    )
    todo = "do not train on item_seq.parquet: it gives away labels"
    log.warn_if(rate > TARGETS_HELD, "item-seq-targets", what, todo)
