"""Checks that item files assign vectors to the same items, by comparing two files by item id.

A file that was shifted by one row or re-sorted trains without any error and costs days. Two
comparisons detect it:

- item_info's embedding is nearly item_emb's v3, so the cosine of an item's two vectors is near 1.
- v1 is a PCA of item_feature's text and v2 of its image. A PCA nearly keeps inner products, so the
  centred cosines between items correlate (the Mantel statistic; Mantel 1967), and the variances
  along v1 are the leading eigenvalues of the text's covariance whatever the order of the rows.

FAIL needs proof that the vectors belong together and are assigned wrongly. Vectors without any
relation only WARN: item_info's may be replaced (Task1 asks for it).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmctr_kit.audit.check.item_files import ItemFile, Vectors
from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import GIVEN_EMBEDDINGS
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import Floats32, Ints

SAME_COSINE = 0.9
"""Median cosine by id from which two columns count as the same embedding."""
STRAY_COSINE = 0.5
"""Below this cosine by id, an item of the same embedding has another vector."""
MATCH_COSINE = 0.95
"""From this cosine on, another item's vector counts as this item's."""
RELATED = 0.3
"""Correlation of centred cosines; unrelated embeddings stay under 0.1."""
SEARCHED = 256
"""Number of items whose vectors are searched for among the other items'."""
GRAM_ITEMS = 500
MIN_ITEMS = 20
_INFO, _FEATURE = "item-info-alignment", "item-feature-alignment"
_TODO = "download both files again; a file that you wrote yourself must hold vectors by item_id"
_YOURS = "nothing, if you put it there (Task1 allows it)"


@dataclass(frozen=True)
class Pair:
    """The items that two columns share, if both vectors are finite, not all zero and not too large.

    ``item_id`` (m,); ``a`` (m, width a), ``b`` (m, width b) float32.
    """

    item_id: Ints
    a: Floats32
    b: Floats32


def check_alignment(items: Mapping[str, ItemFile], log: Log) -> None:
    """item_info against item_emb, and item_feature against item_emb, if both are present."""
    info, feature = items["item_info"].vectors, items["item_feature"].vectors
    columns = items["item_emb"].vectors
    names: dict[str, str] = {v: f"item_emb_d128_{v}" for v in GIVEN_EMBEDDINGS}
    given = {v: columns[name] for v, name in names.items() if name in columns}
    if "item_emb_d128" in info:
        pairs = {v: pair(info["item_emb_d128"], e) for v, e in given.items()}
        if pairs := {v: p for v, p in pairs.items() if len(p.item_id) >= MIN_ITEMS}:
            _check_info(pairs, log)
    for column, v in (("txt_emb_BERT", "v1"), ("img_emb_CLIPRN50", "v2")):
        if column in feature and v in given:
            _check_feature(column, feature[column], v, given[v], log)


def pair(a: Vectors, b: Vectors, shift: int = 0) -> Pair:
    """The items that both hold; with ``shift``, a's item i is compared with b's item i + shift."""
    ids_a, ids_b = a.item_id[a.sampled], b.item_id[b.sampled]
    shared, at_a, at_b = np.intersect1d(ids_a + shift, ids_b, return_indices=True)
    usable = ~(a.zero | a.broken | a.far)[a.sampled[at_a]]
    usable &= ~(b.zero | b.broken | b.far)[b.sampled[at_b]]
    at_a, at_b = at_a[usable], at_b[usable]
    return Pair(shared[usable] - shift, a.values[at_a], b.values[at_b])


def _check_info(pairs: Mapping[str, Pair], log: Log) -> None:
    cosines = {v: _cosines(p) for v, p in pairs.items()}
    best = max(cosines, key=lambda v: float(np.median(cosines[v])))
    cosine = cosines[best]
    median = float(np.median(cosine))
    if median < SAME_COSINE:
        _check_unlike(pairs, log)
        return
    what = f"item_info's embedding is item_emb's {best} by id (median cosine {median:.3f})"
    stray = np.flatnonzero(cosine < STRAY_COSINE)
    if len(stray):
        share, shift = _found_elsewhere(pairs[best], stray)
        number = plural(len(cosine), "item")
        what += f", but {len(stray):,} of {number} have another vector"
        if share >= 0.5:
            log.fail(_INFO, f"{what}, another item's{_by(shift)}", _TODO)
        else:
            log.warn(_INFO, what, "look at these items; every other item agrees")
    elif best != "v3" and "v3" in pairs:
        log.warn(_INFO, f"{what}; in the challenge it is nearly v3", _YOURS)
    else:
        log.passed(_INFO, what)


