"""The group step: a user's rows are scored against each other (transductive).

If each user has one positive among several rows, the scores of a user's other rows tell something
about a row's label: the conditional logit of McFadden (1974), a softmax over the user's rows. A
row's score then depends on which rows the user has in valid or test, so the step is scored apart
from the plain blend and never mixed up with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmctr_kit.ensemble.crossfit import GROUPS, user_groups
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Flags, Floats, Ints, Ints16, Labels, group_starts, number_ids
from mmctr_kit.runs.predictions import OutOfFold, Predictions

NEEDED_SHARE = 0.99
"""Least share of OOF users with one positive among several rows, and of valid and test rows whose
user has a number of rows that OOF users have too."""
COMMON_SHARE = 0.01
"""Least share of OOF users with a number of rows, for users of valid and test to have it too."""
MIN_SHARPNESS, MAX_SHARPNESS = 0.01, 100.0


@dataclass(frozen=True)
class GroupReport:
    """The fitted ``temperature``, which divides logits, and AUCs before and after the step.

    ``plain``: before the step; ``difference``: after it less before it, paired. OOF is
    cross-fitted; valid is None without valid rows.
    """

    temperature: float
    oof_plain: Estimate
    oof: Estimate
    oof_difference: Estimate
    valid_plain: Estimate | None
    valid: Estimate | None
    valid_difference: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """The fields, estimates as {value, error, n}."""
        return {k: v.to_json() if isinstance(v, Estimate) else v for k, v in vars(self).items()}


def no_oof(runs: Sequence[str]) -> RunError:
    """The error for a blend without OOF, since ``runs`` have none."""
    return RunError(
        "--group-softmax fits its temperature on OOF predictions, but there are none of "
        f"{' and '.join(runs)}: leave out --group-softmax"
    )


def group_softmax(blended: Predictions, seed: int) -> tuple[Predictions, GroupReport]:
    """The predictions with each row's logit against its user's other rows, and the AUCs of both.

    With z a row's logit and T the temperature: z / T - log(sum of exp(z / T) over the others), in
    float64. The temperature is fitted on OOF by maximum likelihood; OOF itself is cross-fitted over
    users. Rows that a user lacks (a last, cut-off group) count as average ones.
    Raises RunError if there is no OOF or the users' rows lack the structure.
    """
    if blended.oof is None:
        raise no_oof(["the blend"])
    oof = blended.oof
    usual = _require_structure(blended, oof)
    group = user_groups(oof.keys.user_id, seed)
    ours = np.empty(len(oof.logit))
    for g in range(GROUPS):
        inside = np.flatnonzero(group == g)
        if len(inside):
            others = group != g
            part = (oof.logit[others], oof.label[others], oof.keys.user_id[others])
            step = GroupSoftmax.fit(*part, usual)
            ours[inside] = step.apply(oof.logit[inside], oof.keys.user_id[inside])
    step = GroupSoftmax.fit(oof.logit, oof.label, oof.keys.user_id, usual)
    valid, test = (
        np.stack([step.apply(x, keys.user_id) for x in logits])
        for logits, keys in ((blended.valid, blended.valid_keys), (blended.test, blended.test_keys))
    )
    after = replace(blended, oof=replace(oof, logit=ours), valid=valid, test=test)
    on_oof = _compare(oof.label, oof.keys.user_id, oof.fold, oof.logit, ours)
    on_valid: tuple[Estimate | None, Estimate | None, Estimate | None] = (None, None, None)
    if blended.has_valid:
        label, user = blended.valid_label, blended.valid_keys.user_id
        on_valid = _compare(label, user, None, blended.valid_mean(), after.valid_mean())
    return after, GroupReport(1.0 / step.sharpness, *on_oof, *on_valid)


@dataclass(frozen=True)
class GroupSoftmax:
    """Scores a user's rows against each other.

    ``sharpness`` is 1 / temperature, ``usual`` how many rows users have, ``absent`` log mean
    exp(sharpness z) of a row.
    """

    sharpness: float
    usual: int
    absent: float

    @classmethod
    def fit(cls, logits: Floats, label: Labels, user: Ints, usual: int) -> "GroupSoftmax":
        """Fit on OOF rows (rows,) of users with one positive among several."""
        code = number_ids(user)
        rows, ones = np.bincount(code), np.bincount(code, label)
        usable = ((ones == 1) & (rows > 1))[code]
        sharpness = _sharpness(logits[usable], label[usable] == 1, code[usable])
        scaled = sharpness * logits
        top = float(scaled.max())
        return cls(sharpness, usual, top + math.log(float(np.exp(scaled - top).mean())))

    def apply(self, logits: Floats, user: Ints) -> Floats:
        """(rows,) new logits from logits (rows,) of the users ``user`` (rows,)."""
        if len(logits) == 0:
            return np.zeros(0)
        order = np.argsort(user, kind="stable")
        starts = np.flatnonzero(group_starts(user[order]))
        sizes = np.diff(np.append(starts, len(order)))
        z = self.sharpness * logits[order]
        missing = np.maximum(self.usual - sizes, 0)
        with np.errstate(divide="ignore"):
            hidden = np.log(missing) + self.absent  # -inf if none is missing
        out = np.empty(len(z))
        out[order] = z - _log_sum_of_others(z, starts, sizes, hidden)
        return out


def _log_sum_of_others(z: Floats, starts: Ints, sizes: Ints, hidden: Floats) -> Floats:
    """(rows,) log(exp(hidden) + sum of exp(z) over a group's other rows), for consecutive groups.

    A row with at most half of its group's sum is subtracted from it without loss; the first of the
    group's highest rows may hold nearly all of it, so for that row the others are summed anew.
    """
    group = np.repeat(np.arange(len(starts)), sizes)
    whole = _log_sum(z, starts, group, hidden)
    high = np.maximum.reduceat(z, starts)
    at_top = np.flatnonzero(z == high[group])
    first = at_top[group_starts(group[at_top])]
    rest = z.copy()
    rest[first] = -np.inf
    out = np.empty(len(z))
    others = np.ones(len(z), np.bool_)
    others[first] = False
    share = np.exp(z[others] - whole[group[others]])
    out[others] = whole[group[others]] + np.log1p(-share)
    out[first] = _log_sum(rest, starts, group, hidden)
    return out


def _log_sum(z: Floats, starts: Ints, group: Ints, hidden: Floats) -> Floats:
    """(groups,) log(exp(hidden) + sum of exp(z)); each group has a finite term."""
    top = np.maximum(np.maximum.reduceat(z, starts), hidden)
    total = np.add.reduceat(np.exp(z - top[group]), starts) + np.exp(hidden - top)
    return np.asarray(top + np.log(total))


def _sharpness(z: Floats, positive: Flags, code: Ints) -> float:
    """1 / temperature of the most likely softmax over groups, within bounds."""
    from scipy.optimize import brentq

    order = np.argsort(code, kind="stable")
    z, positive = z[order], positive[order]
    starts = np.flatnonzero(group_starts(code[order]))
    below = z - np.repeat(np.maximum.reduceat(z, starts), np.diff(np.append(starts, len(z))))
    target = float(below[positive].sum())

    def slope(log_sharpness: float) -> float:
        """Derivative of the concave log likelihood by the sharpness."""
        weight = np.exp(math.exp(log_sharpness) * below)
        means = np.add.reduceat(weight * below, starts) / np.add.reduceat(weight, starts)
        return target - float(means.sum())

    low, high = math.log(MIN_SHARPNESS), math.log(MAX_SHARPNESS)
    if slope(low) <= 0.0:
        return MIN_SHARPNESS
    return MAX_SHARPNESS if slope(high) >= 0.0 else math.exp(brentq(slope, low, high))


def _require_structure(blended: Predictions, oof: OutOfFold) -> int:
    """The usual number of rows of a user; RunError if the users' rows lack the structure."""
    code = number_ids(oof.keys.user_id)
    rows, ones = np.bincount(code), np.bincount(code, oof.label)
    good = float(((ones == 1) & (rows > 1)).mean())
    if good < NEEDED_SHARE:
        raise RunError(
            "--group-softmax needs users with one positive among several rows, but only "
            f"{100 * good:.1f} % of the OOF users are such: leave it out"
        )
    share = np.bincount(rows) / len(rows)
    common = np.flatnonzero(share >= COMMON_SHARE)
    usual = int(share.argmax())
    for name, keys in (("valid", blended.valid_keys), ("test", blended.test_keys)):
        code = number_ids(keys.user_id)
        rows = np.bincount(code)
        alike = float(np.isin(rows[code], common).mean()) if len(keys) else 1.0
        if alike < NEEDED_SHARE:
            raise RunError(
                f"--group-softmax needs users with as many rows in {name} as in OOF (mostly "
                f"{usual}), but {name} has mostly {np.bincount(rows).argmax()} "
                f"({100 * alike:.1f} % of its rows fit): leave it out"
            )
    return usual


def _compare(
    label: Labels, user: Ints, fold: Ints16 | None, before: Floats, after: Floats
) -> tuple[Estimate, Estimate, Estimate]:
    sample = AucSample(label, user, fold)
    plain, grouped = sample.influence(before), sample.influence(after)
    return sample.estimate(plain), sample.estimate(grouped), sample.difference(grouped, plain)
