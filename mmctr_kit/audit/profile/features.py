"""Simple numbers of a row for the probes that fit a model: of its target, and of its history."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.profile.facts import Facts
from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import Rows, expand_ranges
from mmctr_kit.data.folds import user_hash
from mmctr_kit.data.hashing import splitmix64
from mmctr_kit.metrics.ranks import number_ids

RECENT = 16
"""Items of a history that are looked at, the last ones."""
MOST_ROWS = 4
COMPONENTS = 8
"""Leading components of item_info's embedding: the challenge's is a PCA, the largest first."""

Matrix = NDArray[np.float32]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """``names`` and ``values`` (rows, names) float32, NaN where a row has no such number;
    the first ``target`` of them are of the target alone."""

    names: tuple[str, ...]
    values: Matrix
    target: int


def sample_users(rows: Rows, most: int, seed: int) -> Index:
    """Positions, ascending: at most four rows of each of some users, about ``most`` in all.

    Users and rows are chosen by hashes of their ids, the same way in every split. At most four
    rows, so that a few users of hundreds do not decide.
    """
    order = np.lexsort((splitmix64(rows.item_id.astype(np.uint64)), rows.user_id))
    user = rows.user_id[order]
    start = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
    place = np.arange(len(user)) - np.repeat(start, np.diff(np.r_[start, len(user)]))
    at = np.sort(order[place < MOST_ROWS])
    if len(at) <= most:
        return at
    part = user_hash(rows.user_id[at], seed).astype(np.float64) / 2.0**64
    return np.asarray(at[part < most / len(at)])


def row_columns(facts: Facts, split: Split, at: Index) -> Columns:
    """The numbers of the rows at positions ``at`` of the split. No label is in them."""
    target = _of_target(facts, split, at)
    past = _of_history(facts, split, at)
    both = target | past
    values = np.stack([np.asarray(v, np.float32) for v in both.values()], axis=1)
    return Columns(tuple(both), values, len(target))


def _of_target(facts: Facts, split: Split, at: Index) -> dict[str, NDArray[np.floating]]:
    data, rows = facts.data, facts.rows(split)
    item = rows.item_id[at]
    columns: dict[str, NDArray[np.floating]] = {
        "target popularity": facts.popularity[item],
        "likes_level": rows.likes_level[at].astype(np.float64),
        "views_level": rows.views_level[at].astype(np.float64),
        "number of tags": (data.item_tags[item] > 0).sum(axis=1).astype(np.float64),
    }
    vectors = data.item_emb[item][:, :COMPONENTS]
    return columns | {f"target embedding {i}": v for i, v in enumerate(vectors.T)}


def _of_history(facts: Facts, split: Split, at: Index) -> dict[str, NDArray[np.floating]]:
    data, rows = facts.data, facts.rows(split)
    shown = data.examples(split, RECENT).take(at)
    places, owner = expand_ranges(shown.begin, shown.lengths)
    item = data.histories.items[places]
    n = np.maximum(shown.lengths, 1)
    empty = shown.lengths == 0

    def mean(of_place: NDArray[np.floating]) -> NDArray[np.float64]:
        out = np.bincount(owner, of_place, len(at)) / n
        out[empty] = np.nan
        return np.asarray(out)

    popularity = facts.popularity[item]
    unit = facts.unit_vectors
    cosine = np.einsum("ij,ij->i", unit[item], unit[rows.item_id[at]][owner])
    most = np.full(len(at), -np.inf)
    np.maximum.at(most, owner, cosine)
    most[empty] = np.nan
    last = np.zeros(len(at))
    last[~empty] = cosine[np.cumsum(shown.lengths)[~empty] - 1]
    tags = data.item_tags[item][:, :, None] == data.item_tags[rows.item_id[at]][owner][:, None, :]
    shared = (tags & (data.item_tags[item] > 0)[:, :, None]).any(axis=(1, 2))
    of_user = np.bincount(number_ids(rows.user_id))[number_ids(rows.user_id)][at]
    vectors = data.item_emb[item]
    return {
        "history length": data.histories.lengths[rows.history[at]].astype(np.float64),
        "rows of the user": of_user.astype(np.float64),
        "history popularity": mean(popularity),
        "target like the history, mean": mean(cosine),
        "target like the history, most": most,
        "target like the last item": last,
        "tags shared with the history": mean(shared.astype(np.float64)),
        "target in history": mean((item == rows.item_id[at][owner]).astype(np.float64)),
    } | {
        f"history embedding {i}": mean(vectors[:, i])
        for i in range(min(COMPONENTS, vectors.shape[1]))
    }
