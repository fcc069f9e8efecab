"""mmctr_kit.audit.sanity: what is told of data before it is trained on."""

from dataclasses import replace

import numpy as np

from mmctr_kit.audit.sanity import fold_warning, training_warnings
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.ragged import Ragged


def test_mostly_empty_histories_are_told_in_one_line_and_a_few_are_not(
    tiny: ChallengeData,
) -> None:
    assert training_warnings(tiny) == []
    rows = dict(tiny.rows)
    offsets = np.append(tiny.histories.offsets, tiny.histories.offsets[-1])
    histories = Ragged(tiny.histories.values, offsets)  # with an empty one at the end
    for split, kept in (("train", 0.1), ("test", 0.6)):
        history = rows[split].history.copy()
        history[int(kept * len(history)) :] = len(tiny.histories)
        rows[split] = replace(rows[split], history=history)
    (line,) = training_warnings(replace(tiny, rows=rows, histories=histories))
    assert line.startswith("most histories are empty: 90.0% in train; cut at the left end")


def test_folds_by_user_are_warned_of_if_valid_and_test_come_after_train(
    tiny: ChallengeData, timed: ChallengeData
) -> None:
    line = fold_warning(timed, "user")
    assert line is not None
    assert "--set folds.by=time" in line
    assert fold_warning(timed, "time") is fold_warning(timed, "item") is None
    assert fold_warning(tiny, "user") is None
