"""What training rows may know of labels: those of other groups of users.

A training row must not meet its own label in a label mean, nor those of its user's other rows
(with one positive in a group, the others tell it). Leaving the row or the user out of the sums
would not do: the mean of the others is the whole mean less the own label, and the rest of a row
tells which item it is, so trees learn "a little below the item's mean: a positive". Therefore the
training users fall into groups, by a hash, and a row sees the labels of the *other* groups alone,
of whose sum one row says next to nothing. A row of anybody else sees those of all groups.

The one difference that is left is that training rows see fewer labels. Their sums are scaled up,
so that shrinkage pulls a mean as strongly there as on the rows to predict.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import user_folds
from mmctr_kit.items.similarity.contexts import Contexts


@dataclass(frozen=True)
class LabelOptions:
    """``groups`` of users; a mean of n labels is pulled towards the overall one as by
    ``shrinkage`` more labels, that of a pair as by ``pair_shrinkage``. ``seed`` keys the groups."""

    groups: int
    shrinkage: float
    pair_shrinkage: float
    seed: int


@dataclass(frozen=True)
class Groups:
    """The training users' groups, and the labels of their rows.

    ``contexts`` are the users and their histories, ``of_user`` (users,) int64 their groups.
    ``rows`` (n,) int64 are the train rows, ``of_row`` (n,) their groups, ``label`` (n,) int8.
    ``scale`` (groups + 1,): all rows per row that is seen by a row of each group, and by others.
    """

    contexts: Contexts
    of_user: NDArray[np.int64]
    rows: NDArray[np.int64]
    of_row: NDArray[np.int64]
    label: NDArray[np.int8]
    scale: NDArray[np.float64]
    options: LabelOptions

    @classmethod
    def make(
        cls,
        data: ChallengeData,
        rows: NDArray[np.int64],
        contexts: Contexts,
        options: LabelOptions,
    ) -> "Groups":
        """Of the users of these train rows, whose histories are ``contexts``."""
        of_user = user_folds(contexts.users, options.groups, options.seed).astype(np.int64)
        of_row = of_user[contexts.number(data.train.user_id[rows])]
        seen = others(np.bincount(of_row, minlength=options.groups))
        scale = len(rows) / np.maximum(seen, 1)
        return cls(contexts, of_user, rows, of_row, data.train.labels()[rows], scale, options)

    def of(self, user_id: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(rows,) each user's position among the training users, -1 for somebody else; and the
        group, or the number of groups for somebody else, who sees the labels of all."""
        number = self.contexts.number(user_id)
        return number, np.where(number >= 0, self.of_user[number], self.options.groups)


@dataclass(frozen=True)
class Rates:
    """Shrunk label means: ``of`` (groups + 1, keys) float32, row g of the labels outside group g,
    the last row of all labels."""

    of: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        groups: Groups,
        key: NDArray[np.int64],
        keys: int,
        row: NDArray[np.int64] | None = None,
    ) -> "Rates":
        """From the key (n,) of each of the groups' rows, or of the rows at ``row`` (n,)."""
        label = groups.label if row is None else groups.label[row]
        of_row = groups.of_row if row is None else groups.of_row[row]
        count = groups.options.groups
        cell = of_row * keys + key
        seen = others(np.bincount(cell, minlength=count * keys).reshape(count, keys))
        hits = others(np.bincount(cell, label, minlength=count * keys).reshape(count, keys))
        prior = hits.sum(1, keepdims=True) / np.maximum(seen.sum(1, keepdims=True), 1)
        scale = groups.scale[:, None]
        return cls(shrunk(seen * scale, hits * scale, prior, groups.options.shrinkage))


def others(by_group: NDArray[np.number]) -> NDArray[np.float64]:
    """(groups, ...) -> (groups + 1, ...): the sum over the other groups, and over all."""
    total = by_group.sum(0)
    return np.concatenate([total - by_group, total[None]]).astype(np.float64)


def shrunk(
    seen: NDArray[np.float64],
    hits: NDArray[np.float64],
    prior: NDArray[np.floating],
    shrinkage: float,
) -> NDArray[np.float32]:
    """(``hits`` + s prior) / (``seen`` + s); the prior where that is 0 / 0."""
    weight = seen + shrinkage
    mean = np.broadcast_to(prior, weight.shape).astype(np.float64)
    np.divide(hits + shrinkage * prior, weight, out=mean, where=weight > 0)
    return mean.astype(np.float32)
