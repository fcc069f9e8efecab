"""mmctr_kit.embed.align: content vectors learned from pairs of items that the same users took."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.align import (
    AlignOptions,
    aligned_fingerprint,
    fit_aligned,
)
from mmctr_kit.embed.content import Content
from mmctr_kit.recipe import load_recipe

OPTIONS = AlignOptions(dims=16, window=8, positives=True, max_history=64)


def every(data: ChallengeData) -> NDArray[np.int64]:
    return np.arange(len(data.train))


@pytest.fixture(scope="module")
def noisy(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The content of ``tiny`` with other text, which one item lacks."""
    text: list[list[float] | None] = np.random.default_rng(0).random((tiny.n_items, 8)).tolist()
    text[4] = None
    path = tmp_path_factory.mktemp("align") / "encoded.parquet"
    column = pa.array(text, pa.list_(pa.float32(), 8))
    pq.write_table(pa.table({"item_id": np.arange(1, tiny.n_items + 1), "text": column}), path)
    return Content(tiny, path)


@pytest.mark.usefixtures("small_alignment")
def test_vectors_have_unit_length_and_items_without_content_have_none(noisy: Content) -> None:
    made = fit_aligned(noisy, OPTIONS, every(noisy.data))
    lengths = np.linalg.norm(made.vectors, axis=1)
    both = noisy.vectors("text").any(axis=1) | noisy.vectors("image").any(axis=1)
    np.testing.assert_array_equal(made.present, both)
    np.testing.assert_array_equal(made.vectors.any(axis=1), both)
    np.testing.assert_allclose(lengths[both], 1, atol=1e-5)
    assert not made.vectors[0].any()


@pytest.mark.slow
@pytest.mark.usefixtures("small_alignment")
def test_the_number_of_threads_changes_no_bit_and_other_users_do(
    noisy: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = every(noisy.data)[: len(noisy.data.train) // 2]
    first = fit_aligned(noisy, OPTIONS, half)
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    try:
        again = fit_aligned(noisy, OPTIONS, half[::-1].copy())
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert first.recall == again.recall
    other = fit_aligned(noisy, OPTIONS, every(noisy.data))
    assert not np.array_equal(first.vectors, other.vectors)


def test_users_who_took_nothing_together_leave_content_where_it_was(tiny: ChallengeData) -> None:
    lonely = fit_aligned(
        Content(tiny), replace(OPTIONS, max_history=1, positives=False), every(tiny)
    )
    assert (lonely.steps, lonely.vectors.any()) == (0, True)


def test_the_fingerprint_covers_options_and_content(tiny: ChallengeData, noisy: Content) -> None:
    changes = ({"dims": 4}, {"window": 3}, {"positives": False}, {"max_history": 9})
    prints = {aligned_fingerprint(Content(tiny), replace(OPTIONS, **c)) for c in ({}, *changes)}
    assert len(prints | {aligned_fingerprint(noisy, OPTIONS)}) == 6


def test_alignment_learns_from_positives_unless_the_recipe_says_otherwise() -> None:
    settings = ("items.embedding=aligned", "items.aligned_dim=7", "items.aligned_window=2")
    options = AlignOptions.of(load_recipe("din_demo", settings))
    assert (options.dims, options.window, options.positives) == (7, 2, True)
    alone = (*settings, "items.factors_from=histories")
    assert not AlignOptions.of(load_recipe("din_demo", alone)).positives
