"""Cross-fitted label means: a training row sees the labels of other groups of users only.

A training row must not see its own label in a label mean, nor those of its user's other rows (with
one positive in a group, the others determine it). Leaving out the row or the user does not suffice:
the mean of the others is the whole mean less the row's label, and the row's other features identify
the item, so trees learn "a little below the item's mean: a positive". Therefore training users fall
into groups, by a hash, and a row sees the labels of the *other* groups. Any other user's row sees
the labels of all groups.

This weakens the leak and does not remove it, since an item's total is still the sum over all
groups. On pure-noise labels, within-item correlation of ``item_rate`` with the row's label is:

=======================  =========  =========  ========
Training rows of item      2 to 5     6 to 20     21+
=======================  =========  =========  ========
5 groups                   -0.70      -0.50      -0.29
20 groups                  -0.91      -0.78      -0.55
leaving out the user     about -1    about -1  about -1
=======================  =========  =========  ========

So fewer groups leak less, and shrinkage and large leaves keep trees from using what remains.

Training rows also see fewer labels than the rows to predict. Their sums are scaled up, so that
shrinkage pulls a mean equally strongly on both.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contexts import Contexts
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import user_folds
from mmctr_kit.items import Floats32, Floats64, Ints


@dataclass(frozen=True)
class LabelOptions:
    """How label means are cross-fitted, over ``groups`` of users keyed by ``seed``, and shrunk."""

    groups: int
    shrinkage: float
    pair_shrinkage: float
    seed: int


@dataclass(frozen=True)
class Groups:
    """The groups of the training users, and the labels of their rows.

    ``contexts`` are the users and what they took, ``of_user`` (users,) int64 their groups.
    ``rows`` (n,) int64 are the train rows, ``of_row`` (n,) their groups, ``label`` (n,) int8.
    ``scale`` (groups + 1,) is the number of all rows over the number that a row of each group
    sees, and that a row of any other user sees.
    """

    contexts: Contexts
    of_user: Ints
    rows: Ints
    of_row: Ints
    label: NDArray[np.int8]
    scale: Floats64
    options: LabelOptions

    @classmethod
    def make(
        cls, data: ChallengeData, rows: Ints, contexts: Contexts, options: LabelOptions
    ) -> "Groups":
        """Group the users of these train rows, whose sequences are ``contexts``."""
        of_user = user_folds(contexts.users, options.groups, options.seed).astype(np.int64)
        of_row = of_user[contexts.number(data.train.user_id[rows])]
        seen = others(np.bincount(of_row, minlength=options.groups))
        scale = len(rows) / np.maximum(seen, 1)
        return cls(contexts, of_user, rows, of_row, data.train.labels()[rows], scale, options)

    def locate(self, user_id: Ints) -> tuple[Ints, Ints]:
        """Each user's index among the training users, (rows,), and group, (rows,).

        For any other user they are -1 and the number of groups.
        """
        number = self.contexts.number(user_id)
        return number, np.where(number >= 0, self.of_user[number], self.options.groups)


def label_means(groups: Groups, key: Ints, keys: int, row: Ints | None = None) -> Floats32:
    """Shrunk label means by the ``key`` (n,) of each of the groups' rows, (groups + 1, keys).

    Row g of the result is the means over labels outside group g, the last row those over all
    labels. With ``row`` (n,), the keys are those of these rows, which may repeat.
    """
    label = groups.label if row is None else groups.label[row]
    of_row = groups.of_row if row is None else groups.of_row[row]
    count = groups.options.groups
    cell = of_row * keys + key
    seen = others(np.bincount(cell, minlength=count * keys).reshape(count, keys))
    hits = others(np.bincount(cell, label, minlength=count * keys).reshape(count, keys))
    prior = hits.sum(1, keepdims=True) / np.maximum(seen.sum(1, keepdims=True), 1)
    scale = groups.scale[:, None]
    return shrunk(seen * scale, hits * scale, prior, groups.options.shrinkage)


def others(by_group: NDArray[np.number]) -> Floats64:
    """Sum (groups, ...) over all other groups, and last over all: (groups + 1, ...)."""
    total = by_group.sum(0)
    return np.concatenate([total - by_group, total[None]]).astype(np.float64)


def shrunk(
    seen: Floats64, hits: Floats64, prior: NDArray[np.floating], shrinkage: float
) -> Floats32:
    """The mean (``hits`` + s prior) / (``seen`` + s), or the prior for 0 / 0."""
    weight = seen + shrinkage
    mean = np.broadcast_to(prior, weight.shape).astype(np.float64)
    np.divide(hits + shrinkage * prior, weight, out=mean, where=weight > 0)
    return mean.astype(np.float32)
