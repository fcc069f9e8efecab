"""``data profile``: does anything in the data tell labels, or splits, that should not?

Each probe has a fixed id in :data:`PROBES` and makes one or more readings; a reading beyond what
clean data would show, corrected for their number, is a suspicion. Nothing here says that data is
wrong: a suspicion is what to look at before a score is believed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from mmctr_kit.audit.profile.facts import Facts, both_labels
from mmctr_kit.audit.profile.history import history_label, siblings, target_in_history
from mmctr_kit.audit.profile.labels import item_code, item_label, level_label
from mmctr_kit.audit.profile.order import row_order
from mmctr_kit.audit.profile.reading import Reading, Verdict, judge
from mmctr_kit.audit.profile.shift import popularity_shift, split_shift
from mmctr_kit.audit.profile.signal import target_side
from mmctr_kit.audit.profile.vectors import embedding_order
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError


@dataclass(frozen=True)
class Probe:
    """A probe's ``measure``, what its suspicion ``means``, and what to do (``todo``)."""

    measure: str
    means: str
    todo: str


PROBES: Mapping[str, Probe] = MappingProxyType(
    {
        "split-users": Probe(
            "share of users",
            "a user's rows stand in two splits, so a memorised user scores",
            "drop these users from one split, or never quote that split's AUC",
        ),
        "sibling-rows": Probe(
            "share of users",
            "one user under two ids: what was learned of one answers for the other",
            "give both one user_id before folds are made, or drop one",
        ),
        "target-in-history": Probe(
            "AUC; share",
            "the history holds the answer: targets of one label stand in it more often",
            "cut histories before the first target, in every split alike",
        ),
        "history-label": Probe(
            "AUC",
            "positive rows have histories of another length than negative ones",
            "give all rows of a user the history before the first target",
        ),
        "item-label": Probe(
            "AUC",
            "the item alone nearly settles the label: negatives come from other items",
            "look how negatives were drawn; a model needs no history here",
        ),
        "item-purity": Probe(
            "share of positives",
            "these items are never drawn as negatives, so their id is the label",
            "draw negatives from all items that can be positive",
        ),
        "item-code": Probe(
            "AUC",
            "the number of an item tells its label: ids were given after labels",
            "renumber the items at random; never use item_id as a number",
        ),
        "level-label": Probe(
            "AUC",
            "an item's level differs by label: levels were counted with the label known",
            "take levels from item_feature.parquet, or leave them out",
        ),
        "row-order": Probe(
            "AUC",
            "rows are filed by label: a row's place tells it",
            "shuffle the file; use no row number, ID or place as an input",
        ),
        "popularity-shift": Probe(
            "share of targets",
            "the splits' targets are other items: they differ in date or in making",
            "trust the split most like test; hold out folds made like it",
        ),
        "split-shift": Probe(
            "adversarial AUC",
            "the splits are of different kinds, told apart by the columns named",
            "leave these columns out, or make folds that differ like the splits",
        ),
        "target-side": Probe(
            "AUC",
            "the target alone explains the labels; histories hardly matter",
            "compare with target_only before believing in a history model",
        ),
        "embedding-order": Probe(
            "excess cosine",
            "vectors are not those of their items: re-sorted, shifted, or noise",
            "write the file by item_id again, padding row first; run data check",
        ),
    }
)
"""Every probe in the order it is reported."""

Run = Callable[[Facts], Iterator[Reading]]

PARTING: tuple[Run, ...] = (
    siblings,
    target_in_history,
    history_label,
    level_label,
    popularity_shift,
)
"""Probes that count and sort, of what can make OOF and valid disagree."""
CHEAP: tuple[Run, ...] = (*PARTING, item_label, item_code, row_order)
"""Probes that count and sort; the others fit trees or read every embedding."""
ALL = (*CHEAP, split_shift, target_side, embedding_order)

Progress = Callable[[str], None]


def profile_data(folder: Path, progress: Progress | None = None) -> list[Verdict]:
    """Every probe on a data folder, in the order of :data:`PROBES`; ``progress`` is told of each.

    Raises UsageError and DataError as loading does, and DataError where the rows are too few or
    of one label.
    """
    return _measure(load(folder), ALL, progress)


def quick_profile(data: ChallengeData) -> list[Verdict]:
    """The probes that need no model: seconds on the challenge's size."""
    return _measure(data, CHEAP, None)


def causes(data: ChallengeData) -> list[str]:
    """What can make OOF and valid disagree, of the cheap probes' suspicions, one line each.

    Of what is loaded alone, so that the order of a file's rows changes nothing. Empty too where
    the data is too small for a profile.
    """
    try:
        found = _measure(data, PARTING, None)
    except DataError:
        return []
    return [
        f"{v.reading.probe} ({v.reading.where}): {v.reading.what}; {PROBES[v.reading.probe].means}"
        for v in found
        if v.suspicious
    ]


def _measure(
    data: ChallengeData,
    probes: tuple[Run, ...],
    progress: Progress | None,
) -> list[Verdict]:
    facts = Facts(data)
    _require_rows(facts)
    readings: list[Reading] = []
    for probe in probes:
        if progress is not None:
            progress(probe.__name__.replace("_", " "))
        readings += probe(facts)
    order = list(PROBES)
    readings.sort(key=lambda r: order.index(r.probe))
    return judge(readings)


def _require_rows(facts: Facts) -> None:
    train, valid = facts.data.train, facts.data.valid
    if not both_labels(train.labels(), facts.folds) or len(np.unique(valid.labels())) < 2:
        raise DataError(
            f"a profile needs rows of both labels in valid and in each fifth of train's users; "
            f"found {len(train):,} rows in train, {len(valid):,} in valid (mmctr-kit data check)"
        )
