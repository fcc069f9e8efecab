"""What share of the signal the target alone explains, history left out."""

from collections.abc import Iterator

import numpy as np

from mmctr_kit.audit.profile.boosted import crossfit_scores
from mmctr_kit.audit.profile.facts import Facts
from mmctr_kit.audit.profile.features import row_columns, sample_users
from mmctr_kit.audit.profile.reading import Reading, auc_reading, percent
from mmctr_kit.metrics.auc import AucSample

ROWS = 24_000
FLOOR = 0.4
"""AUC beyond 0.5 that the target alone may have."""
_SEED = 0x51


def target_side(facts: Facts) -> Iterator[Reading]:
    """AUC of boosted trees on the target's columns and its label mean among other users, beside
    that of the same with simple columns of the history; both cross-fitted over users of train."""
    train = facts.data.train
    at = sample_users(train, ROWS, _SEED)
    columns = row_columns(facts, "train", at)
    label, user, folds = train.labels()[at], train.user_id[at], facts.folds[at] // 2
    # Three folds made of the five: the mean of a row's item never holds its own user.
    rate = facts.item_rate[at].astype(np.float32)[:, None]
    x = np.hstack([rate, columns.values])
    sample = AucSample(label, user, folds)
    alone, both = (
        sample.influence(crossfit_scores(part, label, folds)[0])
        for part in (x[:, : columns.target + 1], x)
    )
    value, whole = sample.estimate(alone), sample.estimate(both)
    more = sample.difference(both, alone)
    lead = max(whole.value, value.value) - 0.5
    part = f"{percent((value.value - 0.5) / lead)} of that lead over 0.5" if lead > 0 else "no lead"
    yield auc_reading(
        "target-side",
        "train",
        value,
        FLOOR,
        f"the target alone {value}, with simple columns of the history {whole} "
        f"({more.value:+.4f} ± {more.se:.4f}): {part}",
        above=True,
    )
