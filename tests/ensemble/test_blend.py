from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmctr_kit.data.folds import user_folds
from mmctr_kit.ensemble.blend import blend
from mmctr_kit.ensemble.methods.catalogue import METHODS, WITH_CONTEXT
from mmctr_kit.ensemble.stack import Context, Stack
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.metrics.auc import auc, auc_difference, mean_fold_auc, tied_share
from mmctr_kit.metrics.estimate import required_z

PLAIN = [m for m in METHODS if m not in WITH_CONTEXT]
BLENDS = [m for m in PLAIN if m != "best"]


def single_best(stack):
    return max(mean_fold_auc(stack.label, x, stack.fold, stack.user).value for x in stack.oof)


def fold_mean_auc(label, logits):
    return auc(label, logits.mean(axis=0))


@pytest.mark.parametrize("method", [*BLENDS])
def test_different_runs_blend_into_more_than_the_best_of_them(method, informative):
    stack, valid_label = informative(1)
    found = blend(stack, method)
    assert found.scores[method].value > single_best(stack) + 0.02
    best = max(fold_mean_auc(valid_label, x) for x in stack.valid)
    assert fold_mean_auc(valid_label, found.valid) > best + 0.005
    np.testing.assert_array_equal(found.test, found.valid)  # the same rows stand in both


@pytest.mark.parametrize("method", [*PLAIN])
def test_a_blend_is_finite_untied_and_the_same_again(method, informative):
    stack, _ = informative(2, users=400, valid=200)
    found, again = blend(stack, method, seed=3), blend(stack, method, seed=3)
    assert found.oof.shape == stack.label.shape
    assert found.valid.shape == found.test.shape == (3, 200)
    for logits in (found.oof, found.valid[0]):
        assert np.isfinite(logits).all()
        assert tied_share(logits) == 0.0
    for field in fields(found):
        a, b = getattr(found, field.name), getattr(again, field.name)
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


def test_scores_are_mean_fold_aucs_of_the_cross_fitted_oof_and_differences_are_paired(informative):
    stack, _ = informative(3, users=400)
    mean, greedy = blend(stack, "mean"), blend(stack, "greedy")
    assert [*greedy.scores] == ["mean", "greedy"]
    wanted = mean_fold_auc(stack.label, greedy.oof, stack.fold, stack.user)
    assert greedy.scores["greedy"] == wanted
    wanted = auc_difference(stack.label, greedy.oof, mean.oof, stack.user, stack.fold)
    assert greedy.differences == {"greedy": wanted}
    assert mean.differences == {}


# By user alone, memorised OOF scores scatter up to sqrt(2) times as far as their errors say.
@pytest.mark.slow
@pytest.mark.parametrize(("noise", "errors"), [(0.5, 3.0 * np.sqrt(2.0)), (30.0, 3.0)])
@pytest.mark.parametrize("one_positive", [True, False])
def test_runs_that_know_nothing_score_like_chance_and_auto_takes_the_mean(
    memorised, one_positive, noise, errors
):
    for seed in range(3):
        stack = memorised(seed, users=400, noise=noise, one_positive=one_positive)
        found = blend(stack, "auto", seed)
        assert {*found.above_chance} == {*found.scores}
        assert max(map(abs, found.above_chance.values())) < 3.0
        assert all(abs(score.z(0.5)) < errors for score in found.scores.values())
        assert found.method == "mean"


def test_auto_keeps_the_mean_of_equals_and_takes_a_better_method_where_copies_crowd(informative):
    stack, _ = informative(5)
    alike = replace(
        stack,
        oof=np.stack([stack.oof[0], 2.0 * stack.oof[0] + 1.0]),
        valid=np.stack([stack.valid[0], 2.0 * stack.valid[0] + 1.0]),
        test=np.stack([stack.test[0], 2.0 * stack.test[0] + 1.0]),
        names=("a", "b"),
    )
    assert blend(alike, "auto").method == "mean"
    crowded, valid_label = informative(5, extra=("copy",) * 5)
    found = blend(crowded, "auto")
    assert found.method in ("greedy", "logistic", "lightgbm")
    assert found.reason.startswith(f"Chose {found.method}: OOF AUC +")
    assert fold_mean_auc(valid_label, found.valid) > fold_mean_auc(
        valid_label, blend(crowded, "mean").valid
    )
    assert {*found.scores} == {*PLAIN}
    assert {*found.differences} == {*PLAIN} - {"mean"}


