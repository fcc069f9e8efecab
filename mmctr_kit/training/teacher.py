"""Distillation: train rows whose labels are mixed with another run's predictions of them.

The teacher's OOF predictions are used, each from a model that did not see the row. It is a research
tool: a teacher that is an ensemble makes the training one (Hinton et al., arXiv 1503.02531). Users
who are held out taught the teacher's models, so the best snapshot is chosen a little too gladly;
the valid rows are in no part of it.
"""

from pathlib import Path

import numpy as np

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import digest
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.recipe import Training
from mmctr_kit.runs.predictions import keys_of
from mmctr_kit.runs.run import open_run


def teacher_logits(teacher: str, data: ChallengeData) -> Floats:
    """The OOF logits (train rows,) of the run folder ``teacher``, in the order of the data.

    Raises UsageError if there is no such run, RunError if it has no OOF or is of other rows.
    """
    path = Path(teacher)
    try:
        run = open_run(path.name, path.parent)
    except UsageError as e:
        raise UsageError(f"training.teacher: {e}") from e
    oof = run.predictions().oof
    if oof is None:
        raise RunError(
            f"training.teacher: run '{run.name}' has no OOF predictions; name a cv run or a blend"
        )
    if not oof.keys.same(keys_of(data.train)):
        raise RunError(
            f"training.teacher: run '{run.name}' does not predict all train rows of {data.folder}, "
            "and no others; name a run of this data with folds.by=user"
        )
    return oof.logit


def soft_labels(options: Training, data: ChallengeData) -> Floats:
    """Labels (train rows,) in [0, 1]: the given one and the teacher's probability, weighted.

    The teacher's weight is ``teacher_weight``.
    """
    assert options.teacher is not None
    probability = 1 / (1 + np.exp(-teacher_logits(options.teacher, data)))
    weight = options.teacher_weight
    soft: Floats = (1 - weight) * data.train.labels() + weight * probability
    return soft


def teacher_digest(options: Training, data: ChallengeData) -> str | None:
    """A digest of the teacher's OOF logits for a run's fingerprint; None without a teacher."""
    if options.teacher is None:
        return None
    return digest(teacher=teacher_logits(options.teacher, data))
