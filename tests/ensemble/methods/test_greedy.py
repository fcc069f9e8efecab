import numpy as np
import pytest

from mmctr_kit.ensemble.methods import greedy
from mmctr_kit.ensemble.methods.greedy import select
from mmctr_kit.ensemble.stack import OofRows

ROWS = 12_000


def rows(seed=0):
    rng = np.random.default_rng(seed)
    label = rng.random(ROWS) < 0.25
    user = np.repeat(np.arange(ROWS // 4), 4)
    return rng, label, (user % 3).astype(np.int16), user


def test_weights_go_to_the_runs_that_know_something():
    rng, label, fold, user = rows()
    noise = rng.normal(size=(5, ROWS))
    good = np.stack([label + rng.normal(size=ROWS), label + rng.normal(size=ROWS)])
    weights = select(
        OofRows(np.concatenate([noise, good]), fold, label=label, user=user), 0
    ).weights
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert weights[5:].min() > 0.3
    assert weights[:5].max() < 0.05


def test_copies_of_one_run_do_not_crowd_out_another():
    rng, label, fold, user = rows()
    first, second = label + rng.normal(size=(2, ROWS))
    copies = first + 0.01 * rng.normal(size=(6, ROWS))
    weights = select(
        OofRows(np.concatenate([copies, second[None]]), fold, label=label, user=user), 0
    ).weights
    assert weights[-1] == pytest.approx(0.5, abs=0.12)


def test_equal_seeds_give_equal_weights_and_other_seeds_others():
    rng, label, fold, user = rows()
    runs = label + np.array([[0.8], [1.0], [1.3], [1.7]]) * rng.normal(size=(4, ROWS))
    first = select(OofRows(runs, fold, label=label, user=user), 1).weights
    np.testing.assert_array_equal(
        first, select(OofRows(runs, fold, label=label, user=user), 1).weights
    )
    assert not np.array_equal(first, select(OofRows(runs, fold, label=label, user=user), 2).weights)


def test_one_run_takes_all_and_users_too_few_for_a_bag_share_alike():
    _, label, fold, user = rows()
    np.testing.assert_array_equal(
        select(OofRows(np.ones((1, ROWS)), fold, label=label, user=user), 0).weights, [1.0]
    )
    none = select(
        OofRows(np.ones((2, 4)), fold[:4], label=np.zeros(4, dtype=bool), user=user[:4]), 0
    )
    np.testing.assert_array_equal(none.weights, [0.5, 0.5])


def test_of_many_runs_each_bag_sees_half(monkeypatch):
    rng, label, fold, user = rows()
    monkeypatch.setattr(greedy, "BAG_RUNS", 2)
    seen = []
    forward = greedy._forward

    def watched(logits, auc):
        seen.append(len(logits))
        return forward(logits, auc)

    monkeypatch.setattr(greedy, "_forward", watched)
    weights = select(
        OofRows(label + rng.normal(size=(8, ROWS)), fold, label=label, user=user), 0
    ).weights
    assert set(seen) == {4}
    assert np.count_nonzero(weights) > 4