@pytest.mark.slow
@pytest.mark.parametrize("extra", [(), ("noise",) * 8, ("copy",) * 5])
def test_auto_is_no_worse_than_the_best_run_alone_by_more_than_its_rule_allows(informative, extra):
    stack, _ = informative(7, extra=extra)
    found = blend(stack, "auto")
    alone = found.scores["best"]
    lost = found.differences["best"].value  # over the mean
    if found.method != "mean":
        lost -= found.differences[found.method].value
    assert lost <= required_z(len(found.differences)) * found.differences["best"].se
    assert alone == blend(stack, "best").scores["best"]


def test_a_run_far_ahead_of_the_others_is_taken_alone_or_outdone():
    """The others know little, and make the same errors: together they outweigh it in a mean."""
    rng = np.random.default_rng(0)
    user, label = np.repeat(np.arange(500), 4), np.tile([1, 0, 0, 0], 500)
    known, little = 2.0 * label + rng.normal(size=2_000), 0.5 * label + rng.normal(size=2_000)
    oof = np.stack([known, *[little + 0.01 * rng.normal(size=2_000) for _ in range(6)]])
    later = np.repeat(oof[:, None, :100], 3, axis=1)
    fold = user_folds(user, 3, 7)
    stack = Stack(tuple("abcdefg"), oof, label, user, user, fold, later, later)
    found = blend(stack, "auto")
    assert found.differences["best"].z(0.0) > required_z(len(found.differences))
    assert found.method != "mean"
    assert found.scores[found.method].value >= found.scores["best"].value


def test_noise_among_the_runs_is_muted_by_the_scale(informative):
    noisy, _ = informative(6, extra=("noise",) * 4)
    clean, _ = informative(6)
    lost = blend(clean, "mean").scores["mean"].value - blend(noisy, "mean").scores["mean"].value
    assert abs(lost) < 0.005


def test_one_run_alone_is_its_own_mean(informative):
    stack, _ = informative(7, users=400)
    one = replace(
        stack, names=("a",), oof=stack.oof[:1], valid=stack.valid[:1], test=stack.test[:1]
    )
    found = blend(one, "auto")
    assert (found.method, found.weights) == ("mean", {"a": 1.0})
    assert "Only one run given" in found.reason
    assert found.scores["mean"].value == single_best(one)
    for f in range(3):
        assert auc(np.arange(3000) % 2, found.valid[f]) == auc(np.arange(3000) % 2, one.valid[0, f])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_run_alone_has_the_score_of_the_run_even_if_it_tells_nothing(sign, memorised):
    stack = memorised(1, users=200, runs=1)
    stack = replace(stack, oof=sign * stack.oof)
    for method in ("auto", "mean", "best"):
        assert blend(stack, method).scores["mean"].value == single_best(stack)


def test_valid_ranks_are_those_of_the_rows_own_fold_model(informative):
    """A fold model on a scale of its own, in OOF and in valid alike, changes no rank."""
    stack, _ = informative(7, users=400)
    far = np.array([0.0, 30.0, -4.0])
    odd = replace(stack, oof=stack.oof + far[stack.fold], valid=stack.valid + far[None, :, None])
    np.testing.assert_allclose(
        blend(odd, "rank").valid, blend(stack, "rank").valid, rtol=1e-4, atol=0.02
    )


def test_a_blend_can_be_blended_again(informative):
    stack, _ = informative(8, users=400)
    first, second = blend(stack, "mean"), blend(stack, "lightgbm")
    again = replace(
        stack,
        names=("x", "y"),
        oof=np.stack([first.oof, second.oof]),
        valid=np.stack([first.valid, second.valid]),
        test=np.stack([first.test, second.test]),
    )
    found = blend(again, "auto")
    assert found.scores["mean"].value > single_best(stack) + 0.02


