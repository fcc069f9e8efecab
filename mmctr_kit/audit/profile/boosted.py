"""Boosted trees on simple columns of a row, for the probes that fit a model (scikit-learn's)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mmctr_kit.audit.profile.context import ProfileContext
from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import Rows
from mmctr_kit.data.folds import user_uniform
from mmctr_kit.data.hashing import splitmix64
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.metrics.auc import auc
from mmctr_kit.metrics.ranks import Floats, Floats32, Ids, Ints, Ints16, earlier_equals, number_ids

RECENT = 16
"""Number of items of a history that are used, the last ones."""
ROWS_PER_USER = 4
COMPONENTS = 8
"""Leading components of item_info's embedding: the challenge's is a PCA, the largest first."""
_FEW_ROWS = 100_000
"""Below this number of rows one thread fits the trees."""
_ROUNDS = 40
_LEAVES = 15
_SHUFFLED_ROWS = 2_000
"""Rows of the first fold, half of them of each label, on which columns are shuffled."""

Columns = dict[str, NDArray[np.floating]]


@dataclass(frozen=True)
class RowColumns:
    """Columns by ``names``: ``values`` (rows, names) float32, NaN if a row has no such number.

    The first ``target`` of them depend on the target only.
    """

    names: tuple[str, ...]
    values: Floats32
    target: int


def sample_users(rows: Rows, most: int, seed: int) -> Ints:
    """Positions, ascending: at most four rows of each of some users, about ``most`` in all.

    Users and rows are chosen by hashes of their ids, the same way in every split. At most four
    rows, so that a few users with hundreds do not decide.
    """
    order = np.lexsort((splitmix64(rows.item_id.astype(np.uint64)), rows.user_id))
    at = np.sort(order[earlier_equals(rows.user_id[order]) < ROWS_PER_USER])
    if len(at) <= most:
        return at
    return np.asarray(at[user_uniform(rows.user_id[at], seed) < most / len(at)])


def row_columns(context: ProfileContext, split: Split, at: Ints) -> RowColumns:
    """Simple columns of the rows at positions ``at`` of the split; no label is in them."""
    target = _of_target(context, split, at)
    both = target | _of_history(context, split, at)
    values = np.stack([np.asarray(v, np.float32) for v in both.values()], axis=1)
    return RowColumns(tuple(both), values, len(target))


def _of_target(context: ProfileContext, split: Split, at: Ints) -> Columns:
    data, rows = context.data, context.data.rows[split]
    item = rows.item_id[at]
    columns: Columns = {
        "target popularity": context.popularity[item],
        "likes_level": rows.likes_level[at].astype(np.float64),
        "views_level": rows.views_level[at].astype(np.float64),
        "number of tags": (data.item_tags[item] > 0).sum(axis=1).astype(np.float64),
    }
    vectors = data.item_emb[item][:, :COMPONENTS]
    return columns | {f"target embedding {i}": v for i, v in enumerate(vectors.T)}


def _of_history(context: ProfileContext, split: Split, at: Ints) -> Columns:
    data, rows = context.data, context.data.rows[split]
    shown = data.examples(split, RECENT).take(at)
    positions, owner = expand_ranges(shown.begin, shown.lengths)
    item = data.histories.values[positions]
    n = np.maximum(shown.lengths, 1)
    empty = shown.lengths == 0

    def mean(values: NDArray[np.floating]) -> Floats:
        out = np.bincount(owner, values, len(at)) / n
        out[empty] = np.nan
        return np.asarray(out)

    popularity = context.popularity[item]
    unit = context.unit_vectors
    cosine = np.einsum("ij,ij->i", unit[item], unit[rows.item_id[at]][owner])
    most = np.full(len(at), -np.inf)
    np.maximum.at(most, owner, cosine)
    most[empty] = np.nan
    last = np.zeros(len(at))
    last[~empty] = cosine[np.cumsum(shown.lengths)[~empty] - 1]
    tags, of_target = data.item_tags[item], data.item_tags[rows.item_id[at]][owner]
    shared = np.zeros(len(item), np.bool_)
    for tag in tags.T:  # one at a time: all pairs of many tags would fill the memory
        shared |= (tag > 0) & (tag[:, None] == of_target).any(axis=1)
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
    } | {f"history embedding {i}": mean(v) for i, v in enumerate(vectors.T[:COMPONENTS])}


def crossfit_scores(x: Floats32, label: Ids, folds: Ints16) -> tuple[Floats, list[Any]]:
    """(rows,) log odds of each row from trees that saw none of its fold; and each fold's trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    # With little to do, threads that wait for each other cost more than they bring; with other
    # work on the cores they cost minutes.
    x, scores, models = x.copy(), np.empty(len(x)), []
    with threadpool_limits(1 if len(x) < _FEW_ROWS else None, user_api="openmp"):
        for fold in range(int(folds.max()) + 1):
            inside = folds == fold
            # scikit-learn refuses a column that is all NaN; a constant one is never split on.
            x[:, np.isnan(x[~inside]).all(axis=0)] = 0.0
            model = HistGradientBoostingClassifier(
                max_iter=_ROUNDS,
                max_leaf_nodes=_LEAVES,
                learning_rate=0.15,
                max_bins=63,
                min_samples_leaf=40,
                early_stopping=False,
                random_state=0,
            ).fit(x[~inside], label[~inside])
            scores[inside] = model.decision_function(x[inside])
            models.append(model)
    return scores, models


def important_columns(
    models: list[Any], x: Floats32, label: Ids, folds: Ints16, names: tuple[str, ...]
) -> list[tuple[str, float]]:
    """The three columns whose shuffling costs the first fold most AUC, and how much.

    Half of the rows used have each label, however rare one is.
    """
    rng = np.random.default_rng(0)
    of_label = [np.flatnonzero((folds == 0) & (label == y)) for y in (0, 1)]
    inside = np.sort(np.concatenate([rng.permutation(x)[: _SHUFFLED_ROWS // 2] for x in of_label]))
    sample, truth = x[inside].copy(), label[inside]
    with threadpool_limits(1, user_api="openmp"):  # few rows, many times
        whole = auc(truth, models[0].decision_function(sample))
        lost = []
        for i in range(len(names)):
            column = sample[:, i].copy()
            sample[:, i] = rng.permutation(column)
            lost.append(whole - auc(truth, models[0].decision_function(sample)))
            sample[:, i] = column
    best = sorted(range(len(names)), key=lambda i: -lost[i])[:3]
    return [(names[i], lost[i]) for i in best]
