"""The ledger as a table: OOF, valid and leaderboard of each submission, and how they agree."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from mmctr_kit.metrics.auc import rank_correlation
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.submission.ledger import Ledger, Submitted

FEWEST = 3
"""With fewer scored submissions nothing is said about how ranks agree."""


FAR_Z, FAR = 10.0, 0.05
"""A leaderboard's AUC that is further from the valid one than this, and than this many standard
errors, is probably another file's: test's users are others, but drawn as valid's are."""


@dataclass(frozen=True)
class Standing:
    """One submission, with the ``leaderboard`` and ``note`` of its latest score."""

    file: str
    sha256: str
    run: str
    task: str
    time: str
    rows: int
    oof: Estimate | None
    valid: Estimate | None
    leaderboard: float | None
    note: str

    @property
    def remark(self) -> str | None:
        """How far the leaderboard is from valid (or, without it, OOF), if that is implausible."""
        name, known = ("valid", self.valid) if self.valid else ("OOF", self.oof)
        if known is None or self.leaderboard is None:
            return None
        gap = self.leaderboard - known.value
        # The leaderboard's standard error, from its number of rows, if they are like valid's.
        se = known.se * math.sqrt(1 + known.n / max(self.rows, 1))
        if not (abs(gap) > FAR and abs(gap) > FAR_Z * se):
            return None
        why = f", {abs(gap) / se:.0f} standard errors" if se > 0 else ""
        return (
            f"{self.run} ({self.task}): leaderboard {self.leaderboard:g} is {gap:+.4f} from {name} "
            f"{known.value:.4f}{why}: another file's score, another test set, or rows misplaced?"
        )


@dataclass(frozen=True)
class Agreement:
    """Spearman's rank correlation of ``number`` (OOF or valid) and the leaderboard.

    It is over ``n`` different scored submissions of a task; NaN if one of the two does not vary.
    """

    task: str
    number: str
    spearman: float
    n: int


def standings(ledger: Ledger) -> list[Standing]:
    """The submissions in the order in which they were written."""
    return [_standing(ledger, e) for e in ledger.submitted]


def agreements(rows: Sequence[Standing]) -> list[Agreement]:
    """For each task with at least three scored submissions; copies of one file count once."""
    once = {(r.task, r.sha256): r for r in rows if r.leaderboard is not None}
    result = []
    for task, number in product(sorted({task for task, _ in once}), ("OOF", "valid")):
        pairs = [
            (estimate.value, r.leaderboard)
            for r in once.values()
            if r.task == task and (estimate := r.oof if number == "OOF" else r.valid)
        ]
        if len(pairs) >= FEWEST:
            a, b = np.array(pairs, np.float64).T
            result.append(Agreement(task, number, rank_correlation(a, b), len(pairs)))
    return result


def _standing(ledger: Ledger, entry: Submitted) -> Standing:
    score = ledger.score(entry)
    return Standing(
        file=entry.file,
        sha256=entry.sha256,
        run=entry.run,
        task=entry.task,
        time=entry.time,
        rows=entry.rows,
        oof=Estimate.find(vars(entry), "oof"),
        valid=Estimate.find(vars(entry), "valid"),
        leaderboard=None if score is None else score.auc,
        note="" if score is None else score.note,
    )
