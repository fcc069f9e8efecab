"""Pictures of an import's items, linked or copied to item_images/ by new id."""

import os
import shutil
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from mmctr_kit.data.contract import IMAGES_FOLDER, PICTURE_SUFFIXES
from mmctr_kit.datasets.imports.sources import find_sources
from mmctr_kit.datasets.imports.spec import Items, Spec
from mmctr_kit.datasets.imports.tables import Read, read_batches
from mmctr_kit.datasets.imports.values import ItemIndex, texts_of
from mmctr_kit.errors import DataError, UsageError, did_you_mean

_TRIED = 1000
"""How many paths of the column ``picture`` are looked for in a neighbouring folder."""
_SHOWN = 1000
"""``listen`` is called once for so many pictures."""


def copy_pictures(
    spec: Spec, folder: Path, out: Path, items: pa.LargeStringArray, listen: Read = lambda _: None
) -> Mapping[str, int]:
    """Write ``out``/item_images/{new id}{suffix} for ``items``, (n,) original ids of 1..n.

    Hard links if the file system allows, else copies. Returns {} without ``spec.items.pictures``,
    else the numbers "items_with_picture" and "items_without_picture". Raises UsageError for a
    folder that is absent or one level off, and DataError if it has a picture of none of the items.
    """
    if spec.items is None or spec.items.pictures is None:
        return {}
    place = folder / spec.items.pictures
    if not place.is_dir():
        near = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
        raise UsageError(
            f"items.pictures: no folder '{place}'{did_you_mean(place.name, near)}; expected the "
            "folder of the pictures"
        )
    index = ItemIndex(items, spec.interactions.strip)
    if spec.items.picture is None:
        paths = _named_by_id(place, index)
        if not paths:
            raise _none_by_id(place, index)
    else:
        wanted = _from_column(spec.items, folder, index)
        paths = {item: place / path for item, path in wanted.items() if _is_picture(place / path)}
        if not paths:
            raise _none_by_path(place, list(wanted.values()), spec.items.picture)
    target = out / IMAGES_FOLDER
    target.mkdir()
    for done, item in enumerate(sorted(paths)):
        path = paths[item]
        _link(path, target / f"{item + 1}{path.suffix.lower()}")
        if done % _SHOWN == 0:
            listen(done / len(paths))
    return {"items_with_picture": len(paths), "items_without_picture": len(items) - len(paths)}


def _link(path: Path, target: Path) -> None:
    """A hard link, or a copy on another file system and for files that may not be linked."""
    try:
        os.link(os.path.realpath(path), target)
    except OSError:
        shutil.copyfile(path, target)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()


def _named_by_id(place: Path, index: ItemIndex) -> dict[int, Path]:
    """The picture of each item, by its position; of several the preferred suffix."""
    best: dict[int, tuple[int, str]] = {}
    for entry in os.scandir(place):
        stem, suffix = os.path.splitext(entry.name)
        if suffix.lower() not in PICTURE_SUFFIXES or not entry.is_file():
            continue
        item = index.position(stem)
        if item is not None:
            candidate = (PICTURE_SUFFIXES.index(suffix.lower()), entry.path)
            best[item] = min(best.get(item, candidate), candidate)
    return {item: Path(path) for item, (_, path) in best.items()}


def _from_column(items: Items, folder: Path, index: ItemIndex) -> dict[int, str]:
    """The path that column ``picture`` has for each item, by its position; the last row counts."""
    assert items.picture is not None
    paths: dict[int, str] = {}
    sources = find_sources(items, folder, "items.files")
    for batch in read_batches(items, sources, [items.id, items.picture]):
        found = index.find(batch, items.id)
        column = texts_of(batch, items.picture)
        for row in np.flatnonzero(found >= 0).tolist():
            path = column[row].as_py()
            if path and "://" in path:
                raise DataError(
                    f"{batch.row(row)}: {items.picture} is the address '{path[:60]}'; expected the "
                    "path of a file: download the pictures first"
                )
            if path:
                paths[int(found[row])] = path
    return paths


def _neighbours(place: Path) -> Iterator[Path]:
    """The folders one level off."""
    yield from sorted(path for path in place.iterdir() if path.is_dir())
    yield place.parent


def _none_by_id(place: Path, index: ItemIndex) -> UsageError | DataError:
    right = next((p for p in _neighbours(place) if _named_by_id(p, index)), None)
    if right is not None:
        return _one_level_off(place, right)
    files = (p.name for p in place.iterdir() if p.is_file())
    shown = ", ".join(islice(files, 3)) or "no file"
    return DataError(
        f"items.pictures: '{place}' has no picture of any item of the log; expected "
        f"{index.name(0)}.jpg, .jpeg, .png or .webp; found {shown}"
    )


def _none_by_path(place: Path, paths: list[str], column: str) -> UsageError | DataError:
    tried = paths[:_TRIED]
    for right in _neighbours(place):
        if any(_is_picture(right / path) for path in tried):
            return _one_level_off(place, right)
    example = f"'{paths[0]}'" if paths else "nothing"
    return DataError(
        f"items.pictures: '{place}' has no picture that column {column} names; expected the folder "
        f"that its paths, such as {example}, start from, and names ending in "
        f"{', '.join(PICTURE_SUFFIXES)}"
    )


def _one_level_off(place: Path, right: Path) -> UsageError:
    return UsageError(
        f"items.pictures: no picture of an item is in '{place}', but they are in '{right}'; set "
        "items.pictures to it"
    )
