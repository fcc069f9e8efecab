"""mmctr_kit.items.similarity.ease: its weights against ridge regressions solved one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contexts import Contexts
from mmctr_kit.items.similarity import ease as ease_module
from mmctr_kit.items.similarity.ease import Ease, fit_ease
from tests.data.test_contexts import ITEMS, sequences
from tests.items.similarity.test_pairs import contexts_of, crowds

ALL = ITEMS + 5
penalties = st.sampled_from([0.3, 2.0, 200.0])


def matrix(found: Contexts) -> NDArray[np.float64]:
    """X (users, n_items + 1)."""
    x = np.zeros((len(found.users), ITEMS + 1))
    for row, items in enumerate(sequences(found).values()):
        x[row, items] = 1
    return x


def ridge(x: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    """(n, n) B with B[h, t] the weight of h in the ridge regression of t on all other columns,
    which is what minimises |X - XB|^2 + l2 |B|^2 with a diagonal of zeros."""
    n = x.shape[1]
    b = np.zeros((n, n))
    for t in range(n):
        rest = np.delete(np.arange(n), t)
        others = x[:, rest]
        b[rest, t] = np.linalg.solve(others.T @ others + l2 * np.eye(n - 1), others.T @ x[:, t])
    return b


def fit(found: Contexts, items: int, l2: float) -> Ease:
    return fit_ease(found, np.bincount(found.items, minlength=ITEMS + 1), items, l2)


def weights(ease: Ease, number: int) -> NDArray[np.float32]:
    """(n_items + 1, n_items + 1) the weight of every history item for every target."""
    item, target = (x.ravel() for x in np.indices((ITEMS + 1, ITEMS + 1)))
    found = ease.weights(np.full(len(item), number), target, item)
    assert found.dtype == np.float32
    return found.reshape(ITEMS + 1, ITEMS + 1)


def assert_close(found: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(crowds(), penalties)
def test_weights_are_those_of_a_ridge_regression_on_the_other_items(
    found: Contexts, l2: float
) -> None:
    assert_close(weights(fit(found, ALL, l2), -1), ridge(matrix(found), l2))


@settings(deadline=None, max_examples=25)
@given(crowds(), penalties)
def test_a_counted_users_weights_are_those_of_a_fit_without_their_row(
    found: Contexts, l2: float
) -> None:
    ease, x = fit(found, ALL, l2), matrix(found)
    for number in range(len(found.users)):
        assert_close(weights(ease, number), ridge(np.delete(x, number, axis=0), l2))


@settings(deadline=None, max_examples=25)
@given(crowds(), st.integers(1, ITEMS), penalties)
def test_items_beyond_the_most_frequent_have_weight_zero_and_no_part_in_the_others(
    found: Contexts, items: int, l2: float
) -> None:
    x = matrix(found)
    chosen = np.argsort(-x.sum(0), kind="stable")[:items]
    covered = np.zeros_like(x)
    covered[:, chosen] = x[:, chosen]
    ease = fit(found, items, l2)
    assert_close(weights(ease, -1), ridge(covered, l2))
    for number in range(len(found.users)):
        assert_close(weights(ease, number), ridge(np.delete(covered, number, axis=0), l2))


@settings(deadline=None, max_examples=25)
@given(crowds(), st.integers(1, 20))
def test_weights_do_not_depend_on_the_size_of_chunks(found: Contexts, size: int) -> None:
    whole = fit(found, ALL, 2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ease_module, "_EXPAND", size)
        parts = fit(found, ALL, 2.0)
        in_parts = [weights(parts, number) for number in range(len(found.users))]
    np.testing.assert_allclose(parts.leverage, whole.leverage, atol=1e-12)
    for number, found_in_parts in enumerate(in_parts):
        np.testing.assert_allclose(found_in_parts, weights(whole, number), atol=1e-6)


def test_an_item_says_nothing_of_itself() -> None:
    ease = fit(contexts_of([[1, 2, 3], [1, 2], [3, 4]]), ALL, 1.0)
    for number in (-1, 0, 1, 2):
        assert not np.diag(weights(ease, number)).any()


@settings(deadline=None, max_examples=25)
@given(crowds(), penalties)
def test_where_nobody_else_has_an_item_its_weights_are_exactly_zero(
    found: Contexts, l2: float
) -> None:
    ease, x = fit(found, ALL, l2), matrix(found)
    for number in range(len(found.users)):
        alone = np.delete(x, number, axis=0).sum(0) == 0
        assert not weights(ease, number)[alone].any()
        assert not weights(ease, number)[:, alone].any()


def test_rows_of_several_users_are_read_together() -> None:
    ease = fit(contexts_of([[1, 2, 3], [1, 2], [3, 4], [2, 3], [1, 4]]), ALL, 1.0)
    number, target, item = np.array([2, -1, 0, 2]), np.array([3, 1, 2, 4]), np.array([2, 2, 1, 1])
    found = ease.weights(number, target, item)
    expected = [weights(ease, n)[i, t] for n, t, i in zip(number, target, item, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(set(found.tolist())) == 4


@pytest.mark.parametrize("histories", [[], [[]]], ids=["no users", "no items"])
def test_where_nothing_was_counted_every_weight_is_zero(histories: list[list[int]]) -> None:
    ease = fit(contexts_of(histories), ALL, 1.0)
    for number in (-1, *range(len(histories))):
        assert not weights(ease, number).any()
