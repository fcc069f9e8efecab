"""PCA of item vectors at full width, in float64, to be sliced to any number of dimensions.

It is fitted without labels and without the padding row. The SVD is of the triangular factor of
the centred vectors (a tall QR in chunks: Demmel et al., SIAM J. Sci. Comput. 34, 2012), never of
their covariance, which would square the ratio of the largest to the smallest component. Chunks
and their order are fixed and BLAS has one thread, so the number of cores changes no bit.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mmctr_kit.metrics.ranks import Floats, Floats32

_CHUNK = 8_192
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class PCA:
    """A fitted PCA: ``mean`` (width,), ``components`` (k, width), ``variance`` (k,), all float64.

    The largest variance comes first; k = min(items, width). A component's sign makes its largest
    absolute loading positive. ``variance`` has the denominator items - 1 and is exactly 0 beyond
    the rank, as are the components there. Up to sign it equals scikit-learn's full PCA.
    """

    mean: Floats
    components: Floats
    variance: Floats

    @property
    def width(self) -> int:
        return len(self.mean)

    def explained(self, dims: int) -> float:
        """Share of the variance in the first ``dims`` components; 1 if the variance is 0."""
        total = float(self.variance.sum())
        return float(self.variance[:dims].sum()) / total if total else 1.0


def fit_pca(parts: Sequence[Floats32]) -> PCA:
    """Fit a PCA of ``parts`` side by side, unscaled, each (items, d_i) without padding row."""
    n = len(parts[0])
    mean = np.concatenate([x.mean(axis=0, dtype=np.float64) for x in parts])
    with threadpool_limits(limits=1, user_api="blas"):
        triangles = _in_chunks(lambda rows: _triangle(_centred(parts, rows, mean)), n)
        while len(triangles) > 1:
            pairs = [triangles[i : i + 2] for i in range(0, len(triangles), 2)]
            triangles = _side_by_side(lambda pair: _triangle(np.vstack(pair)), pairs)
        _, singular, components = np.linalg.svd(triangles[0], full_matrices=False)
    rounding = singular.max(initial=0.0) * max(n, len(mean)) * np.finfo(np.float64).eps
    rank = int((singular > rounding).sum())
    singular[rank:] = 0.0
    components[rank:] = 0.0
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    components *= np.where(largest < 0, -1.0, 1.0)[:, None]
    return PCA(mean, components, singular**2 / max(n - 1, 1))


def project(pca: PCA, parts: Sequence[Floats32], dims: int, whiten: bool) -> Floats:
    """Return the first ``dims`` scores, (items, dims) float64, with unit variance if ``whiten``.

    Columns beyond the rank are zero. Raises ValueError if ``dims`` exceeds the width.
    """
    if dims > pca.width:
        raise ValueError(f"{dims} dimensions of vectors of {pca.width}")
    k = min(dims, len(pca.components))
    axes = pca.components[:k].T
    if whiten:
        spread = np.sqrt(pca.variance[:k])
        axes = axes * np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0)
    out = np.zeros((len(parts[0]), dims))

    def fill(rows: slice) -> None:
        out[rows, :k] = _centred(parts, rows, pca.mean) @ axes

    with threadpool_limits(limits=1, user_api="blas"):
        _in_chunks(fill, len(out))
    return out


def _triangle(tall: Floats) -> Floats:
    """The factor R (min(n, d), d) of the QR decomposition of ``tall`` (n, d)."""
    return np.asarray(np.linalg.qr(tall, mode="r"), np.float64)


def _centred(parts: Sequence[Floats32], rows: slice, mean: Floats) -> Floats:
    side_by_side = np.hstack([x[rows] for x in parts]) if len(parts) > 1 else parts[0][rows]
    return side_by_side - mean


def _in_chunks(work: Callable[[slice], T], n: int) -> list[T]:
    """Results of ``work`` on each chunk of ``n`` rows, in order."""
    starts = range(0, n, _CHUNK)
    return _side_by_side(work, [slice(start, min(start + _CHUNK, n)) for start in starts])


def _side_by_side(work: Callable[[S], T], over: Sequence[S]) -> list[T]:
    """Results of ``work`` on each of ``over``, in order; one thread a core."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(work, over))