def test_oof_and_valid_logits_stand_on_one_level(informative):
    stack, valid_label = informative(9)
    for method in PLAIN:
        found = blend(stack, method)
        gap = found.oof.mean() - found.valid.mean()
        assert abs(gap) < 5 * found.oof.std() * np.sqrt(1 / len(valid_label))


@pytest.mark.parametrize("method", ["auto", "mean", "rank"])
def test_runs_without_oof_are_averaged_unscored(method, informative):
    stack, valid_label = informative(10)
    none = np.zeros(0, dtype=np.int64)
    bare = replace(stack, oof=None, label=none, user=none, fold=none, without_oof=("run1", "run2"))
    found = blend(bare, method)
    assert found.method == ("rank" if method == "rank" else "mean")
    assert found.oof is None
    assert found.scores == found.differences == {}
    assert "no OOF predictions of run1 and run2" in found.reason
    best = max(fold_mean_auc(valid_label, x) for x in stack.valid)
    assert fold_mean_auc(valid_label, found.valid) > best


@pytest.mark.parametrize("method", ["greedy", "lightgbm"])
def test_methods_that_learn_refuse_runs_without_oof(method, informative):
    stack, _ = informative(10, users=50)
    with pytest.raises(RunError, match="none of run1: use --method mean or rank"):
        blend(replace(stack, oof=None, without_oof=("run1",)), method)


@pytest.mark.parametrize("method", ["mean", "probability", "rank"])
@given(order=st.permutations(range(4)))
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_order_in_which_runs_are_named_changes_nothing(method, order, informative):
    stack, _ = informative(11, users=150, valid=40, extra=("noise",))
    turned = replace(
        stack,
        names=tuple(stack.names[i] for i in order),
        oof=stack.oof[order],
        valid=stack.valid[order],
        test=stack.test[order],
    )
    ours, theirs = blend(stack, method), blend(turned, method)
    for field in ("oof", "valid", "test"):
        np.testing.assert_allclose(getattr(theirs, field), getattr(ours, field), atol=1e-8)
    assert theirs.weights == dict.fromkeys(turned.names, 0.25)
    for name, gain in ours.adds.items():
        assert theirs.adds[name].value == pytest.approx(gain.value, abs=1e-6)


def test_the_context_of_rows_is_used_where_it_tells_which_run_to_trust(informative):
    """Run 0 is right in one half of the rows, run 1 in the other; only the context says which."""
    stack, valid_label = informative(12, users=2500, valid=2000)
    rng = np.random.default_rng(12)

    def half(label, copies):
        """Logits (2, copies, rows): the wrong run sees labels of nobody, as often positive."""
        first = rng.random(len(label)) < 0.5
        nobody = rng.permutation(label)
        seen = 3.0 * np.stack([np.where(first, label, nobody), np.where(first, nobody, label)])
        noise = rng.normal(size=(2, copies, len(label)))
        return seen[:, None] + noise, first.astype(np.float32)[None]

    oof, context = half(stack.label, 1)
    valid, known = half(valid_label, 3)
    all_folds = np.stack([known] * 3)
    mixed = replace(
        stack,
        names=("a", "b"),
        oof=oof[:, 0],
        valid=valid,
        test=valid,
        context=Context(context, all_folds, all_folds),
    )
    found = blend(mixed, "auto")
    assert found.method in WITH_CONTEXT
    assert fold_mean_auc(valid_label, found.valid) > 0.01 + fold_mean_auc(
        valid_label, blend(mixed, "lightgbm").valid
    )
    alone = replace(mixed, names=("a",), oof=oof[0], valid=valid[:1], test=valid[:1])
    assert {*blend(alone, "auto").scores} == {"mean", *WITH_CONTEXT}


def test_a_method_that_looks_at_rows_needs_them(informative):
    stack, _ = informative(13, users=200)
    with pytest.raises(UsageError, match="lightgbm-context uses features of the rows: add --data"):
        blend(stack, "lightgbm-context")
