"""PCA of item vectors at full width, in float64, to be sliced to any number of dimensions.

Fitted without labels and without the padding row. What is decomposed is the triangular factor of
the centred vectors (a tall QR in chunks: Demmel et al., SIAM J. Sci. Comput. 34, 2012), never
their covariance, which would square the ratio of the largest to the smallest component. Chunks
and their order are fixed and BLAS has one thread, so the number of cores changes no bit.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

_CHUNK = 8_192

S = TypeVar("S")
T = TypeVar("T")

Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]


@dataclass(frozen=True)
class PCA:
    """``mean`` (width,), ``components`` (k, width) and ``variance`` (k,), largest first, float64.

    k = min(items, width). A component's sign makes its loading of largest absolute value
    positive. ``variance`` has the denominator items - 1 and is exactly 0 beyond the rank, as
    are the components there. Equal to scikit-learn's PCA(svd_solver="full") up to sign.
    """

    mean: Floats64
    components: Floats64
    variance: Floats64

    @property
    def width(self) -> int:
        return len(self.mean)

    def explained(self, dims: int) -> float:
        """The share of the variance in the first ``dims`` components; 1 where there is none."""
        total = float(self.variance.sum())
        return float(self.variance[:dims].sum()) / total if total else 1.0


def fit_pca(parts: Sequence[Floats32]) -> PCA:
    """PCA of the rows of ``parts`` side by side, unscaled; each (items, d_i), no padding row."""
    n = len(parts[0])
    mean = np.concatenate([x.mean(axis=0, dtype=np.float64) for x in parts])

    def triangle(rows: slice) -> Floats64:
        return _triangle(_centred(parts, rows, mean))

    with threadpool_limits(limits=1, user_api="blas"):
        triangles = _in_chunks(triangle, n)
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


def project(pca: PCA, parts: Sequence[Floats32], dims: int, whiten: bool) -> Floats64:
    """(items, dims) float64: the first ``dims`` scores, of unit variance with ``whiten``.

    Columns beyond the rank are zero. Raises ValueError where ``dims`` exceeds the width.
    """
    if dims > pca.width:
        raise ValueError(f"{dims} dimensions of vectors of {pca.width}")
    held = min(dims, len(pca.components))
    axes = pca.components[:held].T
    if whiten:
        spread = np.sqrt(pca.variance[:held])
        axes = axes * np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0)
    out = np.zeros((len(parts[0]), dims))

    def fill(rows: slice) -> None:
        out[rows, :held] = _centred(parts, rows, pca.mean) @ axes

    with threadpool_limits(limits=1, user_api="blas"):
        _in_chunks(fill, len(out))
    return out


def _triangle(tall: Floats64) -> Floats64:
    """R of the QR decomposition: (min(n, d), d) of (n, d)."""
    return np.asarray(np.linalg.qr(tall, mode="r"), np.float64)


def _centred(parts: Sequence[Floats32], rows: slice, mean: Floats64) -> Floats64:
    side_by_side = np.hstack([x[rows] for x in parts]) if len(parts) > 1 else parts[0][rows]
    centred: Floats64 = side_by_side - mean
    return centred


def _in_chunks(work: Callable[[slice], T], n: int) -> list[T]:
    """``work`` on each chunk of ``n`` rows."""
    starts = range(0, n, _CHUNK)
    return _side_by_side(work, [slice(start, min(start + _CHUNK, n)) for start in starts])


def _side_by_side(work: Callable[[S], T], over: Sequence[S]) -> list[T]:
    """``work`` on each of ``over``, a thread for each core; results in their order."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(work, over))
