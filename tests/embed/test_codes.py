"""mmctr_kit.embed.codes: balanced, deterministic, and closer to the vectors level by level."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.codes import Codes, codes_fingerprint, quantise
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.factors import FactorOptions, fit_factors
from mmctr_kit.recipe import Codes as CodeOptions

Vectors = NDArray[np.float32]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path))
    return tmp_path


def drawn(items: int = 500, width: int = 8, seed: int = 0) -> Vectors:
    """Vectors of a skewed mixture: half of the items are close together. Row 0 is padding."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(items + 1, width)).astype(np.float32)
    vectors[: items // 2] = vectors[1] + 0.05 * vectors[: items // 2]
    vectors[0] = 0
    return vectors


def test_an_item_without_vector_has_no_code_and_all_others_have_one_at_each_level() -> None:
    vectors = drawn()
    vectors[[7, 300]] = 0
    codes = quantise(vectors, 3, 16).codes
    assert codes.shape == (501, 3)
    assert codes.dtype == np.int64
    assert np.flatnonzero((codes == 0).any(axis=1)).tolist() == [0, 7, 300]
    assert not codes[[0, 7, 300]].any()
    assert codes.min(initial=99, where=codes > 0) == 1
    assert codes.max() == 16


def test_each_level_leaves_less_of_the_vectors_and_the_codes_say_how_much() -> None:
    vectors = drawn()
    quantised = quantise(vectors, 4, 16)
    assert (np.diff([1, *quantised.error]) < 0).all()
    # The best reconstruction from the codes leaves at most what is reported.
    rest = vectors[1:] - vectors[1:].mean(0)
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    whole = np.square(rest).sum()
    for level, error in enumerate(quantised.error):
        for code in range(1, 17):
            mine = quantised.codes[1:, level] == code
            rest[mine] -= rest[mine].mean(0)
        assert np.square(rest).sum() / whole == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("what", ["text", "image", "factors", "embedding"])
def test_every_level_uses_most_of_its_codebook(what: Any, tiny: ChallengeData) -> None:
    if what == "factors":
        options = FactorOptions(16, 10.0, True, 64)
        vectors = fit_factors(Content(tiny), options, np.arange(len(tiny.train))).vectors
    else:
        vectors = tiny.item_emb if what == "embedding" else Content(tiny).vectors(what)
    for level in quantise(vectors, 3, 16).levels():
        assert level.perplexity > 0.6
        assert level.largest < 0.25


def test_equal_vectors_have_equal_codes() -> None:
    vectors = drawn(100)
    vectors[51:] = vectors[1:51]
    codes = quantise(vectors, 3, 8).codes
    assert np.array_equal(codes[51:], codes[1:51])


def test_lengths_of_vectors_change_no_code_if_their_mean_is_zero() -> None:
    half = drawn(60)[1:]
    vectors = np.vstack([0 * half[:1], half, -half])
    assert np.array_equal(quantise(2 * vectors, 2, 8).codes, quantise(vectors, 2, 8).codes)


def test_fewer_distinct_items_than_codes_are_told_apart() -> None:
    vectors = np.repeat(np.eye(5, dtype=np.float32), 3, axis=0)
    vectors[:3] = 0
    quantised = quantise(vectors, 2, 64)
    first = quantised.codes[:, 0].reshape(5, 3)
    assert (first == first[:, :1]).all()
    assert len(set(first[:, 0])) == 5
    assert quantised.error[-1] == pytest.approx(0, abs=1e-6)


def test_without_any_vector_there_is_no_code_and_no_figure() -> None:
    quantised = quantise(np.zeros((4, 3), np.float32), 2, 8)
    assert not quantised.codes.any()
    assert np.isnan([level.perplexity for level in quantised.levels()]).all()


@pytest.mark.slow
def test_neither_another_process_nor_its_threads_change_a_code(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", drawn(3000, 32))
    script = (
        "import sys, numpy as np; from mmctr_kit.embed.codes import quantise; "
        "sys.stdout.write(repr(quantise(np.load(sys.argv[1]), 2, 32).codes.tobytes()))"
    )
    seen = []
    for threads in ("1", "3"):
        environment = {
            "OMP_NUM_THREADS": threads,
            "MMCTR_KIT_CACHE": str(tmp_path / threads),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        command = [sys.executable, "-c", script, str(tmp_path / "vectors.npy")]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        seen.append(done.stdout)
    assert seen[0] == seen[1]
    assert len(seen[0]) > 1000


def test_codes_are_made_once_for_equal_vectors(cache: Path) -> None:
    one = quantise(drawn(), 2, 8)
    entries = sorted(cache.glob("codes-*"))
    again = quantise(drawn(), 2, 8)
    assert np.array_equal(one.codes, again.codes)
    assert sorted(cache.glob("codes-*")) == entries
    assert len(entries) == 1
    assert not np.array_equal(one.codes, quantise(drawn(seed=1), 2, 8).codes)


def test_a_report_by_eye() -> None:
    """Items 1 to 4 have codes; two of them have all codes in common."""
    codes = np.array([[0, 0], [1, 1], [1, 2], [2, 1], [2, 1], [0, 0]])
    first, second = Codes(codes, np.array([0.5, 0.25]), 4).levels()
    assert (first.perplexity, first.largest, first.collisions) == (pytest.approx(2 / 4), 0.5, 1)
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert second.perplexity == pytest.approx(np.exp(entropy) / 4)
    assert (second.largest, second.collisions, second.error) == (0.75, 0.5, 0.25)


def test_the_fingerprint_covers_levels_and_size() -> None:
    options = [CodeOptions(of="text", levels=n, size=s) for n, s in ((3, 64), (2, 64), (3, 32))]
    assert len({codes_fingerprint(o) for o in options}) == 3


def test_the_fingerprint_and_the_cache_know_the_library_that_clusters(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, vectors = CodeOptions(of="text"), np.zeros((3, 2), np.float32)
    before = codes_fingerprint(options)
    quantise(vectors, 1, 2)
    monkeypatch.setattr("mmctr_kit.embed.codes.find_spec", lambda _: None)
    without = codes_fingerprint(options)
    quantise(vectors, 1, 2)
    monkeypatch.setattr("mmctr_kit.embed.codes.find_spec", lambda _: object())
    assert codes_fingerprint(options) != without
    assert before in (without, codes_fingerprint(options))
    quantise(vectors, 1, 2)
    assert len(sorted(cache.glob("codes-*"))) == 2
