import numpy as np
import pytest

from mmctr_kit.ensemble.methods.catalogue import METHODS, WITH_CONTEXT, SharedFits
from mmctr_kit.ensemble.stack import BlendInput, OofRows
from mmctr_kit.metrics.auc import mean_fold_auc, rank_correlation
from mmctr_kit.metrics.calibration import calibration


@pytest.mark.parametrize("name", [*METHODS])
def test_every_method_gives_calibrated_logits_that_rise_with_every_run(name, informative):
    stack, _ = informative(0)
    context = np.random.default_rng(0).normal(size=(2, len(stack.label))).astype(np.float32)
    rows = OofRows(stack.oof, stack.fold, context, label=stack.label == 1, user=stack.user)
    fitted = METHODS[name](SharedFits(rows, 0))
    out = fitted.apply(BlendInput(stack.oof, stack.fold, context))
    found = calibration(stack.label, out)
    assert found.slope == pytest.approx(1.0, abs=0.08)
    assert found.ratio == pytest.approx(1.0, abs=0.02)
    assert (fitted.apply(BlendInput(stack.oof + 0.5, stack.fold, context)) > out).all()
    if fitted.weights is not None:
        assert fitted.weights.sum() == pytest.approx(1.0)


def test_best_is_the_run_of_the_highest_auc_alone_and_without_it_the_next(informative):
    stack, _ = informative(0)
    rows = OofRows(stack.oof, stack.fold, label=stack.label == 1, user=stack.user)
    order = sorted(
        range(stack.runs),
        key=lambda run: -mean_fold_auc(rows.label, stack.oof[run], rows.fold, rows.user).value,
    )
    best = METHODS["best"](SharedFits(rows, 0))
    assert best.weights.tolist() == [float(run == order[0]) for run in range(stack.runs)]
    for run in range(stack.runs):
        left = stack.oof[order[1] if run == order[0] else order[0]]
        assert rank_correlation(best.without(rows, run), left) == pytest.approx(1.0)


@pytest.mark.parametrize("name", [m for m in METHODS if m not in WITH_CONTEXT])
def test_one_run_keeps_its_order_under_every_method(name, informative):
    stack, _ = informative(0)
    one = stack.oof[:1, stack.fold == 0]
    keep = stack.fold == 0
    rows = OofRows(one, stack.fold[keep], label=stack.label[keep] == 1, user=stack.user[keep])
    out = METHODS[name](SharedFits(rows, 0)).apply(rows)
    assert rank_correlation(out, one[0]) == pytest.approx(1.0, abs=1e-12)
    assert len(np.unique(out)) == len(np.unique(one))
