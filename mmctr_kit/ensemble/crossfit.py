"""Cross-fitting: each method is fitted on some users and scored on the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mmctr_kit.activity import Counter
from mmctr_kit.data.folds import user_folds
from mmctr_kit.ensemble.methods.catalogue import FitMethod, Fitted, Method, SharedFits
from mmctr_kit.ensemble.methods.scale import PlattScaling, apply_scalings, fit_scalings
from mmctr_kit.ensemble.stack import BlendInput, OofRows
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.ranks import Flags, Floats, Ints, Ints16

GROUPS = 5
_GROUP_SEED = 0x57AC_5EED
"""Keeps the cross-fitting groups independent of the folds, whatever the folds' seed."""

Apply = Callable[[Fitted, BlendInput], Floats]


def user_groups(user: Ints, seed: int) -> Ints16:
    """(rows,) the cross-fitting group of each row, the same for all rows of a user."""
    return user_folds(user, GROUPS, seed ^ _GROUP_SEED)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """The methods fitted once without each group of users, on the runs' unscaled logits ``rows``.

    group (n,): the group of each row; fits: for each group that has rows, the runs' common scale
    and the methods, both fitted without the group.
    """

    rows: OofRows
    group: Ints16
    fits: Mapping[int, tuple[list[PlattScaling], dict[Method, Fitted]]]

    @classmethod
    def fit(
        cls,
        rows: OofRows,
        methods: Mapping[Method, FitMethod],
        start: list[PlattScaling],
        seed: int,
    ) -> "CrossFit":
        """Fit ``methods`` without each group; ``start``, the scale on all rows, saves most work.

        Raises RunError if a fold lacks a class when a group is left out.
        """
        group, fits = user_groups(rows.user, seed), {}
        cells = 2 * (int(rows.fold.max()) + 1)
        groups = np.unique(group).tolist()
        count = Counter("cross-fitting", len(groups) * len(methods))
        for g in groups:
            part = rows.take(np.flatnonzero(group != g))
            of_class = np.bincount(part.fold.astype(np.intp) * 2 + part.label, minlength=cells)
            if of_class.min() == 0:
                raise RunError(
                    f"too few users to cross-fit the blend: leaving out one of {GROUPS} user "
                    "groups leaves a fold without both labels; train with fewer folds or more rows"
                )
            scale = fit_scalings(part.label, part.logits, start)
            scaled = SharedFits(replace(part, logits=apply_scalings(scale, part.logits)), seed)
            fitted = dict[Method, Fitted]()
            for method, fit in methods.items():
                fitted[method] = fit(scaled)
                count.add()
            fits[g] = scale, fitted
        return cls(rows, group, fits)

    def logits(self, method: Method) -> Floats:
        """(n,) logits, every row predicted by a fit on the other groups' users."""
        return self._predict(method, lambda fitted, rows: fitted.apply(rows), None)

    def without(self, method: Method, run: int, inside: Flags | None) -> Floats:
        """(rows,) :meth:`logits` without a run, for all rows or those ``inside`` (n,)."""
        return self._predict(method, lambda fitted, rows: fitted.without(rows, run), inside)

    def _predict(self, method: Method, apply: Apply, inside: Flags | None) -> Floats:
        """The cross-fitted logits, each group's shifted to the common mean.

        Otherwise the fits' intercepts, low if the group left out has many positives, would rank the
        groups against their labels and push an uninformative blend below 0.5. The shift uses no
        label.
        """
        group = self.group if inside is None else np.where(inside, self.group, -1)
        crossed, means = np.empty(len(group)), np.zeros(GROUPS)
        for g, (scalings, fitted) in self.fits.items():
            rows = np.flatnonzero(group == g)
            if len(rows) == 0:
                continue
            part = self.rows.take(rows)
            scaled = replace(part, logits=apply_scalings(scalings, part.logits))
            crossed[rows] = apply(fitted[method], scaled)
            means[g] = crossed[rows].mean()
        used = group >= 0
        of_row = group[used]
        share = np.bincount(of_row, minlength=GROUPS) / len(of_row)
        return np.asarray(crossed[used] + (share @ means - means)[of_row])
