"""Codes of item vectors: residual k-means with balanced clusters.

Each level clusters what the levels before leave of the vectors (residual quantisation: Chen, Guan
and Wang, Sensors 2010), so an item's codes c1, c2, ... say more and more exactly where its vector
points. Vectors are centred and scaled to unit length first.

Plain k-means spends the codebooks of later levels on a few outliers: on the texts of MovieLens 100K
the codes of the third of three levels of 64 have the perplexity of 29 equally frequent ones. So
each level's clusters are balanced by entropic optimal transport (Cuturi, NeurIPS 2013, with
Sinkhorn's iterations): a code that is taken too often costs more, and equal vectors still have
equal codes. There the perplexity is 54 then, fewer items share all their codes, and the vectors
are approximated about as well.
"""

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mmctr_kit.data.cache import cached
from mmctr_kit.data.hashing import digest, fingerprint
from mmctr_kit.metrics.ranks import Flags, Floats, Floats32, Ints
from mmctr_kit.recipe import Codes as CodeOptions

_FORMAT = 1
_SEED = 0
_POINTS = 256
"""The most items per code that the first clusters are fitted on, as in faiss."""
_SOFTNESS = 0.2
"""The temperature of the transport, in mean excesses of squared distance over the nearest code's.
With 0.05 perplexities rise by 0.06 of the codebook, and a fifth more of the texts' length is left
over."""
_ROUNDS, _SINKHORN = 10, 30


@dataclass(frozen=True)
class Level:
    """How evenly a level uses its codes; shares are of the items that have codes.

    ``perplexity`` is exp(entropy) of the codes' shares, divided by the size of the codebook: 1 if
    all are equally frequent. ``largest`` is the share of the most frequent code. ``collisions`` is
    the share of items that some other item shares its codes with, up to this level. ``error`` is
    the share of the squared length of the centred unit vectors that this level leaves over.
    """

    perplexity: float
    largest: float
    collisions: float
    error: float


@dataclass(frozen=True)
class Codes:
    """``codes`` (n_items + 1, levels) int64, 1..``size``, and 0 for an item without vector.

    ``error`` (levels,) is as in :class:`Level`.
    """

    codes: Ints
    error: Floats
    size: int

    def levels(self) -> list[Level]:
        """How evenly each level uses its codes; NaN if no item has codes."""
        codes = self.codes[self.codes[:, 0] > 0]
        if not len(codes):
            return [Level(np.nan, np.nan, np.nan, np.nan)] * len(self.error)
        levels = []
        for level, error in enumerate(self.error.tolist()):
            share = np.unique_counts(codes[:, level]).counts / len(codes)
            perplexity = float(np.exp(-(share * np.log(share)).sum())) / self.size
            _, prefix, alike = np.unique(
                codes[:, : level + 1], axis=0, return_inverse=True, return_counts=True
            )
            collisions = float((alike[prefix] > 1).mean())
            levels.append(Level(perplexity, float(share.max()), collisions, error))
        return levels


def library() -> str:
    """What finds a level's first clusters: faiss if it is installed, else scikit-learn."""
    return "faiss" if find_spec("faiss") else "scikit-learn"


def quantise(vectors: Floats32, levels: int, size: int) -> Codes:
    """The codes of (n_items + 1, d) item vectors; an item whose vector is all zeros has none.

    They depend on nothing else but :func:`library`, and not on the number of threads.
    """
    has: Flags = np.any(vectors != 0, axis=1)
    settings = {
        "vectors": digest("{shape}", vectors=np.asarray(vectors)),
        "levels": levels,
        "size": size,
        "library": library(),
        "format": _FORMAT,
    }

    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        codes, error = np.zeros((len(vectors), levels), np.int64), np.full(levels, np.nan)
        if has.any():
            with threadpool_limits(limits=1):
                codes[has], error = _residual(_centred(vectors[has]), levels, size)
        return {"codes": codes, "error": error}, {}

    arrays, _ = cached("codes", {}, settings, build)
    return Codes(**arrays, size=size)


def codes_fingerprint(options: CodeOptions) -> str:
    """The sha256 of all that codes depend on besides the vectors."""
    return fingerprint(options.levels, options.size, library(), _FORMAT)


def _centred(vectors: Floats32) -> Floats32:
    """The vectors (n, d) less their mean, scaled to unit length."""
    rest = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.asarray(rest / np.where(length > 0, length, 1), np.float32)


def _residual(rest: Floats32, levels: int, size: int) -> tuple[Ints, Floats]:
    """The codes (n, levels) of vectors (n, d), and the share of squared length that each leaves."""
    codes, error = np.zeros((len(rest), levels), np.int64), np.zeros(levels)
    whole = _squares(rest).sum() or 1.0
    for level in range(levels):
        labels, centroids = _balanced(rest, _clusters(rest, size))
        rest = rest - centroids[labels]
        codes[:, level] = labels + 1
        error[level] = _squares(rest).sum() / whole
    return codes, error


def _clusters(points: Floats32, size: int) -> Floats32:
    """The centroids (k, d) of points (n, d) by k-means; k is ``size``, or n if that is less."""
    random = np.random.default_rng(_SEED)
    most = min(len(points), _POINTS * size)
    sample = points[np.sort(random.permutation(len(points))[:most])]
    k = min(size, len(sample))
    if library() == "faiss":
        import faiss

        kmeans = faiss.Kmeans(sample.shape[1], k, seed=_SEED, min_points_per_centroid=1, niter=25)
        kmeans.train(np.ascontiguousarray(sample))
        return np.asarray(kmeans.centroids, np.float32)
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer distinct points than clusters: some clusters are equal, and all but one stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(k, n_init=1, random_state=_SEED).fit(sample)
    return np.asarray(fitted.cluster_centers_, np.float32)


def _balanced(points: Floats32, centroids: Floats32) -> tuple[Ints, Floats32]:
    """Labels (n,) of points (n, d) and centroids (k, d) of clusters of about equal size."""
    from scipy.sparse import csr_array

    n, k = len(points), len(centroids)
    labels = np.zeros(n, np.int64)
    for _ in range(_ROUNDS):
        distance = _squares(centroids) - 2 * (points @ centroids.T)
        distance -= distance.min(axis=1, keepdims=True)
        softness = _SOFTNESS * distance.mean(dtype=np.float64) or 1.0
        plan = np.exp(distance / -softness, dtype=np.float64)
        of_code = np.ones(k)
        for _ in range(_SINKHORN):
            of_code = (n / k) / np.maximum((1 / (plan @ of_code)) @ plan, 1e-300)
        labels = (plan * of_code).argmax(axis=1)
        counts = np.bincount(labels, minlength=k)[:, None]
        member = csr_array((np.ones(n, np.float32), (labels, np.arange(n))), shape=(k, n))
        centroids = np.where(counts > 0, (member @ points) / np.maximum(counts, 1), centroids)
        centroids = centroids.astype(np.float32)
    return labels, centroids


def _squares(vectors: Floats32) -> Any:
    """The squared lengths (n,) of vectors (n, d)."""
    return np.einsum("ij,ij->i", vectors, vectors)
