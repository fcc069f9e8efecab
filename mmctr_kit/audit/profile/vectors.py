"""Probe of whether each embedding is assigned to the right items, without a second file.

Items near each other in a history, and items that share a tag, are more alike than others. If the
vectors are assigned to the wrong items, neither holds any more. Similarity is compared with that of
the same vectors assigned to items at random (the Mantel test; Mantel, Cancer Research 27, 1967).
"""

import math
from collections.abc import Iterator

import numpy as np

from mmctr_kit.audit.profile.context import ProfileContext, unit_vectors
from mmctr_kit.audit.profile.measurement import Measurement
from mmctr_kit.data.contract import FILES, GIVEN_EMBEDDINGS
from mmctr_kit.data.load import load_given
from mmctr_kit.data.modalities import COLUMNS, held_modalities, load_modality
from mmctr_kit.data.parquet import column_names
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats, Floats32, Ints

PAIRS = 40_000
FEW_PAIRS = 1_000
WINDOW = 8
"""Items at most this far apart in a history are a pair."""
WIDTH = 64
"""Wider vectors are projected at random to this many dimensions, which keeps cosines."""
SHUFFLES = 40
RELATED = 4.5
"""Standard deviations above random assignment from which vectors fit their items."""

Pairs = tuple[Ints, Ints]


def embedding_order(context: ProfileContext) -> Iterator[Measurement]:
    """One measurement for each embedding column of the folder."""
    pairs = {"in one history": _neighbours(context), "of one tag": _by_tag(context)}
    for name, table in _tables(context):
        yield _measure(name, _projected(table), pairs)


def _tables(context: ProfileContext) -> Iterator[tuple[str, Floats32]]:
    data = context.data
    yield "item_info", data.item_emb
    path = data.folder / FILES["item_emb"].path
    columns = column_names(path) if path.is_file() else []
    for name in GIVEN_EMBEDDINGS:
        if f"item_emb_d128_{name}" in columns:
            yield f"item_emb {name}", load_given(data, name)
    for modality in held_modalities(data):
        yield COLUMNS[modality], load_modality(data, modality)


def _measure(name: str, unit: Floats32, pairs: dict[str, Pairs]) -> Measurement:
    measured = {what: _excess(unit, pair, 0) for what, pair in pairs.items() if len(pair[0])}
    enough = {w: e for w, e in measured.items() if e.n >= FEW_PAIRS and e.se > 0}
    if not enough:
        why = f"fewer than {FEW_PAIRS} pairs of items to compare"
        return Measurement.none("embedding-order", name, why)
    best = max(enough, key=lambda w: enough[w].z(0.0))
    value = enough[best]
    related = max(e.z(0.0) for e in enough.values()) >= RELATED
    shifts = [] if related else [-1, 1]
    moved = [s for s in shifts if any(_excess(unit, pairs[w], s).z(0.0) >= RELATED for w in enough)]
    what = f"items {best} are more alike than at random by a cosine of {value}"
    if moved:
        what = f"no relation by item_id, but at item_id {moved[0]:+d}: shifted"
    elif not related:
        what = "no relation to histories or tags by item_id, as if assigned at random"
    return Measurement("embedding-order", name, value, math.nan, 0.0, 1.0 if related else 0.0, what)


def _neighbours(context: ProfileContext) -> Pairs:
    """Items near each other in histories, a sample of about PAIRS."""
    histories = context.data.histories
    owner = np.repeat(np.arange(len(histories), dtype=np.int32), histories.lengths)
    firsts, seconds = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for gap in range(1, min(WINDOW + 1, len(owner))):
        at = _some(np.flatnonzero(owner[gap:] == owner[:-gap]), PAIRS // WINDOW)
        firsts.append(histories.values[at])
        seconds.append(histories.values[at + gap])
    a, b = (np.concatenate(x).astype(np.int64) for x in (firsts, seconds))
    return a[a != b], b[a != b]


def _by_tag(context: ProfileContext) -> Pairs:
    """Pairs of items that share a tag: neighbours in a random order within each tag."""
    item, column = np.nonzero(context.data.item_tags)
    tag = context.data.item_tags[item, column]
    order = np.lexsort((np.random.default_rng(0).random(len(item)), tag))
    item, tag = item[order], tag[order]
    at = _some(np.flatnonzero(tag[1:] == tag[:-1]), PAIRS)
    return item[at], item[at + 1]


def _some(at: Ints, most: int) -> Ints:
    return np.random.default_rng(1).permutation(at)[:most]


def _projected(table: Floats32) -> Floats32:
    """(n_items + 1, <= WIDTH) unit vectors."""
    unit = unit_vectors(table)
    if unit.shape[1] <= WIDTH:
        return unit
    rng = np.random.default_rng(2)
    return unit_vectors(unit @ rng.standard_normal((unit.shape[1], WIDTH)).astype(np.float32))


def _excess(unit: Floats32, pairs: Pairs, shift: int) -> Estimate:
    """Mean cosine of the pairs, item i having vector i + shift, beyond random assignment.

    The standard error is the standard deviation over random assignments. A pair weighs by
    1 / sqrt(product of its items' frequencies), so that no few items decide.
    """
    n_items = len(unit) - 1
    a, b = (np.clip(x + shift, 1, n_items) for x in pairs)
    frequency = np.bincount(np.concatenate(pairs))
    weight = 1.0 / np.sqrt(frequency[pairs[0]] * frequency[pairs[1]])
    weight /= weight.sum()
    rng = np.random.default_rng(3)
    by_id = _mean_cosine(unit, a, b, weight)
    chance = []
    for _ in range(SHUFFLES):
        order = np.concatenate([[0], 1 + rng.permutation(n_items)])
        chance.append(_mean_cosine(unit, order[a], order[b], weight))
    return Estimate(by_id - float(np.mean(chance)), float(np.std(chance, ddof=1)), len(a))


def _mean_cosine(unit: Floats32, a: Ints, b: Ints, weight: Floats) -> float:
    return float(np.einsum("ij,ij->i", unit[a], unit[b]) @ weight)
