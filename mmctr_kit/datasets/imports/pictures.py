"""Pictures of an import's items, linked or copied to item_images/ by new id."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.datasets.imports.tables import Read


def copy_pictures(
    spec: Spec, folder: Path, out: Path, items: pa.LargeStringArray, listen: Read = lambda _: None
) -> Mapping[str, int]:
    """Write ``out``/item_images/{new id}{suffix} for ``items``, (n,) original ids of 1..n.

    Hard links if the file system allows, else copies. Returns {} without ``spec.items.pictures``,
    else the numbers "copied" and "missing" of items. Raises UsageError for a folder that is absent
    or one level off, and DataError if it holds a picture of none of the items.
    """
    raise NotImplementedError
