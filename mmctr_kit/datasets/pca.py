"""PCA for the given embeddings v1, v2, v3 and e4 of the challenge, in float64.

All items but the padding row are in the fit. A missing modality is a zero vector, as in the
challenge, so after centring it is not zero: that is how the challenge's own embeddings are.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from mmctr_kit.data.contract import GIVEN_DIM, GivenEmbedding
from mmctr_kit.metrics.ranks import Floats, Floats32

_CHUNK = 4_096
_ROUNDING = 1e-12
"""A component of less than this share of the largest variance is a zero's rounding error."""


def given_embeddings(
    text: Floats32 | None, image: Floats32 | None, workers: int
) -> dict[GivenEmbedding, Floats32]:
    """The given embeddings, (n_items, 128) float32 each, of ``text`` and ``image`` rows.

    v1 and v2 are PCA of text and of image, v3 of both side by side, e4 the first 64 components of
    v1 and of v2 side by side. Where fewer components exist the last columns are 0. Without text or
    without image there is only v2 or only v1.
    """
    if text is None or image is None:
        alone: dict[GivenEmbedding, Floats32 | None] = {"v1": text, "v2": image}
        return {v: _pca([x], workers)[0] for v, x in alone.items() if x is not None}
    v1, v2, v3 = _pca([text, image], workers)
    half = GIVEN_DIM // 2
    return {"v1": v1, "v2": v2, "v3": v3, "e4": np.hstack([v1[:, :half], v2[:, :half]])}


def _pca(modalities: Sequence[Floats32], workers: int) -> list[Floats32]:
    """The scores of each modality and, of several, those of all side by side."""
    few = len(modalities[0]) < sum(x.shape[1] for x in modalities)
    return _by_gram(modalities) if few else _by_covariance(modalities, workers)


def _by_gram(modalities: Sequence[Floats32]) -> list[Floats32]:
    """Few items: the scores come from the items' inner products, and those add up."""
    centred = (x - x.mean(axis=0, dtype=np.float64) for x in modalities)
    grams = [x @ x.T for x in centred]
    if len(grams) > 1:
        grams.append(sum(grams[1:], start=grams[0]))
    count = min(GIVEN_DIM, len(modalities[0]) - 1)
    leading = [_leading(gram, count) for gram in grams]
    return [_finish(vectors * np.sqrt(np.maximum(values, 0.0))) for values, vectors in leading]


def _by_covariance(modalities: Sequence[Floats32], workers: int) -> list[Floats32]:
    """Many items: the covariances of text and of image are blocks of the joint one."""
    mean = np.concatenate([x.mean(axis=0, dtype=np.float64) for x in modalities])
    cuts = np.cumsum([0, *(x.shape[1] for x in modalities)]).tolist()
    views = [slice(a, b) for a, b in pairwise(cuts)]
    if len(views) > 1:
        views.append(slice(0, len(mean)))

    def centred(start: int) -> Floats:
        part = slice(start, start + _CHUNK)
        return np.asarray(np.hstack([x[part] for x in modalities]) - mean)

    def products(start: int) -> Floats:
        x = centred(start)
        return np.asarray(x.T @ x)

    def scores(start: int) -> list[Floats]:
        x = centred(start)
        return [x[:, view] @ a for view, a in zip(views, axes, strict=True)]

    starts = range(0, len(modalities[0]), _CHUNK)
    covariance = np.zeros((len(mean), len(mean)))
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for product in pool.map(products, starts):
            covariance += product
        axes = list(pool.map(lambda v: _leading(covariance[v, v], GIVEN_DIM)[1], views))
        parts = list(pool.map(scores, starts))
    return [_finish(np.concatenate(s)) for s in zip(*parts, strict=True)]


def _leading(symmetric: Floats, count: int) -> tuple[Floats, Floats]:
    """The ``count`` largest eigenvalues (count,), largest first, and their vectors (d, count)."""
    values, vectors = np.linalg.eigh(symmetric)
    return values[::-1][:count], vectors[:, ::-1][:, :count]


def _finish(scores: Floats) -> Floats32:
    """(n, 128) float32: a fixed sign (largest entry positive), zeros where components end."""
    largest = scores[np.abs(scores).argmax(axis=0), np.arange(scores.shape[1])]
    out = np.zeros((len(scores), GIVEN_DIM), np.float32)
    power = (scores**2).sum(axis=0)
    signs = np.where(largest < 0, -1.0, 1.0)
    out[:, : scores.shape[1]] = scores * np.where(power > _ROUNDING * power.max(), signs, 0.0)
    return out
