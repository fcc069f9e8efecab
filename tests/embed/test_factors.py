"""mmctr_kit.embed.factors: item vectors from co-occurrence, against plain loops."""

import shutil
from collections import Counter
from dataclasses import replace
from itertools import combinations
from math import log
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mmctr_kit.data.contexts import Contexts
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.factors import (
    FactorOptions,
    Factors,
    association,
    factorise,
    factors_fingerprint,
    fill,
    fit_factors,
    item_content,
)
from mmctr_kit.recipe import load_recipe
from tests.data.test_contexts import ITEMS, sequences
from tests.items.similarity.test_pairs import contexts_of, crowds

OPTIONS = FactorOptions(dims=6, shrinkage=10.0, positives=False, max_history=64)


@given(crowds(), st.sampled_from([0.0, 1.0, 10.0]), st.sampled_from([3, 4096]))
def test_the_association_is_the_shrunk_positive_pmi_that_a_plain_loop_counts(
    counted: Contexts, shrinkage: float, at_once: int
) -> None:
    users = [set(items) for items in sequences(counted).values()]
    took = Counter(i for items in users for i in items)
    both = Counter(pair for items in users for pair in combinations(sorted(items), 2))
    expected = np.zeros((ITEMS + 1, ITEMS + 1))
    for (i, j), n in both.items():
        pmi = max(0.0, log(n * len(users) / (took[i] * took[j])))
        expected[i, j] = expected[j, i] = pmi * n / (n + shrinkage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmctr_kit.embed.factors._ROWS", at_once)
        matrix = association(counted, shrinkage).toarray()
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    np.testing.assert_array_equal(matrix, matrix.T)


def symmetric(n: int, seed: int, density: float = 0.3) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    half = np.triu(random.random((n, n)) * (random.random((n, n)) < density), 1)
    return half + half.T


@pytest.mark.parametrize(("n", "dims"), [(5, 8), (8, 8), (30, 8), (60, 8)])
def test_the_vectors_are_the_largest_eigenvalues_part_of_the_matrix(n: int, dims: int) -> None:
    matrix = symmetric(n, 1)
    matrix[2] = matrix[:, 2] = 0
    vectors = factorise(csr_array(matrix), dims)
    values, axes = np.linalg.eigh(matrix)
    values[np.argsort(-values)[dims:]] = 0
    gram = (axes * np.maximum(values, 0)) @ axes.T
    np.testing.assert_allclose(vectors @ vectors.T, gram, atol=1e-9)
    assert vectors.shape == (n, dims)
    assert not vectors[2].any()
    squares = (vectors**2).sum(0)
    assert (np.diff(squares) <= 1e-9).all()
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(dims)]
    assert (largest >= 0).all()
    assert vectors.tobytes() == factorise(csr_array(matrix), dims).tobytes()


def test_without_any_pair_all_vectors_are_zero() -> None:
    assert not factorise(association(contexts_of([[1], [2]]), 0.0), 3).any()


def test_only_uncounted_items_with_content_are_filled_by_ridge_regression() -> None:
    random = np.random.default_rng(0)
    content = random.normal(size=(40, 5))
    content[[0, 7, 9]] = 0
    counted = np.arange(40) % 4 != 3
    counted[[0, 9]] = False
    vectors = np.where(counted[:, None], random.normal(size=(40, 3)), 0)
    before = vectors.copy()
    filled = fill(vectors, counted, content)
    assert np.flatnonzero(filled).tolist() == [i for i in range(3, 40, 4) if i != 7]
    np.testing.assert_array_equal(vectors[~filled], before[~filled])
    x, y = content[counted], before[counted]
    centred = x - x.mean(0)
    weight = np.linalg.solve(centred.T @ centred + 10 * np.eye(5), centred.T @ (y - y.mean(0)))
    np.testing.assert_allclose(vectors[filled], y.mean(0) + (content[filled] - x.mean(0)) @ weight)
    assert not fill(before, counted, np.zeros((40, 5))).any()


@pytest.fixture(scope="module")
def half() -> NDArray[np.int64]:
    """Rows of train users who leave some items uncounted."""
    return np.arange(200)


def assert_same(one: Factors, other: Factors) -> None:
    for name, array in vars(one).items():
        assert array.tobytes() == vars(other)[name].tobytes(), name


