"""A generated catalogue with covers, clean or with planted bad items."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from mmctr_kit.datasets.synth import PRESETS, Extras, generate

CATALOGUE = replace(PRESETS["demo"], train_users=60, valid_users=20, test_rows=80)
"""As many items as the demo has, and few users: quality reads items alone."""


@cache
def catalogue(parent: Path, bad: float) -> Path:
    """The data folder of a generated catalogue below ``parent``."""
    root = Path(mkdtemp(dir=parent)) / "world"
    generate(root, CATALOGUE, 0, extras=Extras(covers=True, bad=bad))
    return root / "data"


def planted(data: Path) -> Mapping[tuple[str, str], set[int]]:
    """The bad items of a catalogue by modality and kind."""
    items = defaultdict(set)
    with (data.parent / "truth" / "bad_items.csv").open() as file:
        for row in csv.DictReader(file):
            items[row["modality"], row["kind"]].add(int(row["item_id"]))
    return items
