"""Vectors that look wrong among the others: near zero, not the only one, or far from all others.

Each function looks at ``rows``, the positions of items that have the modality, and returns those
that it points to, worst first, with a line on each. Thresholds are ratios to medians, so neither an
encoder's scale nor a few bad items move them. Memory beyond the vectors is bounded by chunks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.hashing import vector_keys
from mmctr_kit.embed.pca import fit_pca, project
from mmctr_kit.metrics.ranks import Floats, Floats32, Ints

NEAR_ZERO = 0.01
"""A vector is near zero if its length is below this share of the median length."""
NEAR = 0.05
"""Two vectors are near duplicates if their distance is below this share of the usual one."""
FAR = 6.0
"""A vector is far if the logarithm of its distance from the centre is this many robust standard
deviations (1.4826 median absolute deviations) above the median."""
SAMPLE = 8_192
"""The centre, the usual distance and the PCA are those of at most this many items."""
_CHUNK = 4_096
_NEAR_DIMS, _NEIGHBOURS = 12, 8

Flagged = tuple[Ints, list[str]]
"""Positions, worst first, and a line on each."""


def near_zero(vectors: Floats32, rows: Ints) -> Flagged:
    """The items whose vector is much shorter than most, though not zero."""
    if not len(rows):
        return rows, []
    length = _by_chunks(rows, lambda some: _lengths(vectors[some]))
    share = length / max(float(np.median(length)), np.finfo(np.float64).tiny)
    order = np.argsort(share, kind="stable")
    bad = order[share[order] < NEAR_ZERO]
    return rows[bad], [f"length {share[i]:.1e} of the median" for i in bad]


def duplicates(vectors: Floats32, rows: Ints) -> Flagged:
    """The items whose vector another item has too, the largest groups first."""
    return same_keys(_by_chunks(rows, lambda some: vector_keys(vectors[some])), rows, "vector")


def same_keys(keys: NDArray[Any], rows: Ints, what: str) -> Flagged:
    """The items whose key another item has too, the largest groups first."""
    _, first, group, size = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((rows, first[group], -size[group]))
    bad = order[size[group[order]] > 1]
    return rows[bad], [
        f"one {what} for {size[group[i]]:,} items, of which {rows[first[group[i]]]} is the first"
        for i in bad
    ]


def near_duplicates(vectors: Floats32, rows: Ints) -> Flagged:
    """The items with a vector that another nearly has; equal vectors count as one.

    Candidates are the 8 nearest in the first 12 principal components, in which no two vectors are
    farther apart than they are; so a pair is missed only if 8 others look nearer there.
    """
    from scipy.spatial import cKDTree

    keys = _by_chunks(rows, lambda some: vector_keys(vectors[some]))
    rows = np.sort(rows[np.unique(keys, return_index=True)[1]])
    usual = _usual_distance(vectors, rows)
    if len(rows) < 3 or usual == 0:
        return rows[:0], []
    dims = min(_NEAR_DIMS, vectors.shape[1])
    pca = fit_pca([vectors[sample(rows)]])
    points = _by_chunks(rows, lambda some: project(pca, [vectors[some]], dims, whiten=False))
    tree = cKDTree(points)
    nearest = tree.query(points, _NEIGHBOURS + 1, distance_upper_bound=NEAR * usual)
    neighbours = np.asarray(nearest[1], np.int64)
    one, other = np.nonzero(neighbours < len(rows))
    other = neighbours[one, other]
    one, other = one[one != other], other[one != other]
    distance = _by_chunks(
        np.arange(len(one)),
        lambda some: _lengths(vectors[rows[one[some]]] - vectors[rows[other[some]]]),
    )
    near = np.flatnonzero(distance < NEAR * usual)
    near = near[np.argsort(distance[near], kind="stable")]
    near = near[np.sort(np.unique(one[near], return_index=True)[1])]
    return rows[one[near]], [
        f"{distance[i] / usual:.1%} of the usual distance from item {rows[other[i]]}" for i in near
    ]


def far(vectors: Floats32, rows: Ints) -> Flagged:
    """The items whose vector is far from the centre, the median of each coordinate."""
    if not len(rows):
        return rows, []
    centre = np.median(vectors[sample(rows)], axis=0)
    distance = _by_chunks(rows, lambda some: _lengths(vectors[some] - centre))
    logs = np.log(np.maximum(distance, np.finfo(np.float32).tiny))
    median = float(np.median(logs))
    scale = 1.4826 * float(np.median(np.abs(logs - median)))
    score = (logs - median) / max(scale, 1e-6)  # of vectors that are all as far, none is far
    order = np.argsort(-score, kind="stable")
    bad = order[score[order] > FAR]
    return rows[bad], [
        f"{np.exp(logs[i] - median):.1f} times as far from the centre as most" for i in bad
    ]


def _usual_distance(vectors: Floats32, rows: Ints) -> float:
    """The median distance between two items, of pairs drawn with a fixed seed."""
    if len(rows) < 2:
        return 0.0
    rng = np.random.default_rng(0)
    one, other = rng.choice(rows, (2, _CHUNK))
    apart = one != other
    return float(np.median(_lengths(vectors[one[apart]] - vectors[other[apart]])))


def _lengths(vectors: Floats32) -> Floats:
    return np.asarray(np.linalg.norm(vectors, axis=1), np.float64)


def sample(rows: Ints) -> Ints:
    """At most :data:`SAMPLE` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(np.int64)]


def _by_chunks(rows: Ints, work: Callable[[Ints], NDArray[Any]]) -> NDArray[Any]:
    """The results of ``work`` on chunks of the rows, one after the other."""
    starts = range(0, max(len(rows), 1), _CHUNK)
    return np.concatenate([work(rows[start : start + _CHUNK]) for start in starts])
