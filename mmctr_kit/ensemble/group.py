"""The group step: a user's rows scored against each other. Transductive, and labelled so.

Where each user has one positive among several rows, what a row's neighbours score says something
about its label: the conditional logit of McFadden (1974), a softmax over the user's rows. A row's
score then depends on which rows happen to stand beside it in valid or test, so the step is scored
apart from the plain blend and never mixed up with it. Design: section 6.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.ensemble.crossfit import GROUPS, user_groups
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.auc import AucSample, Labels
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import number_ids
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions

NEEDED_SHARE = 0.99
"""Of OOF users with one positive among several rows; of valid and test rows whose user has a
number of rows that OOF users have too."""

COMMON_SHARE = 0.01
"""A number of rows that so many of the OOF users have is one that valid and test may have."""

MIN_SHARPNESS, MAX_SHARPNESS = 0.01, 100.0
_STEPS = 60
_SETTLED = 1e-10


@dataclass(frozen=True)
class GroupReport:
    """``temperature`` that the logits are divided by; AUC before the step (``plain``), after it and
    the paired difference: cross-fitted OOF, and valid (None where there are no valid rows)."""

    temperature: float
    oof_plain: Estimate
    oof: Estimate
    oof_difference: Estimate
    valid_plain: Estimate | None
    valid: Estimate | None
    valid_difference: Estimate | None


def no_oof() -> RunError:
    """What to raise where there is no OOF."""
    return RunError(
        "--group-softmax fits its temperature on OOF, found a run without: leave one out"
    )


def group_softmax(found: Predictions, seed: int) -> tuple[Predictions, GroupReport]:
    """The predictions with each row's logit against its user's other rows, and what that is worth.

    With z a row's logit and T the temperature: z / T - log(sum of exp(z / T) over the others), in
    float64. The temperature is fitted on OOF by maximum likelihood; OOF itself is cross-fitted over
    users. Rows that a user lacks (a last, cut-off group) count as average ones.
    Raises RunError where there is no OOF or groups lack the structure.
    """
    if found.oof is None:
        raise no_oof()
    oof = found.oof
    usual = _require_structure(found, oof)
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
        for logits, keys in ((found.valid, found.valid_keys), (found.test, found.test_keys))
    )
    after = Predictions(
        OutOfFold(oof.keys, oof.label, oof.fold, ours),
        found.valid_keys,
        found.valid_label,
        valid,
        found.test_keys,
        test,
    )
    return after, _report(found, after, 1.0 / step.sharpness)


@dataclass(frozen=True)
class GroupSoftmax:
    """Logits of one user's rows against each other: ``sharpness`` is 1 / temperature, ``usual`` the
    number of rows that users have, ``absent`` log mean exp(sharpness z) of a row."""

    sharpness: float
    usual: int
    absent: float

    @classmethod
    def fit(
        cls,
        logits: NDArray[np.float64],
        label: NDArray[np.int8],
        user: NDArray[np.int64],
        usual: int,
    ) -> "GroupSoftmax":
        """From OOF rows (rows,): those of users with one positive among several."""
        code = number_ids(user)
        rows, ones = np.bincount(code), np.bincount(code, label)
        kept = ((ones == 1) & (rows > 1))[code]
        sharpness = _sharpness(logits[kept], label[kept] == 1, code[kept])
        scaled = sharpness * logits
        top = float(scaled.max())
        return cls(sharpness, usual, top + math.log(float(np.exp(scaled - top).mean())))

    def apply(self, logits: NDArray[np.float64], user: NDArray[np.int64]) -> NDArray[np.float64]:
        """(rows,) logits of logits (rows,), whose users are ``user`` (rows,)."""
        if len(logits) == 0:
            return np.zeros(0)
        order = np.argsort(user, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(user[order]) != 0])
        sizes = np.diff(np.append(starts, len(order)))
        z = self.sharpness * logits[order]
        missing = np.maximum(self.usual - sizes, 0)
        with np.errstate(divide="ignore"):
            hidden = np.log(missing) + self.absent  # -inf where none is missing
        out = np.empty(len(z))
        out[order] = z - _log_sum_of_others(z, starts, sizes, hidden)
        return out


def _log_sum_of_others(
    z: NDArray[np.float64],
    starts: NDArray[np.intp],
    sizes: NDArray[np.intp],
    hidden: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(rows,) log(exp(hidden) + sum of exp(z) over a group's other rows), groups one after another.

    A row with at most half of its group's sum is taken from it without loss; the first of the
    group's highest rows may hold nearly all of it, so the others are summed without that one.
    """
    group = np.repeat(np.arange(len(starts)), sizes)
    whole = _log_sum(z, starts, group, hidden)
    high = np.maximum.reduceat(z, starts)
    at_top = np.flatnonzero(z == high[group])
    first = at_top[np.r_[True, np.diff(group[at_top]) != 0]]
    rest = z.copy()
    rest[first] = -np.inf
    out = np.empty(len(z))
    others = np.ones(len(z), np.bool_)
    others[first] = False
    share = np.exp(z[others] - whole[group[others]])
    out[others] = whole[group[others]] + np.log1p(-share)
    out[first] = _log_sum(rest, starts, group, hidden)
    return out


