"""PCA: scikit-learn's up to sign, whatever the shape, rank, slice and number of cores."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA as Reference  # noqa: N811

from mmctr_kit.embed import pca as module
from mmctr_kit.embed.pca import fit_pca, project

Floats32 = NDArray[np.float32]


def vectors(n: int, width: int, falloff: float = 0.5, seed: int = 0) -> Floats32:
    """Correlated columns with means of their own; ``falloff`` is the decline of the spectrum."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n, width)) * np.arange(1, width + 1) ** -falloff
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0]
    return (latent @ turn + rng.standard_normal(width)).astype(np.float32)


def constant_columns() -> Floats32:
    x = vectors(120, 30)
    x[:, [0, 7, 29]] = [0.0, 3.25, -1e4]
    return x


def some_zero_rows() -> Floats32:
    x = vectors(150, 25)
    x[::10] = 0
    return x


SHAPES = {
    "more items than width": vectors(400, 40),
    "fewer items than width": vectors(30, 90),
    "as many items as width": vectors(50, 50),
    "constant columns": constant_columns(),
    "items without the modality": some_zero_rows(),
    "a steep spectrum": vectors(300, 20, falloff=4.0),
    "a far mean": vectors(200, 16) + np.float32(1000),
}


@pytest.fixture(params=[10_000, 37], ids=["one chunk", "many chunks"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", request.param)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_scores_equal_scikit_learns_up_to_sign(name: str, whiten: bool) -> None:
    x = SHAPES[name]
    pca = fit_pca([x])
    dims = int((pca.variance > 0).sum())
    theirs = Reference(dims, whiten=whiten, svd_solver="full").fit(x.astype(np.float64))
    expected = theirs.transform(x.astype(np.float64))
    found = project(pca, [x], dims, whiten)
    signs = np.sign((found * expected).sum(axis=0))
    size = np.linalg.norm(expected, axis=0)
    assert (np.linalg.norm(found * signs - expected, axis=0) <= 1e-6 * size).all()
    np.testing.assert_allclose(pca.variance[:dims], theirs.explained_variance_, rtol=1e-6)
    np.testing.assert_allclose(pca.mean, theirs.mean_, rtol=1e-12, atol=1e-12)
    share = theirs.explained_variance_ratio_.cumsum()
    np.testing.assert_allclose([pca.explained(d + 1) for d in range(dims)], share, rtol=1e-6)


@pytest.mark.usefixtures("chunk")
def test_parts_side_by_side_are_one_unscaled_concatenation() -> None:
    text, image = vectors(200, 12), 3 * vectors(200, 20, seed=1)
    whole = np.hstack([text, image])
    apart, together = fit_pca([text, image]), fit_pca([whole])
    np.testing.assert_array_equal(apart.components, together.components)
    np.testing.assert_array_equal(
        project(apart, [text, image], 9, False), project(together, [whole], 9, False)
    )


@pytest.mark.parametrize("name", SHAPES)
def test_the_largest_loading_is_positive_so_a_sign_never_flips(name: str) -> None:
    for x in (SHAPES[name], -SHAPES[name]):
        components = fit_pca([x]).components
        real = components[components.any(axis=1)]
        largest = np.abs(real).argmax(axis=1)
        assert (real[np.arange(len(real)), largest] > 0).all()


def test_fewer_dimensions_are_a_slice_of_more() -> None:
    x = vectors(100, 30)
    pca = fit_pca([x])
    for whiten in (False, True):
        all_of_them = project(pca, [x], 30, whiten)
        np.testing.assert_allclose(project(pca, [x], 7, whiten), all_of_them[:, :7], atol=1e-13)


@pytest.mark.parametrize("whiten", [False, True])
def test_columns_beyond_the_rank_are_exactly_zero(whiten: bool) -> None:
    x = np.repeat(vectors(200, 4), 3, axis=1)
    few = vectors(6, 10)
    for values, rank in ((x, 4), (few, 5), (np.full((9, 5), 2.5, np.float32), 0)):
        width = values.shape[1]
        scores = project(fit_pca([values]), [values], width, whiten)
        assert np.isfinite(scores).all()
        assert scores[:, :rank].any(axis=0).all()
        assert not scores[:, rank:].any()


def test_one_item_alone_is_at_the_centre() -> None:
    x = vectors(1, 8)
    pca = fit_pca([x])
    assert pca.explained(3) == 1.0
    assert not project(pca, [x], 8, True).any()


def test_more_dimensions_than_width_are_refused() -> None:
    x = vectors(40, 8)
    with pytest.raises(ValueError, match="9 dimensions of vectors of 8"):
        project(fit_pca([x]), [x], 9, False)


def test_the_number_of_cores_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 64)
    x = vectors(900, 50)
    found = []
    for cores in (1, 5):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        pca = fit_pca([x])
        found.append((pca.components.tobytes(), project(pca, [x], 20, True).tobytes()))
    assert found[0] == found[1]


@given(n=st.integers(2, 40), width=st.integers(1, 30), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_at_full_width_pca_is_a_rotation(n: int, width: int, seed: int) -> None:
    x = vectors(n, width, seed=seed)
    scores = project(fit_pca([x]), [x], width, False)
    centred = x - x.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(scores @ scores.T, centred @ centred.T, atol=1e-9)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-9)
