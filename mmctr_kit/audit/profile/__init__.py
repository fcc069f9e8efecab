"""The probes of ``data profile``: signals that predict labels, or the split, but should not.

Each probe has a fixed id in :data:`PROBES` and makes one or more measurements. A measurement beyond
what leak-free data would show, corrected for their number, is a suspicion: something to look at
before a score is believed, not a proof that the data is wrong.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmctr_kit.activity import doing
from mmctr_kit.audit.findings import CheckInfo, Level, catalogue
from mmctr_kit.audit.profile.context import ProfileContext, both_labels
from mmctr_kit.audit.profile.history import history_label, siblings, target_in_history
from mmctr_kit.audit.profile.labels import item_code, item_label, level_label, target_side
from mmctr_kit.audit.profile.measurement import Measurement, TestResult, holm_test
from mmctr_kit.audit.profile.order import row_order
from mmctr_kit.audit.profile.shift import popularity_shift, split_shift
from mmctr_kit.audit.profile.vectors import embedding_order
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError


@dataclass(frozen=True)
class Probe(CheckInfo):
    """A check by measurement: its unit (``measure``), what a suspicion means, and what to do."""

    means: str
    todo: str
    measure: str = field(default="AUC", kw_only=True)
    worst: Level = field(default=Level.WARN, kw_only=True)


PROBES = catalogue(
    Probe(
        "split-users",
        "no user has rows in two splits",
        "a user's rows are in two splits, so a memorised user scores",
        "drop these users from one split, or never quote that split's AUC",
        measure="share of users",
    ),
    Probe(
        "sibling-rows",
        "no user appears under two ids",
        "one user has two ids: what was learned from one answers for the other",
        "give both one user_id before folds are made, or drop one",
        measure="share of users",
    ),
    Probe(
        "target-in-history",
        "histories hold targets of both labels equally often",
        "the history holds the answer: targets of one label are in it more often",
        "cut histories before the first target, in every split alike",
        measure="AUC; share",
    ),
    Probe(
        "history-label",
        "the length of a history does not predict the label",
        "positive rows have histories of another length than negative ones",
        "give all rows of a user the history before the first target",
    ),
    Probe(
        "item-label",
        "the item alone does not decide the label",
        "the item alone nearly decides the label: negatives come from other items",
        "find out how negatives were drawn; a model needs no history here",
    ),
    Probe(
        "item-purity",
        "items that can be positive can be negative too",
        "these items are never drawn as negatives, so their id is the label",
        "draw negatives from all items that can be positive",
        measure="share of positives",
    ),
    Probe(
        "item-code",
        "the number of an item does not predict its label",
        "the number of an item predicts its label: ids were given after labels",
        "renumber the items at random; never use item_id as a number",
    ),
    Probe(
        "level-label",
        "an item has the same levels in positive and negative rows",
        "an item's level differs by label: levels were counted with the label known",
        "take levels from item_feature.parquet, or leave them out",
    ),
    Probe(
        "row-order",
        "the order of rows does not predict their label",
        "rows are sorted by label: a row's position predicts it",
        "shuffle the file; use no row number, ID or position as an input",
    ),
    Probe(
        "popularity-shift",
        "the splits have the same targets",
        "the splits' targets are other items: they differ in date or in how they were made",
        "trust the split most like test; hold out folds made like it",
        measure="share of targets",
    ),
    Probe(
        "split-shift",
        "simple columns do not distinguish the splits",
        "the splits differ in the columns named",
        "leave these columns out, or make folds that differ like the splits",
        measure="adversarial AUC",
    ),
    Probe(
        "target-side",
        "the target alone does not explain the labels",
        "the target alone explains the labels; histories hardly matter",
        "compare with target_only before believing in a history model",
    ),
    Probe(
        "embedding-order",
        "each vector belongs to its item",
        "vectors do not belong to their items: re-sorted, shifted, or noise",
        "write the file by item_id again, padding row first; run data check",
        measure="excess cosine",
    ),
)
"""Every probe in the order it is reported."""

Run = Callable[[ProfileContext], Iterator[Measurement]]

OOF_VALID_GAP = (siblings, target_in_history, history_label, level_label, popularity_shift)
"""Probes of what can make OOF and valid AUC differ; they count and sort."""
CHEAP = (*OOF_VALID_GAP, item_label, item_code, row_order)
"""Probes that count and sort; the others fit trees or read every embedding."""
ALL = (*CHEAP, split_shift, target_side, embedding_order)

Progress = Callable[[str], None]


def profile_data(folder: Path, progress: Progress | None = None) -> list[TestResult]:
    """Every probe on a data folder, in the order of :data:`PROBES`.

    ``progress`` is called with the name of each probe before it runs. Raises UsageError and
    DataError as loading does; DataError also if rows are too few or have one label only.
    """
    return _measure(load(folder), ALL, progress)


def quick_profile(data: ChallengeData) -> list[TestResult]:
    """The probes that need no model: seconds on the challenge's size."""
    return _measure(data, CHEAP, None)


def causes(data: ChallengeData) -> list[str]:
    """What can make OOF and valid AUC differ: one line for each suspicion of the quick probes.

    Depends on the loaded data only, so the order of a file's rows changes nothing. Empty also if
    the data is too small for a profile.
    """
    try:
        results = _measure(data, OOF_VALID_GAP, None)
    except DataError:
        return []
    suspects = (r.measurement for r in results if r.suspicious)
    return [f"{m}; {PROBES[m.probe].means}" for m in suspects]


def _measure(
    data: ChallengeData, probes: tuple[Run, ...], progress: Progress | None
) -> list[TestResult]:
    context = ProfileContext(data)
    train, valid = data.train, data.valid
    if not both_labels(train.labels(), context.folds) or len(np.unique(valid.labels())) < 2:
        raise DataError(
            f"a profile needs rows of both labels in valid and in each fifth of train's users; "
            f"found {len(train):,} rows in train, {len(valid):,} in valid (mmctr-kit data check)"
        )
    measurements: list[Measurement] = []
    for probe in probes:
        name = probe.__name__.replace("_", " ")
        doing(f"probing {name}")
        if progress is not None:
            progress(name)
        measurements += probe(context)
    order = list(PROBES)
    measurements.sort(key=lambda m: order.index(m.probe))
    return holm_test(measurements)
