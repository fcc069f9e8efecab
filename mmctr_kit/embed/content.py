"""The text and image of items, as a recipe reads them: vectors, and which items have one."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np

from mmctr_kit.data.contract import FILES, PAD, Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load_encoded
from mmctr_kit.data.modalities import Quality, held_modalities, item_coverage, load_modality
from mmctr_kit.data.parquet import column_names
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.files import regular
from mmctr_kit.metrics.ranks import Flags, Floats32
from mmctr_kit.recipe import Items

DROP_COLUMNS = ("item_id", "modality", "reason")
"""The header of a file for ``items.drop_modality``."""


@dataclass(frozen=True, eq=False)
class Content:
    """What is known of the items' text and image.

    Each modality is read from the file ``encoded`` if that has it (a column ``text`` or ``image``,
    as ``items encode`` writes them), else from item_feature.parquet. The items that the file
    ``drop`` names lack the modality that stands beside them, whatever the other files say.
    """

    data: ChallengeData
    encoded: Path | None = None
    drop: Path | None = None

    @classmethod
    def of(cls, data: ChallengeData, items: Items) -> "Content":
        """The content that a recipe's items are made of.

        Raises UsageError if a file that the recipe names does not exist, and DataError if it holds
        something else than it should.
        """
        files = {"items.encoded": items.encoded, "items.drop_modality": items.drop_modality}
        for key, file in files.items():
            if file is not None and not Path(file).is_file():
                raise UsageError(f"no file at '{file}' (recipe key {key})")
        encoded, drop = (None if file is None else Path(file) for file in files.values())
        return cls(data, encoded, drop)

    @cached_property
    def _encodes(self) -> tuple[Modality, ...]:
        if self.encoded is None:
            return ()
        columns = column_names(self.encoded)
        encoded = tuple(m for m in get_args(Modality) if m in columns)
        if not encoded:
            raise DataError(
                f"{self.encoded} has no column text or image; expected a file of "
                "'mmctr-kit items encode' (a file with the column vector is for items.file)"
            )
        return encoded

    @cached_property
    def held(self) -> tuple[Modality, ...]:
        """The modalities that the files hold, text first."""
        held = {*self._encodes, *held_modalities(self.data)}
        return tuple(m for m in get_args(Modality) if m in held)

    def files(self, *modalities: Modality) -> dict[str, Path]:
        """The files that the vectors of these modalities are read from, by a name of its role."""
        files = {}
        if set(modalities) - set(self._encodes):
            files["file"] = self.data.folder / FILES["item_feature"].path
        if self.encoded is not None and set(modalities) & set(self._encodes):
            files["encoded"] = self.encoded
        return files if self.drop is None or not files else {**files, "drop": self.drop}

    def vectors(self, modality: Modality) -> Floats32:
        """(n_items + 1, d) float32; zeros for the padding item and for items without the modality.

        Raises DataError if neither file holds the modality.
        """
        if modality in self._encodes:
            assert self.encoded is not None
            vectors = load_encoded(self.data, self.encoded, modality)
        else:
            vectors = load_modality(self.data, modality)
        dropped = self._dropped.get(modality)
        return vectors if dropped is None else np.where(dropped[:, None], np.float32(0), vectors)

    def present(self, modality: Modality) -> Flags | None:
        """(n_items + 1,) whether an item has the modality; None if no file says."""
        dropped = self._dropped.get(modality, np.zeros(self.data.n_items + 1, np.bool_))
        if modality in self._encodes:
            return np.asarray(self.vectors(modality).any(axis=1))
        quality = getattr(item_coverage(self.data), modality)
        if quality is None:
            return ~dropped if dropped.any() else None
        return np.asarray((quality != Quality.MISSING) & ~dropped)

    @cached_property
    def _dropped(self) -> Mapping[Modality, Flags]:
        return {} if self.drop is None else read_dropped(self.drop, self.data.n_items)


def read_dropped(path: Path, n_items: int) -> dict[Modality, Flags]:
    """The items (n_items + 1,) that a CSV file of :data:`DROP_COLUMNS` names, by modality.

    Raises DataError that names the first line which is no item and modality.
    """
    dropped: dict[Modality, Flags] = {}
    try:
        with regular(path).open(encoding="utf-8-sig", newline="") as handle:
            lines = csv.DictReader(handle)
            header = tuple(lines.fieldnames or ())
            if not set(DROP_COLUMNS[:2]) <= set(header):
                raise DataError(
                    f"{path} begins with {','.join(header) or 'nothing'}; expected the header "
                    f"{','.join(DROP_COLUMNS)}, as 'mmctr-kit items quality --drop' writes it"
                )
            for line in lines:
                item, modality = str(line["item_id"]).strip(), str(line["modality"]).strip()
                known = next((m for m in get_args(Modality) if m == modality), None)
                number = int(item) if item.isascii() and item.isdigit() else PAD
                if known is None or not 1 <= number <= n_items:
                    raise DataError(
                        f"{path}, line {lines.line_num}: found item_id {item!r} and modality "
                        f"{modality!r}; expected an item 1..{n_items} and text or image"
                    )
                flags = dropped.setdefault(known, np.zeros(n_items + 1, np.bool_))
                flags[number] = True
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({e})") from e
    return dropped
