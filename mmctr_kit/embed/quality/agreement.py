"""Whether an item's text and image belong together, learnt from the items alone, without labels.

Canonical correlation analysis (Hotelling, Biometrika 28, 1936) finds the directions in which the
items' texts and images agree. It is fitted on four fifths of the items and applied to the last
fifth. With correlations r_d there and an item's coordinates u_d (text) and v_d (image), the log of
how much likelier the two are as one item's than as two items' is

    sum over d of  -log(1 - r_d^2) / 2 - (r_d^2 (u_d^2 + v_d^2) - 2 r_d u_d v_d) / (2 (1 - r_d^2))

for normal coordinates; ranks make them normal, so that no outlier rules a direction.
"""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.embed.pca import fit_pca, project
from mmctr_kit.embed.quality.vectors import sample
from mmctr_kit.metrics.ranks import Flags, Floats, Floats32, Ints

PRIOR = 0.01
"""The share of items whose text and image do not belong together, before one has looked."""
CUT = float(np.log(PRIOR / (1 - PRIOR)))
"""At a lower score text and image are likelier two items' than one's."""
LEAST_ITEMS = 200
LEAST_POWER = 0.25
"""The check is left out if it would point to less than this share of swapped items."""
_DIMS = 64
_FOLDS = 5
_LEAST_CORRELATION = 0.1
_SHRINK = 1e-3
_ROUNDING = 1e-6
"""A component of less than this share of the largest variance may be float32's rounding."""


@dataclass(frozen=True)
class Agreement:
    """How text and image of the items agree.

    ``score`` (n,) float64 is the log likelihood ratio above. ``power`` is the share of the items
    that would score below :data:`CUT` if each had another item's image.
    """

    score: Floats
    power: float


def measure_agreement(text: Floats32, image: Floats32, rows: Ints) -> Agreement:
    """Compare text and image of the items ``rows``, at least :data:`LEAST_ITEMS` of them."""
    one, other = (_normal(_components(vectors, rows)) for vectors in (text, image))
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(rows)) % _FOLDS
    score, swapped = np.zeros(len(rows)), np.zeros(len(rows))
    for f in range(_FOLDS):
        held = np.flatnonzero(fold == f)
        a, b = _directions(one[fold != f], other[fold != f])
        u, v = _normal(one[held] @ a), _normal(other[held] @ b)
        r = np.clip((u * v).mean(axis=0), 0.0, 0.99)
        shared = r > max(_LEAST_CORRELATION, 3 / np.sqrt(len(held)))
        score[held] = _log_ratio(u, v, r, shared)
        swapped[held] = _log_ratio(u, np.roll(v, 1, axis=0), r, shared)
    return Agreement(score, float((swapped < CUT).mean()))


def _log_ratio(u: Floats, v: Floats, r: Floats, shared: Flags) -> Floats:
    u, v, r = u[:, shared], v[:, shared], r[shared]
    rest = 1 - r**2
    each = -np.log(rest) / 2 - (r**2 * (u**2 + v**2) - 2 * r * u * v) / (2 * rest)
    return np.asarray(each.sum(axis=1))


def _components(vectors: Floats32, rows: Ints) -> Floats:
    """(n, 64) principal components; (n, width) of narrower vectors."""
    seen = vectors[sample(rows)]
    centre = np.median(seen, axis=0)
    length = np.linalg.norm(seen - centre, axis=1, keepdims=True)
    # Outliers, drawn in to the usual distance, set no direction.
    near = np.minimum(1, np.median(length) / np.maximum(length, np.finfo(np.float32).tiny))
    pca = fit_pca([centre + near * (seen - centre)])
    dims = min(_DIMS, int((pca.variance > _ROUNDING * pca.variance[0]).sum()))
    return project(pca, [vectors[rows]], dims, whiten=False)


def _normal(values: Floats) -> Floats:
    """Each column's ranks as quantiles of the standard normal distribution."""
    from scipy.special import ndtri

    ranks = np.argsort(np.argsort(values, axis=0), axis=0)
    return np.asarray(ndtri((ranks + 0.5) / len(values)))


def _directions(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """The canonical directions of two sets of columns, most correlated first."""
    whiten = [_inverse_root(x.T @ x / len(x)) for x in (one, other)]
    left, _, right = np.linalg.svd(whiten[0] @ (one.T @ other / len(one)) @ whiten[1])
    count = min(len(left), len(right))
    return whiten[0] @ left[:, :count], whiten[1] @ right[:count].T


def _inverse_root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance + _SHRINK * np.eye(len(covariance)))
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)
