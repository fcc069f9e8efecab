"""mmctr_kit.audit.profile.context: label means that are cross-fitted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.audit.profile.context import crossfit_rate


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=6, max_size=40))
def test_a_cross_fitted_mean_never_sees_its_own_fold(rows: list[tuple[int, int]]) -> None:
    group, label = (np.array(x) for x in zip(*rows, strict=True))
    folds = (np.arange(len(rows)) % 3).astype(np.int16)
    before = crossfit_rate(group, label, folds)
    changed = np.where(folds == 1, 1 - label, label)
    total = float(label.mean()) - float(changed.mean())  # the prior is of all rows
    after = crossfit_rate(group, changed, folds)
    seen = np.array([np.sum((group == g) & (folds != 1)) for g in group])
    shift = total * 4.0 / (seen + 4.0)
    np.testing.assert_allclose(before[folds == 1], (after + shift)[folds == 1])