def test_every_item_is_counted_filled_or_zero(tiny: ChallengeData, half: NDArray[np.int64]) -> None:
    factors = fit_factors(Content(tiny), OPTIONS, half)
    assert factors.vectors.shape == (tiny.n_items + 1, 6)
    assert factors.vectors.dtype == np.float32
    assert factors.counted.any()
    assert factors.filled.any()
    assert not (factors.counted & factors.filled).any()
    some = factors.vectors.any(axis=1)
    np.testing.assert_array_equal(some, factors.counted | factors.filled)
    assert not some[0]
    length = np.linalg.norm(factors.vectors[factors.counted], axis=1)
    assert length.mean() == pytest.approx(1, rel=1e-5)


def test_the_factors_are_a_function_of_the_users_and_not_of_the_cache_or_the_order(
    tiny: ChallengeData,
    half: NDArray[np.int64],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = fit_factors(Content(tiny), OPTIONS, half)
    assert_same(fit_factors(Content(tiny), OPTIONS, half), one)
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path))
    assert_same(fit_factors(Content(tiny), OPTIONS, half[::-1]), one)
    assert not np.array_equal(fit_factors(Content(tiny), OPTIONS, half[40:]).vectors, one.vectors)


@pytest.mark.parametrize("positives", [False, True])
def test_users_outside_are_not_counted_and_labels_only_if_positives_are(
    tiny: ChallengeData, half: NDArray[np.int64], positives: bool
) -> None:
    options = replace(OPTIONS, positives=positives)

    def of(label: NDArray[np.int8], values: NDArray[np.int32]) -> Factors:
        train = replace(tiny.train, label=label)
        histories = replace(tiny.histories, values=values)
        data = replace(tiny, rows={**tiny.rows, "train": train}, histories=histories)
        return fit_factors(Content(data), options, half)

    label, values = tiny.train.labels(), tiny.histories.values
    one = of(label, values)
    inside = np.zeros(len(tiny.histories), np.bool_)
    inside[tiny.train.history[half]] = True
    outside = np.repeat(~inside, tiny.histories.lengths)
    assert_same(of(label, np.where(outside, 1 + values % tiny.n_items, values)), one)
    others = label.copy()
    others[len(half) :] = 1 - label[len(half) :]
    assert_same(of(others, values), one)
    flipped = of(1 - label, values)
    assert np.array_equal(flipped.vectors, one.vectors) is not positives


def test_cold_items_are_filled_from_tags_if_the_folder_has_no_text_and_no_image(
    tiny_root: Path, tmp_path: Path, half: NDArray[np.int64]
) -> None:
    folder = Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))
    (folder / FILES["item_feature"].path).unlink()
    data = load(folder)
    content = item_content(Content(data))
    assert content.shape == (data.n_items + 1, data.n_tags)
    factors = fit_factors(Content(data), OPTIONS, half)
    tagged = data.item_tags.any(axis=1)
    np.testing.assert_array_equal(factors.filled, tagged & ~factors.counted)
    blank = replace(data, item_tags=np.zeros_like(data.item_tags))
    factors = fit_factors(Content(blank), OPTIONS, half)
    assert not factors.filled.any()
    assert not factors.vectors[~factors.counted].any()


def test_content_is_scaled_modality_by_modality(tiny: ChallengeData) -> None:
    content = item_content(Content(tiny))
    for part in np.split(content, [768], axis=1):
        assert part.astype(np.float64).var(axis=0).sum() == pytest.approx(1, rel=1e-3)


def test_the_fingerprint_covers_the_settings_and_the_content(
    tiny: ChallengeData, tiny_root: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))
    path = folder / FILES["item_feature"].path
    pq.write_table(pq.read_table(path).drop_columns(["img_emb_CLIPRN50"]), path)
    found = {
        factors_fingerprint(Content(tiny), OPTIONS),
        factors_fingerprint(Content(tiny), replace(OPTIONS, max_history=9)),
    }
    found.add(factors_fingerprint(Content(load(folder)), OPTIONS))
    for change in ({"dims": 7}, {"shrinkage": 1.0}, {"positives": True}):
        found.add(factors_fingerprint(Content(tiny), replace(OPTIONS, **change)))
    assert len(found) == 6


@pytest.mark.parametrize(("settings", "positives"), [((), True), (("histories",), False)])
def test_positives_are_counted_unless_the_recipe_says_otherwise(
    settings: tuple[str, ...], positives: bool
) -> None:
    said = [f"items.factors_from={setting}" for setting in settings]
    recipe = load_recipe("din_demo", ["items.embedding=factors", *said])
    longest = recipe.training.max_history
    assert FactorOptions.of(recipe) == FactorOptions(64, 10.0, positives, longest)
