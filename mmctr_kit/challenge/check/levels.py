"""Checks on likes_level and views_level: in range, and the same in the rows as in item_feature."""

from collections.abc import Iterator

import numpy as np

from mmctr_kit.challenge.check.items import ItemFile
from mmctr_kit.challenge.check.rows import RowFiles
from mmctr_kit.challenge.check.source import Source
from mmctr_kit.challenge.contract import N_LEVELS, PAD
from mmctr_kit.findings import Finding, Level, count

LEVELS = ("likes_level", "views_level")
TOP = N_LEVELS - 1


def level_findings(rows: RowFiles, feature: ItemFile, source: Source) -> Iterator[Finding]:
    """What the levels of rows and items tell, alone and together; ``source`` is item_feature's."""
    yield from _in_rows(rows)
    yield from _in_feature(feature)
    if source.usable("item_id") and all(source.columns[n].copies == 0 for n in LEVELS):
        yield Finding("levels-agree", Level.PASS, "skipped: item_feature holds no levels", "")
    else:
        yield from _agree(rows, feature)


def _in_rows(rows: RowFiles) -> Iterator[Finding]:
    for split, file in rows.items():
        levels = {n: file.columns[n] for n in LEVELS if n in file.columns}
        wrong = {n: int(((x < 1) | (x > TOP)).sum()) for n, x in levels.items()}
        for name, found in wrong.items():
            if found:
                yield Finding(
                    "levels-range",
                    Level.FAIL,
                    f"{split}: {count(found, 'row has', 'rows have')} a {name} outside 1..{TOP}",
                    "levels are 1 to 10; 0 is padding and stands in no row",
                )
        if levels and not any(wrong.values()):
            yield Finding("levels-range", Level.PASS, f"{split}: in 1..{TOP}", "")


def _in_feature(feature: ItemFile) -> Iterator[Finding]:
    fine = bool(feature.levels)
    for name, levels in feature.levels.items():
        outside = int(((levels < 0) | (levels > TOP)).sum())
        unknown = int((levels == PAD).sum())
        fine = fine and not outside and not unknown
        if outside:
            yield Finding(
                "levels-range",
                Level.FAIL,
                f"item_feature: {count(outside, 'value')} of {name} outside 0..{TOP}",
                "levels are 1 to 10; the models' tables have no more places",
            )
        elif unknown:
            yield Finding(
                "levels-range",
                Level.WARN,
                f"item_feature: {name} is 0, which means padding, at {count(unknown, 'item')}",
                "levels are 1 to 10; 0 says nothing of the item",
            )
    if fine:
        yield Finding("levels-range", Level.PASS, f"item_feature: in 1..{TOP}", "")


def _agree(rows: RowFiles, feature: ItemFile) -> Iterator[Finding]:
    if feature.item_id is None:
        return
    order = np.argsort(feature.item_id, kind="stable")
    ids = feature.item_id[order]
    for split, file in rows.items():
        names = [n for n in LEVELS if n in file.columns and n in feature.levels]
        if "item_id" not in file.columns or not names:
            continue
        item = file.columns["item_id"]
        place = np.minimum(np.searchsorted(ids, item), len(ids) - 1)
        known = ids[place] == item
        differs = {
            n: float((known & (feature.levels[n][order][place] != file.columns[n])).mean())
            for n in names
        }
        told = ", ".join(f"{n} in {share:.2%} of them" for n, share in differs.items())
        if any(differs.values()):
            todo = "look whether item_feature is shifted or of another release"
            what = f"{split}: rows differ from item_feature: {told}"
            yield Finding("levels-agree", Level.WARN, what, todo)
        else:
            yield Finding("levels-agree", Level.PASS, f"{split}: as in item_feature", "")