def _check_unlike(pairs: Mapping[str, Pair], log: Log) -> None:
    """Reports an embedding that by id is none of the given ones, but may be one of them shifted."""
    for v, p in pairs.items():
        share, shift = _found_elsewhere(p, np.arange(len(p.item_id)))
        if share >= 0.5:
            what = f"item_info's vectors are item_emb's {v}, but of other items{_by(shift)}"
            log.fail(_INFO, f"{what}: {share:.0%} of a sample", _TODO)
            return
    related = {v: _gram_correlation(p) for v, p in pairs.items()}
    best = max(related, key=lambda v: related[v])
    what = f"item_info's embedding is none of item_emb's {', '.join(pairs)}"
    if related[best] >= RELATED:
        what += f"; similar items agree with {best} by id (correlation {related[best]:.2f})"
        log.warn(_INFO, what, _YOURS)
    else:
        what += " and has no relation to them by id, so its order cannot be checked"
        todo = "make sure that your embedding was written by item_id, padding row first"
        log.warn(_INFO, what, todo)


def _found_elsewhere(p: Pair, rows: Ints) -> tuple[float, int | None]:
    """Share of a sample of ``rows`` whose vector a is b of another item, and by how far in id.

    The distance is None if no single one explains at least nine tenths.
    """
    if p.a.shape[1] != p.b.shape[1]:
        return 0.0, None
    if len(rows) > SEARCHED:
        rows = np.random.default_rng(0).choice(rows, SEARCHED, replace=False)
    match = _unit(p.a[rows]) @ _unit(p.b).T
    nearest = match.argmax(axis=1)
    moved = (match[np.arange(len(rows)), nearest] >= MATCH_COSINE) & (nearest != rows)
    if not moved.any():
        return 0.0, None
    distance = p.item_id[nearest[moved]] - p.item_id[rows[moved]]
    steps, counts = np.unique(distance, return_counts=True)
    common = int(counts.argmax())
    share = counts[common] / len(distance)
    return float(moved.mean()), int(steps[common]) if share >= 0.9 else None


def _check_feature(column: str, wide: Vectors, v: str, given: Vectors, log: Log) -> None:
    by_id = pair(wide, given)
    if len(by_id.item_id) < MIN_ITEMS:
        return
    correlation = _gram_correlation(by_id)
    if correlation >= RELATED:
        what = f"{column} agrees with {v} by id (correlation {correlation:.2f})"
        log.passed(_FEATURE, what)
        return
    what = f"{column} does not agree with item_emb's {v} by id (correlation {correlation:.2f})"
    for shift in (-1, 1):
        shifted = _gram_correlation(pair(wide, given, shift))
        if shifted >= RELATED:
            what += f", but does{_by(shift)} (correlation {shifted:.2f})"
            log.fail(_FEATURE, what, _TODO)
            return
    if _is_pca(by_id):
        log.fail(_FEATURE, f"{what}, yet {v} is its PCA: one of the two is re-sorted", _TODO)
    else:
        what += f", nor is {v} its PCA, so its order cannot be checked"
        log.warn(_FEATURE, what, "nothing, if you replaced one of them; else download both again")


def _gram_correlation(p: Pair) -> float:
    """Pearson correlation of a's and b's centred cosines over all pairs of items; 0 if undefined.

    Cosines and not inner products, so that a few long vectors do not decide. At most GRAM_ITEMS
    items are used, drawn the same way each time.
    """
    n = len(p.item_id)
    if n < MIN_ITEMS:
        return 0.0
    rows = np.arange(n)
    if n > GRAM_ITEMS:
        rows = np.sort(np.random.default_rng(0).choice(n, GRAM_ITEMS, replace=False))
    a, b = (x[rows] / np.abs(x[rows]).max() for x in (p.a, p.b))  # so that sums stay finite
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    filled = a.any(axis=1) & b.any(axis=1)
    if filled.sum() < MIN_ITEMS:
        return 0.0
    a, b = _unit(a[filled]), _unit(b[filled])
    upper = np.triu_indices(len(a), 1)
    x, y = (a @ a.T)[upper], (b @ b.T)[upper]
    if x.std() < 1e-6 or y.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def _is_pca(p: Pair) -> bool:
    """True if b's variances are the leading eigenvalues of a's covariance, in any row order."""
    count = min(16, len(p.item_id) // 2, p.a.shape[1], p.b.shape[1])
    a, b = p.a.astype(np.float64), p.b.astype(np.float64)
    eigenvalues = np.linalg.svd(a - a.mean(axis=0), compute_uv=False)[:count] ** 2 / len(a)
    variances = np.sort(b.var(axis=0))[::-1][:count]
    if eigenvalues[0] <= 0 or variances[0] <= 0:
        return False
    floor = 1e-6 * eigenvalues[0]
    ratio = np.log(np.maximum(variances, floor) / np.maximum(eigenvalues, floor))
    return bool(np.median(np.abs(ratio)) < 0.1)


def _cosines(p: Pair) -> Floats32:
    """(m,) cosine of a and b, row by row; zeros if their widths differ."""
    if p.a.shape[1] != p.b.shape[1]:
        return np.zeros(len(p.item_id), np.float32)
    return np.asarray(np.einsum("ij,ij->i", _unit(p.a), _unit(p.b)))


def _unit(x: Floats32) -> Floats32:
    """Rows at length 1; first divided by their largest value, so that squares stay finite."""
    x = x / np.abs(x).max(axis=1, keepdims=True)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def _by(shift: int | None) -> str:
    return "" if shift is None else f", {shift:+d} in item_id"
