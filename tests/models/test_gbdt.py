"""mmctr_kit.models.gbdt: trees grown in chunks."""

from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from mmctr_kit.errors import UsageError
from mmctr_kit.models.gbdt import GBDT, Trees
from mmctr_kit.recipe import load_recipe

ROWS, COLUMNS = 400, 6
WHOLE = {"feature_share": 1.0, "row_share": 1.0, "leaf_rows": 5}
"""Options with which nothing is drawn at random."""


@pytest.fixture(scope="module")
def matrix() -> NDArray[np.float32]:
    """(ROWS, COLUMNS), a tenth of it NaN."""
    random = np.random.default_rng(0)
    values = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    values[random.random(values.shape) < 0.1] = np.nan
    return values


@pytest.fixture(scope="module")
def label(matrix: NDArray[np.float32]) -> NDArray[np.int8]:
    odds = np.nan_to_num(matrix) @ np.array([1.5, -1.0, 0.5, 0.5, 0, 0])
    noise = np.random.default_rng(1).logistic(size=ROWS)
    return (odds + noise > 0).astype(np.int8)


def grow(
    model: GBDT,
    matrix: NDArray[np.float32],
    label: NDArray[np.int8],
    chunks: int = 1,
    rate: float = 0.1,
    seed: int = 3,
    threads: int = 1,
) -> tuple[list[bytes], NDArray[np.float64]]:
    """The chunks, and the rows' logits after the last, from 0."""
    dataset, scores = model.dataset(matrix, label), np.zeros(len(matrix))
    texts = []
    for chunk in range(chunks):
        texts.append(model.chunk(dataset, scores, rate, seed + chunk, threads))
        scores = scores + Trees(texts[-1]).predict(matrix, threads)
    return texts, scores


def trees_of(text: bytes) -> list[dict[str, Any]]:
    dumped = lightgbm.Booster(model_str=text.decode()).dump_model()
    return [tree["tree_structure"] for tree in dumped["tree_info"]]


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for side in ("left_child", "right_child"):
        if side in tree:
            yield from nodes(tree[side])


def leaves(tree: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in nodes(tree) if "leaf_value" in node]


def test_chunks_one_after_another_are_one_boosting_of_all_their_rounds(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    _, scores = grow(GBDT(rounds=4, leaves=6, l2=2.0, **WHOLE), matrix, label, chunks=3)
    # LightGBM's own loop, from the same start.
    options = {"objective": "binary", "boost_from_average": False, "learning_rate": 0.1}
    options |= {"num_leaves": 6, "min_data_in_leaf": 5, "lambda_l2": 2.0, "num_threads": 1}
    dataset = lightgbm.Dataset(matrix, label=label, params={"min_data_in_leaf": 5})
    whole = lightgbm.train(options | {"verbosity": -1}, dataset, 12)
    np.testing.assert_allclose(scores, whole.predict(matrix, raw_score=True), rtol=1e-4, atol=1e-5)


def test_a_chunk_depends_on_its_scores_and_seed_and_not_on_the_chunks_grown_before(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    model = GBDT(rounds=3, leaves=4, leaf_rows=5)
    dataset = model.dataset(matrix, label)
    start, other = np.zeros(ROWS), np.linspace(-1, 1, ROWS)
    first = model.chunk(dataset, start, 0.1, 5, 1)
    assert model.chunk(dataset, other, 0.1, 5, 1) != first
    assert model.chunk(dataset, start, 0.1, 6, 1) != first
    assert model.chunk(dataset, start, 0.1, 5, 1) == first


def test_a_seed_may_be_larger_than_lightgbm_takes(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    model = GBDT(rounds=2, leaves=4, leaf_rows=5)
    large, small = (grow(model, matrix, label, seed=s)[0] for s in (2**63 + 2**31 * 5 + 9, 9))
    assert large == small


def test_the_number_of_threads_changes_no_tree(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    model = GBDT(rounds=3, leaves=6, leaf_rows=5)
    one, two = (grow(model, matrix, label, threads=threads) for threads in (1, 2))
    assert trees_of(one[0][0]) == trees_of(two[0][0])
    np.testing.assert_array_equal(one[1], two[1])


def test_trees_are_as_many_as_large_and_as_full_as_the_options_say(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    options = {**WHOLE, "leaf_rows": 40}
    texts, _ = grow(GBDT(rounds=5, leaves=4, **options), matrix, label)
    trees = trees_of(texts[0])
    assert len(trees) == 5
    assert max(len(leaves(tree)) for tree in trees) == 4
    assert min(leaf["leaf_count"] for tree in trees for leaf in leaves(tree)) >= 40


def test_each_tree_draws_its_rows_and_its_features(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    model = GBDT(rounds=12, leaves=8, leaf_rows=5, row_share=0.5, feature_share=0.5)
    trees = trees_of(grow(model, matrix, label)[0][0])
    drawn = [tree["internal_count"] for tree in trees]
    assert len(set(drawn)) > 1
    assert np.mean(drawn) == pytest.approx(ROWS / 2, rel=0.1)
    used = [{n["split_feature"] for n in nodes(tree) if "split_feature" in n} for tree in trees]
    assert max(map(len, used)) == COLUMNS // 2
    assert len(set(map(frozenset, used))) > 1


def test_leaves_are_newton_steps_with_the_penalty_times_the_learning_rate(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    """A leaf of n rows, k of them positive, at logit 0: gradients sum to n / 2 - k, curvatures to
    n / 4."""
    for l2, rate in ((0.0, 0.1), (30.0, 0.1), (30.0, 0.4)):
        model = GBDT(rounds=1, leaves=5, l2=l2, **WHOLE)
        texts, scores = grow(model, matrix, label, rate=rate)
        values = np.unique(scores)
        assert len(values) == len(leaves(trees_of(texts[0])[0])) == 5
        for value in values:
            n, k = np.sum(scores == value), label[scores == value].sum()
            assert value == pytest.approx(rate * (k - n / 2) / (n / 4 + l2), rel=1e-5)


def test_trees_predict_what_they_were_when_grown(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    (text,), scores = grow(GBDT(rounds=4, leaves=6, leaf_rows=5), matrix, label)
    trees = Trees(text)
    actual = trees.predict(matrix, 1)
    assert actual.dtype == np.float64
    assert np.array_equal(actual, scores)
    assert np.isfinite(actual).all()
    assert np.array_equal(trees.predict(matrix[::-1], 1), scores[::-1])
    total = np.zeros(ROWS)
    for tree in trees_of(text):
        total += [walk(tree, row) for row in matrix.astype(np.float64).tolist()]
    np.testing.assert_allclose(actual, total, rtol=1e-9, atol=1e-12)


def walk(node: dict[str, Any], row: list[float]) -> float:
    """The value of the leaf that the row falls into; NaN goes where the node says."""
    while "leaf_value" not in node:
        value = row[node["split_feature"]]
        left = node["default_left"] if value != value else value <= node["threshold"]
        node = node["left_child" if left else "right_child"]
    return float(node["leaf_value"])


def test_boosting_learns_what_the_labels_say(
    matrix: NDArray[np.float32], label: NDArray[np.int8]
) -> None:
    _, scores = grow(GBDT(rounds=30, leaves=6, leaf_rows=5), matrix, label)
    assert np.mean((scores > 0) == label) > 0.8


def test_fewer_than_two_groups_of_users_are_refused() -> None:
    with pytest.raises(UsageError, match=r"model\.groups.*2"):
        load_recipe("gbdt_demo", ["model.groups=1"])