def _log_sum(
    z: NDArray[np.float64],
    starts: NDArray[np.intp],
    group: NDArray[np.intp],
    hidden: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(groups,) log(exp(hidden) + sum of exp(z)); each group has a finite term."""
    top = np.maximum(np.maximum.reduceat(z, starts), hidden)
    total = np.add.reduceat(np.exp(z - top[group]), starts) + np.exp(hidden - top)
    out: NDArray[np.float64] = top + np.log(total)
    return out


def _sharpness(
    z: NDArray[np.float64], positive: NDArray[np.bool_], code: NDArray[np.intp]
) -> float:
    """1 / temperature of the most likely softmax over groups: Newton's steps, kept in bounds."""
    order = np.argsort(code, kind="stable")
    z, positive = z[order], positive[order]
    starts = np.flatnonzero(np.r_[True, np.diff(code[order]) != 0])
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(z))))
    top = np.maximum.reduceat(z, starts)[group]
    off = z - top
    target = float(off[positive].sum())
    at = 1.0
    for _ in range(_STEPS):
        weight = np.exp(at * off)
        weight /= np.add.reduceat(weight, starts)[group]
        mean = np.add.reduceat(weight * off, starts)
        spread = float((weight * off) @ off - mean @ mean)
        rise = target - float(mean.sum())
        # The log likelihood is concave; half or double at most, so that no step goes astray.
        step = rise / spread if spread > 0.0 else math.copysign(math.inf, rise)
        last, at = at, min(max(at + step, at / 2.0), at * 2.0)
        at = min(max(at, MIN_SHARPNESS), MAX_SHARPNESS)
        if abs(at - last) <= _SETTLED * last:
            break
    return at


def _require_structure(found: Predictions, oof: OutOfFold) -> int:
    """The usual number of rows of a user; RunError where groups have no structure to use."""
    code = number_ids(oof.keys.user_id)
    rows, ones = np.bincount(code), np.bincount(code, oof.label)
    good = float(((ones == 1) & (rows > 1)).mean())
    if good < NEEDED_SHARE:
        raise RunError(
            "--group-softmax needs users with one positive among several rows, found that for "
            f"{100 * good:.1f} % of the OOF users: leave it out"
        )
    share = np.bincount(rows) / len(rows)
    common = np.flatnonzero(share >= COMMON_SHARE)
    usual = int(share.argmax())
    for name, keys in (("valid", found.valid_keys), ("test", found.test_keys)):
        _require_sizes(name, keys, common, usual)
    return usual


def _require_sizes(name: str, keys: Keys, common: NDArray[np.intp], usual: int) -> None:
    if len(keys) == 0:
        return
    code = number_ids(keys.user_id)
    rows = np.bincount(code)
    alike = float(np.isin(rows[code], common).mean())
    if alike < NEEDED_SHARE:
        often = int(np.bincount(rows).argmax())
        raise RunError(
            f"--group-softmax needs users with as many rows in {name} as in OOF (mostly {usual}), "
            f"found that for {100 * alike:.1f} % of its rows (mostly {often}): leave it out"
        )


def _report(before: Predictions, after: Predictions, temperature: float) -> GroupReport:
    assert before.oof is not None
    assert after.oof is not None
    oof = before.oof
    inside = _compare(oof.label, oof.keys.user_id, oof.fold, before.oof.logit, after.oof.logit)
    outside: tuple[Estimate | None, Estimate | None, Estimate | None] = (None, None, None)
    if before.has_valid:
        label, user = before.valid_label, before.valid_keys.user_id
        outside = _compare(label, user, None, before.valid_mean(), after.valid_mean())
    return GroupReport(temperature, *inside, *outside)


def _compare(
    label: Labels,
    user: NDArray[np.int64],
    fold: NDArray[np.int16] | None,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> tuple[Estimate, Estimate, Estimate]:
    sample = AucSample(label, user, fold)
    plain, grouped = sample.influence(before), sample.influence(after)
    return sample.estimate(plain), sample.estimate(grouped), sample.difference(grouped, plain)
