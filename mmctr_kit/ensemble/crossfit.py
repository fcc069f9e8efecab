"""Every method fitted on some users and applied to the others, so that no score is flattered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.folds import user_folds
from mmctr_kit.ensemble.methods.catalogue import METHODS, Fitted, Method, OofRows, Shown
from mmctr_kit.ensemble.methods.scale import Line, apply_lines, fit_lines
from mmctr_kit.errors import RunError

GROUPS = 5
_GROUP_SEED = 0x57AC_5EED
"""Keeps the cross-fitting groups independent of the folds, whatever the folds' seed."""

Apply = Callable[[Fitted, Shown], NDArray[np.float64]]


def user_groups(user: NDArray[np.int64], seed: int) -> NDArray[np.int16]:
    """(rows,) the cross-fitting group of each row, the same for all rows of a user."""
    return user_folds(user, GROUPS, seed ^ _GROUP_SEED)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """The methods fitted once without each group of users, on the runs' own logits ``rows``.

    group (n,): the group of each row; lines[g]: the runs' common scale, and fitted[g]: the
    methods, of the fit without group g (None where it has no rows).
    """

    rows: OofRows
    group: NDArray[np.int16]
    lines: tuple[list[Line] | None, ...]
    fitted: tuple[dict[Method, Fitted] | None, ...]

    @classmethod
    def fit(
        cls, rows: OofRows, methods: Sequence[Method], start: list[Line], seed: int
    ) -> "CrossFit":
        """``start`` is the runs' scale on all rows, which saves most of the work.

        Raises RunError where a part lacks a class in a fold.
        """
        group = user_groups(rows.user, seed)
        lines: list[list[Line] | None] = []
        fitted: list[dict[Method, Fitted] | None] = []
        for g in range(GROUPS):
            outside = np.flatnonzero(group != g)
            if len(outside) == len(group):
                lines.append(None)
                fitted.append(None)
                continue
            _enough(rows.label[outside], rows.fold[outside], rows.fold)
            part = take_rows(rows, outside)
            scale = fit_lines(part.label, part.logits, start)
            part = replace(part, logits=apply_lines(scale, part.logits))
            lines.append(scale)
            fitted.append({method: METHODS[method](part, seed) for method in methods})
        return cls(rows, group, tuple(lines), tuple(fitted))

    def logits(self, method: Method) -> NDArray[np.float64]:
        """(n,) logits, every row predicted by a fit on the other groups' users."""
        return self._predict(method, lambda fitted, shown: fitted.apply(shown), None)

    def without(
        self, method: Method, run: int, inside: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """(rows,) the same without a run, of all rows or of those ``inside`` (n,)."""
        return self._predict(method, lambda fitted, shown: fitted.without(shown, run), inside)

    def _predict(
        self, method: Method, apply: Apply, inside: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """A group's logits are shifted to the common mean.

        Without that the fits' intercepts, low where the group left out has many positives, would
        rank the groups against their labels and push an uninformative blend below 0.5. The shift
        looks at no label.
        """
        group = self.group if inside is None else np.where(inside, self.group, -1)
        crossed, means = np.empty(len(group)), np.zeros(GROUPS)
        for g, (lines, fitted) in enumerate(zip(self.lines, self.fitted, strict=True)):
            own = np.flatnonzero(group == g)
            if lines is None or fitted is None or len(own) == 0:
                continue
            part = take_rows(self.rows, own)
            shown = replace(part, logits=apply_lines(lines, part.logits)).shown()
            crossed[own] = apply(fitted[method], shown)
            means[g] = crossed[own].mean()
        kept = group >= 0
        of_row = group[kept]
        share = np.bincount(of_row, minlength=GROUPS) / len(of_row)
        shifted: NDArray[np.float64] = crossed[kept] + (share @ means - means)[of_row]
        return shifted


def take_rows(rows: OofRows, inside: NDArray[np.intp]) -> OofRows:
    """The rows at these positions."""
    context = None if rows.context is None else rows.context[:, inside]
    return OofRows(
        rows.logits[:, inside], rows.label[inside], rows.fold[inside], rows.user[inside], context
    )


def _enough(label: NDArray[np.bool_], fold: NDArray[np.int16], folds: NDArray[np.int16]) -> None:
    cells = np.bincount(fold.astype(np.intp) * 2 + label, minlength=2 * (int(folds.max()) + 1))
    if cells.min() == 0:
        raise RunError(
            f"a blend is scored on {GROUPS} groups of users, found too few users for both classes "
            "to be in every fold without one of them: train with fewer folds or more rows"
        )
