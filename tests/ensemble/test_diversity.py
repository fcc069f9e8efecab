from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mmctr_kit.ensemble import diversity as relations
from mmctr_kit.ensemble.blend import blend
from mmctr_kit.ensemble.diversity import correlations
from mmctr_kit.ensemble.methods.catalogue import METHODS, WITH_CONTEXT
from mmctr_kit.metrics.auc import mean_fold_auc

BLENDS = [m for m in METHODS if m not in {"best", *WITH_CONTEXT}]


def test_correlations_are_spearmans_within_folds(informative):
    stack, _ = informative(0, users=300)
    far = stack.oof + 50.0 * stack.fold  # a fold model's level says nothing
    found = correlations(replace(stack, oof=far))
    weight = np.bincount(stack.fold) / len(stack.fold)
    wanted = sum(
        w * stats.spearmanr(stack.oof[:, stack.fold == f], axis=1).statistic
        for f, w in enumerate(weight)
    )
    np.testing.assert_allclose(found, wanted, atol=0.01)
    np.testing.assert_array_equal(np.diag(found), 1.0)


def test_a_constant_run_correlates_with_nothing(informative):
    stack, _ = informative(0, users=200)
    oof = stack.oof.copy()
    oof[1] = 3.0
    found = correlations(replace(stack, oof=oof))
    np.testing.assert_array_equal(found[1], [0.0, 1.0, 0.0])


def test_without_oof_the_fold_means_are_compared(informative):
    stack, _ = informative(0, users=200)
    none = np.zeros(0, np.int64)
    bare = replace(stack, oof=None, label=none, user=none, fold=none, without_oof=stack.names)
    found = correlations(bare)
    wanted = stats.spearmanr(stack.valid.mean(axis=1), axis=1).statistic
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("method", BLENDS)
def test_a_run_of_its_own_adds_and_noise_does_not(method, informative):
    stack, _ = informative(1, users=1000, extra=("noise",))
    adds = blend(stack, method).adds
    assert {*adds} == {*stack.names}
    assert adds["run0"].z(0.0) > 3.0
    noise = adds["run3"]
    if method == "rank":  # the only one that neither weights nor scales it down
        assert noise.z(0.0) < -3.0
    else:
        assert abs(noise.value) < 0.01 < adds["run0"].value


def test_what_a_run_adds_to_the_mean_is_the_mean_less_that_of_the_others(informative):
    stack, _ = informative(2, users=600)
    found = blend(stack, "mean")
    others = replace(
        stack,
        names=stack.names[1:],
        oof=stack.oof[1:],
        valid=stack.valid[1:],
        test=stack.test[1:],
    )
    rest = mean_fold_auc(stack.label, blend(others, "mean").oof, stack.fold, stack.user)
    assert found.adds["run0"].value == pytest.approx(
        found.scores["mean"].value - rest.value, abs=3e-4
    )


def test_of_very_many_cells_whole_users_are_drawn(informative, monkeypatch):
    stack, _ = informative(3, users=600)
    whole = blend(stack, "mean").adds["run0"]
    monkeypatch.setattr(relations, "LEFT_OUT_CELLS", stack.oof.size // 2)
    part = blend(stack, "mean").adds["run0"]
    assert part.n < 0.6 * whole.n
    assert abs(part.value - whole.value) < 3.0 * part.se


def test_one_run_adds_nothing_to_itself(informative):
    stack, _ = informative(4, users=200)
    one = replace(
        stack, names=("a",), oof=stack.oof[:1], valid=stack.valid[:1], test=stack.test[:1]
    )
    assert blend(one, "mean").adds == {}
