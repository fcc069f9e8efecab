import numpy as np

from mmctr_kit.ensemble.blend import blend
from mmctr_kit.ensemble.crossfit import CrossFit, user_groups
from mmctr_kit.ensemble.harm import most_harmful, without_harm
from mmctr_kit.ensemble.methods.catalogue import METHODS, SharedFits
from mmctr_kit.ensemble.methods.scale import fit_scalings
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.auc import auc_difference
from mmctr_kit.metrics.estimate import Estimate, required_z


def rows_with_a_weak_run(seed, users=600, weak=True):
    """Two good runs, and a third that is good as well, or weak and mostly alike the first."""
    rng = np.random.default_rng(seed)
    label = np.tile([1, 0, 0, 0], users) == 1
    good = 2.0 * label + rng.normal(size=(3, 4 * users))
    if weak:
        good[2] = 0.2 * label + rng.normal(size=4 * users)
        good[2] += 0.6 * (good[0] - 2.0 * label)
    user = np.repeat(np.arange(users), 4)
    return OofRows(good, (user % 2).astype(np.int16), label=label, user=user)


def test_a_run_that_clearly_lowers_the_blend_is_harmful_and_no_other():
    def gain(z):
        return Estimate(0.001 * z, 0.001, 100)

    clear = required_z(3) + 0.01
    assert most_harmful({0: gain(5.0), 1: gain(-clear), 2: gain(-clear - 1.0)}) == 2
    assert most_harmful({0: gain(5.0), 1: gain(-clear + 0.02), 2: gain(0.0)}) is None
    assert most_harmful({}) is None
    unknown = Estimate(-0.5, float("nan"), 100)
    assert most_harmful({0: unknown, 1: gain(-clear), 2: unknown}) == 1
    assert most_harmful({0: unknown, 1: gain(0.0)}) is None


def test_harm_is_left_out_and_what_helps_is_not():
    rows = rows_with_a_weak_run(0)
    fitted = without_harm("mean")(SharedFits(rows, 0))
    assert fitted.left_out == (2,)
    assert fitted.weights.tolist() == [0.5, 0.5, 0.0]
    np.testing.assert_array_equal(fitted.without(rows, 2), fitted.apply(rows))
    assert not without_harm("mean")(SharedFits(rows_with_a_weak_run(0, weak=False), 0)).left_out


def test_without_the_only_run_that_is_left_the_others_are_blended():
    rows = rows_with_a_weak_run(0)
    two = OofRows(rows.logits[[0, 2]], rows.fold, label=rows.label, user=rows.user)
    fitted = without_harm("mean")(SharedFits(two, 0))
    assert fitted.left_out == (1,)
    for run in (0, 1):
        alone = fitted.without(two, run)
        assert (np.argsort(alone) == np.argsort(two.logits[1 - run])).all()


def test_a_group_of_users_has_no_say_in_which_run_its_rows_are_predicted_without():
    rows = rows_with_a_weak_run(1)
    fits = {"mean": without_harm("mean")}
    scalings = fit_scalings(rows.label, rows.logits)
    spared = CrossFit.fit(rows, fits, scalings, 0)
    plain = CrossFit.fit(rows, {"mean": METHODS["mean"]}, scalings, 0)
    gain = auc_difference(
        rows.label, spared.logits("mean"), plain.logits("mean"), rows.user, rows.fold
    )
    assert gain.z(0.0) > 2.0
    first = user_groups(rows.user, 0) == 0
    label = rows.label.copy()
    label[first] = ~label[first]
    flipped = OofRows(rows.logits, rows.fold, label=label, user=rows.user)
    again = CrossFit.fit(flipped, fits, scalings, 0)
    gaps = again.logits("mean")[first] - spared.logits("mean")[first]
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-6)  # but for the common level


def test_auto_leaves_a_harmful_run_out_and_says_so(informative, monkeypatch):
    from mmctr_kit.ensemble import blend as module

    monkeypatch.setattr(module, "_tried", lambda *_: ["mean", "probability"])
    rows = rows_with_a_weak_run(2)
    stack, _ = informative(0, users=600, valid=200)
    stack = module.replace(
        stack, oof=rows.logits, label=rows.label.astype(int), user=rows.user, fold=rows.user % 3
    )
    made = blend(stack, "auto")
    assert made.left_out == ("run2",)
    assert "Left out run2: OOF AUC +0." in made.reason
    assert made.mean_valid is not None
    again = module.fit_again(stack, made.method, 0, spare=True)
    np.testing.assert_array_equal(again(stack.test, None), made.test)
    asked = blend(stack, "mean")
    assert asked.left_out == ()
    assert asked.adds["run2"].value < 0.0
