import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.ensemble.methods import gated
from mmctr_kit.ensemble.methods.average import WeightedMean
from mmctr_kit.ensemble.methods.gated import GatedMean
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.auc import auc, rank_correlation

EQUAL = WeightedMean.equal(2)


def rows(seed, count=6000, told=True):
    """Two runs: as the context rises, if it is ``told``, the second knows more."""
    rng = np.random.default_rng(seed)
    label = rng.random(count) < 0.3
    trust = rng.random(count)
    logits = np.stack([3.0 * label * (1.0 - trust), 3.0 * label * trust])
    logits += rng.normal(size=(2, count))
    context = np.stack([trust if told else rng.random(count), np.full(count, 7.0)])
    user, fold = np.arange(count) // 4, np.zeros(count, np.int16)
    return OofRows(logits, fold, context.astype(np.float32), label=label, user=user)


def test_a_context_that_tells_whom_to_trust_is_used_and_another_is_not():
    later = rows(1, 30_000)
    gate = GatedMean.fit(rows(0), EQUAL, 0)
    gained = auc(later.label, gate.apply(later.logits, later.context))
    assert gained > auc(later.label, EQUAL.apply(later.logits)) + 0.01
    blind = rows(2, told=False)
    gate = GatedMean.fit(blind, EQUAL, 0)
    plain = EQUAL.apply(blind.logits)
    assert rank_correlation(gate.apply(blind.logits, blind.context), plain) > 0.99


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 100.0), st.floats(-100.0, 100.0))
def test_the_units_of_the_context_do_not_matter(scale, shift):
    part = rows(3, 800)
    gate = GatedMean.fit(part, EQUAL, 0)
    moved = OofRows(
        part.logits,
        part.fold,
        (scale * part.context.astype(np.float64) + shift),
        label=part.label,
        user=part.user,
    )
    again = GatedMean.fit(moved, EQUAL, 0).apply(moved.logits, moved.context)
    np.testing.assert_allclose(again, gate.apply(part.logits, part.context), atol=1e-6)


def test_a_context_that_oof_never_saw_moves_the_weights_no_further_than_an_outlier():
    part = rows(4)
    gate = GatedMean.fit(part, EQUAL, 0)
    far, further = (np.full_like(part.context, x) for x in (1e3, 1e9))
    assert np.isfinite(gate.apply(part.logits, further)).all()
    np.testing.assert_array_equal(gate.apply(part.logits, far), gate.apply(part.logits, further))


def test_of_very_many_rows_whole_users_are_drawn(monkeypatch):
    part = rows(5)
    whole = GatedMean.fit(part, EQUAL, 0).apply(part.logits, part.context)
    monkeypatch.setattr(gated, "FIT_CELLS", 8 * 3000)
    half = GatedMean.fit(part, EQUAL, 0).apply(part.logits, part.context)
    assert not np.array_equal(half, whole)
    assert rank_correlation(half, whole) > 0.99
