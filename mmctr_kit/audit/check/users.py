"""Checks across rows: users and their rows, repeats, unseen items, what item_seq.parquet tells.

All of it is inferred from published counts or is a matter of taste, so nothing here fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.check.rows import RowFile, RowFiles
from mmctr_kit.audit.check.sequences import Lists, Sampler
from mmctr_kit.audit.check.source import Source, ints, ragged
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import KNOWN_LABEL_MEAN, KNOWN_ROWS_PER_USER, PAD, SPLITS
from mmctr_kit.data.hashing import among, distinct, pair_keys
from mmctr_kit.errors import plural

UNSEEN = 0.10
TWINS = 0.005
"""Share of a split's users with the history of another split's user under another id."""
LONG_HISTORY = 3
"""Histories shorter than this coincide by chance."""
TOLD = 0.01
"""Share of rows whose target item_seq.parquet may hold before it is worth a warning."""


@dataclass(frozen=True)
class Sequences:
    """item_seq.parquet: sorted keys of its (user, item) pairs, its users, the range of ids, and the
    sequences of a sample of users."""

    keys: NDArray[np.uint64]
    users: NDArray[np.int64]
    lowest: int
    highest: int
    sample: Lists

    def strange(self, n_items: int | None) -> bool | None:
        """Whether an id lies outside 0..n_items; None where that is not known."""
        return None if n_items is None else self.lowest < 0 or self.highest > n_items


def read_sequences(source: Source) -> Sequences | None:
    """item_seq.parquet, None where it is absent or not usable."""
    if not source.usable("user_id", "item_seq"):
        return None
    users, keys, low, high = [], [], 0, 0
    sampler = Sampler(source.rows)
    for batch in source.batches("user_id", "item_seq"):
        user, seq = ints(batch["user_id"]), ragged(batch["item_seq"])
        items = np.asarray(seq.values, np.int64)
        low, high = min(low, int(items.min(initial=0))), max(high, int(items.max(initial=0)))
        owner = np.repeat(user, seq.lengths)
        users.append(user)
        sampler.add(user, seq)
        keys.append(pair_keys(owner[items != PAD], items[items != PAD]))
    pairs, owners = np.sort(np.concatenate(keys)), distinct(np.concatenate(users))
    return Sequences(pairs, owners, low, high, sampler.lists())


def user_findings(rows: RowFiles, sequences: Sequences | None) -> Iterator[Finding]:
    """Everything that rows tell about each other."""
    yield from _negative(rows)
    yield from _overlap(rows)
    yield from _twins(rows)
    for split in SPLITS:
        yield from _per_user(split, rows[split])
        yield from _repeats(split, rows[split])
        yield from _label_mean(split, rows[split])
    yield from _unseen(rows)
    if sequences is not None:
        for split in SPLITS:
            yield from _told(split, rows[split], sequences)


def _finding(check: str, warn: bool, what: str, todo: str) -> Finding:
    return Finding(check, Level.WARN if warn else Level.PASS, what, todo if warn else "")


def _negative(rows: RowFiles) -> Iterator[Finding]:
    for split, file in rows.items():
        if "user_id" not in file.columns:
            continue
        user = file.columns["user_id"]
        below = user[user < 0]
        what = f"{split}: no user_id is negative"
        if len(below):
            what = f"{split}: {plural(len(below), 'row')} of a negative user_id, like {below[0]}"
        todo = "look whether they were read or cast wrongly; ids are compared, so they train"
        yield _finding("user-ids", len(below) > 0, what, todo)


def _overlap(rows: RowFiles) -> Iterator[Finding]:
    users = {s: distinct(f.columns["user_id"]) for s, f in rows.items() if "user_id" in f.columns}
    for a, b in combinations(users, 2):
        both = int(among(users[a], users[b]).sum())
        yield _finding(
            "split-users",
            both > 0,
            f"{a} and {b} share {plural(both, 'user')}",
            "scores on one then also tell how well users of the other were memorised",
        )


def _twins(rows: RowFiles) -> Iterator[Finding]:
    known = [s for s in SPLITS if "user_id" in rows[s].columns and rows[s].history is not None]
    for a, b in combinations(known, 2):
        there, here = rows[a].history, rows[b].history
        assert there is not None
        assert here is not None
        users = rows[b].columns["user_id"]
        theirs = distinct(there.keys[there.counts >= LONG_HISTORY])
        new = ~among(users, distinct(rows[a].columns["user_id"]))
        twins = len(distinct(users[new & among(here.keys, theirs)]))
        if twins > TWINS * len(distinct(users)):
            yield _finding(
                "split-users",
                True,
                f"{plural(twins, 'user')} of {b} with the history of a user of {a} under "
                "another id",
                "give both one user_id, or drop one; see 'mmctr-kit data profile'",
            )


def _per_user(split: str, file: RowFile) -> Iterator[Finding]:
    if "user_id" not in file.columns:
        return
    order = np.argsort(file.columns["user_id"], kind="stable")
    user = file.columns["user_id"][order]
    first = np.concatenate([[True], user[1:] != user[:-1]])
    starts = np.flatnonzero(first)
    rows = np.diff([*starts, len(user)])
    usual = float((rows == KNOWN_ROWS_PER_USER).mean())
    what = f"{split}: {plural(len(starts), 'user')} of {rows.min()} to {rows.max()} rows"
    if "label" in file.columns:
        positives = np.add.reduceat(file.columns["label"][order], starts)
        one = float((positives == 1).mean())
        what += f" ({one:.1%} with one positive)"
        usual = min(usual, one)
    # The last user of test has fewer rows where their number is no multiple of four.
    yield _finding(
        "rows-per-user",
        split == "train" and usual < 0.99,
        what,
        f"the challenge's train has {KNOWN_ROWS_PER_USER} rows a user, one of them positive",
    )
    if file.history is not None:
        keys = file.history.keys[order]
        differ = np.add.reduceat((keys != np.repeat(keys[starts], rows)).astype(np.int64), starts)
        share = float((differ > 0).mean())
        yield _finding(
            "shared-history",
            share > 0,
            f"{split}: {share:.2%} of the users have rows of different histories",
            "in the challenge they do; a history that grows from row to row tells earlier labels",
        )


def _repeats(split: str, file: RowFile) -> Iterator[Finding]:
    if "user_id" not in file.columns or "item_id" not in file.columns:
        return
    keys = pair_keys(file.columns["user_id"], file.columns["item_id"])
    order = np.argsort(keys)
    ordered = keys[order]
    again = ordered[1:] == ordered[:-1]
    repeated = int(again.sum())
    yield _finding(
        "duplicate-rows",
        repeated > 0,
        f"{split}: {plural(repeated, 'row repeats', 'rows repeat')} the user and item of another",
        "drop repeats, unless they are separate impressions",
    )
    if "label" in file.columns:
        label = file.columns["label"][order]
        conflicts = int((again & (label[1:] != label[:-1])).sum())
        yield _finding(
            "conflicting-labels",
            conflicts > 0,
            f"{split}: {plural(conflicts, 'repeat has', 'repeats have')} another label",
            "keep one label for each user and item, or accept the noise",
        )


def _label_mean(split: str, file: RowFile) -> Iterator[Finding]:
    if "label" not in file.columns:
        return
    mean = float(file.columns["label"].mean())
    yield _finding(
        "label-mean",
        abs(mean - KNOWN_LABEL_MEAN) > 0.05,
        f"{split}: label mean {mean:.4f}",
        f"the challenge's is {KNOWN_LABEL_MEAN}; scores do not compare with published ones",
    )


def _unseen(rows: RowFiles) -> Iterator[Finding]:
    if "item_id" not in rows["train"].columns:
        return
    seen = distinct(rows["train"].columns["item_id"])
    for split in ("valid", "test"):
        if "item_id" not in rows[split].columns:
            continue
        share = 1 - float(among(rows[split].columns["item_id"], seen).mean())
        yield _finding(
            "unseen-items",
            share > UNSEEN,
            f"{split}: {share:.2%} of the rows have an item that is no target in train",
            "id embeddings learn nothing of these; lean on the multimodal ones",
        )


def _told(split: str, file: RowFile, sequences: Sequences) -> Iterator[Finding]:
    if "user_id" not in file.columns or "item_id" not in file.columns:
        return
    user = file.columns["user_id"]
    held = among(pair_keys(user, file.columns["item_id"]), sequences.keys)
    known = float(among(user, sequences.users).mean())
    what = (
        f"{split}: the user of {known:.1%} of the rows is there, "
        f"with the row's target in {held.mean():.2%}"
    )
    if "label" in file.columns:
        for value in (0, 1):
            chosen = held[file.columns["label"] == value]
            what += f", of label {value} {chosen.mean():.2%}" if len(chosen) else ""
    yield _finding(
        "item-seq-targets",
        float(held.mean()) > TOLD,
        what,
        "do not train on item_seq.parquet: it tells labels",
    )
