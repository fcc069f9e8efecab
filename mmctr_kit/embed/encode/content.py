"""What there is to encode of each item: its title, and the file of its picture."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmctr_kit.data.contract import FILES
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.data.parquet import ints, ragged, read_table, require_folder
from mmctr_kit.embed.pictures import picture_paths
from mmctr_kit.errors import DataError, UsageError, plural
from mmctr_kit.files import regular

_FEATURES = FILES["item_feature"]


@dataclass(frozen=True)
class Content:
    """Titles and pictures of the items 1..n_items.

    ``titles``: of each item, its text for an encoder; empty if it has none. ``pictures``: the file
    of each item that has one.
    """

    titles: tuple[str, ...]
    pictures: Mapping[int, Path]

    @property
    def n_items(self) -> int:
        return len(self.titles)

    def title(self, item_id: int) -> str:
        return self.titles[item_id - 1]

    def digests(self) -> dict[str, object]:
        """What tells whether titles and pictures are still the same: a picture's file is not read.

        A picture counts as unchanged if its name, its size and its time of change are.
        """
        stats = ((i, path.name, path.stat()) for i, path in sorted(self.pictures.items()))
        pictures = [(i, name, s.st_size, s.st_mtime_ns) for i, name, s in stats]
        return {
            "items": self.n_items,
            "titles": fingerprint(self.titles),
            "pictures": fingerprint(pictures),
        }


def read_content(data: Path, text: bool, image: bool, tag_names: Path | None = None) -> Content:
    """Read what is to be encoded of a data folder.

    ``tag_names``: a CSV file with the columns tag_id and name; the names of an item's tags are then
    appended to its title. Raises DataError if the folder has no titles, or no pictures.
    """
    require_folder(data)
    info = ints(read_table(data, FILES["item_info"], ["item_id"])["item_id"])
    titles = [""] * int(info.max(initial=0))
    if text:
        _fill_titles(titles, data, None if tag_names is None else _tag_names(tag_names))
    pictures = picture_paths(data) if image else {}
    pictures = {i: path for i, path in pictures.items() if 0 < i <= len(titles)}
    if image and not pictures:
        raise DataError(
            f"'{data}' has no pictures of its items; expected item_images/1.jpg and so on"
        )
    return Content(tuple(titles), pictures)


def _fill_titles(titles: list[str], data: Path, names: Mapping[int, str] | None) -> None:
    if not (data / _FEATURES.path).is_file():
        raise DataError(f"'{data}' has no {_FEATURES.path}, which holds the titles")
    columns = read_table(
        data, _FEATURES, ["item_id", "item_title"] + ([] if names is None else ["item_tags"])
    )
    ids, given = ints(columns["item_id"]), columns["item_title"]
    assert isinstance(given, list)
    if len(ids) and not (ids.min() >= 1 and ids.max() <= len(titles)):
        raise DataError(f"{_FEATURES.path} has item_ids outside 1..{len(titles)} of item_info")
    if len(set(ids.tolist())) != len(ids):
        raise DataError(f"{_FEATURES.path} has several rows of one item_id; expected one each")
    for item, title in zip(ids.tolist(), given, strict=True):
        titles[item - 1] = " ".join(title.split())
    if names is not None:
        tags = ragged(columns["item_tags"])
        named: dict[int, list[str]] = {}
        for row, tag in zip(tags.rows.tolist(), tags.values.tolist(), strict=True):
            if tag in names:
                named.setdefault(int(ids[row]), []).append(names[tag])
        for item, words in named.items():
            if titles[item - 1]:  # an empty title stays missing
                titles[item - 1] += f". {', '.join(words)}"
    if not any(titles):
        raise DataError(f"all {plural(len(ids), 'title')} of {_FEATURES.path} are empty")


def _tag_names(path: Path) -> dict[int, str]:
    try:
        with regular(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return {int(row["tag_id"]): row["name"].strip() for row in rows}
    except FileNotFoundError as e:
        raise UsageError(f"no file of tag names at '{path}'") from e
    except (OSError, ValueError, KeyError, AttributeError) as e:
        raise DataError(f"{path} is no file of tag names; expected a CSV with tag_id,name") from e
