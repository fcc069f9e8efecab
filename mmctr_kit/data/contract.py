"""The challenge's contract: file names, columns, sizes and tasks of MMCTR (MicroLens_1M_x1).

Nothing here is computed; every other module takes these facts from here and from nowhere else.
Source: the data set card and rules of the WWW 2025 EReL@MIR multimodal CTR challenge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

ColumnKind = Literal["int", "text", "ints", "floats"]
"""``int`` and ``text`` are one value a row; ``ints`` and ``floats`` one array or list a row."""

Split = Literal["train", "valid", "test"]
Modality = Literal["text", "image"]
FoldsBy = Literal["user", "item", "time"]
"""What the train rows are divided by into folds; see :mod:`mmctr_kit.data.folds`."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
MAX_HISTORY = 64
MAX_TAGS = 5
N_LEVELS = 11
"""likes_level and views_level are 1..10, 0 is padding."""
PAD = 0
"""The id of the padding item, the padding tag and the padding level."""
TEXT_DIM = 768
IMAGE_DIM = 1024
GIVEN_DIM = 128

GivenEmbedding = Literal["v1", "v2", "v3", "e4"]
GIVEN_EMBEDDINGS: tuple[GivenEmbedding, ...] = ("v1", "v2", "v3", "e4")


@dataclass(frozen=True)
class Column:
    """One column of a file. ``width`` is the challenge's array width, None if it varies.

    The challenge's own files lack an ``optional`` column; data of your own may have it.
    """

    name: str
    kind: ColumnKind
    width: int | None = None
    optional: bool = False


@dataclass(frozen=True)
class File:
    """One parquet file of the download: its path under the data folder and its columns."""

    path: str
    columns: tuple[Column, ...]
    known_rows: int
    needed: bool

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns that the file must have."""
        return tuple(c.name for c in self.columns if not c.optional)


TIME = "time"
"""When a row's interaction happened, in milliseconds since 1970-01-01 UTC. All splits have this
column or none; the challenge's have none. No model reads it."""
_TIME = Column(TIME, "int", optional=True)
_ROW_COLUMNS = (
    Column("user_id", "int"),
    Column("item_seq", "ints", MAX_HISTORY),
    Column("item_id", "int"),
    Column("likes_level", "int"),
    Column("views_level", "int"),
)
_LABELLED = (*_ROW_COLUMNS, Column("label", "int"), _TIME)
_FOLDER = "MicroLens_1M_x1"

FILES: Mapping[str, File] = MappingProxyType(
    {
        "train": File(f"{_FOLDER}/train.parquet", _LABELLED, 3_600_000, True),
        "valid": File(f"{_FOLDER}/valid.parquet", _LABELLED, 10_000, True),
        "test": File(
            f"{_FOLDER}/test.parquet", (Column("ID", "int"), *_ROW_COLUMNS, _TIME), 379_142, True
        ),
        "item_info": File(
            f"{_FOLDER}/item_info.parquet",
            (
                Column("item_id", "int"),
                Column("item_tags", "ints", MAX_TAGS),
                Column("item_emb_d128", "floats", GIVEN_DIM),
            ),
            91_718,
            True,
        ),
        "item_feature": File(
            "item_feature.parquet",
            (
                Column("item_id", "int"),
                Column("item_title", "text"),
                Column("item_tags", "ints"),
                Column("likes_level", "int"),
                Column("views_level", "int"),
                Column("txt_emb_BERT", "floats", TEXT_DIM),
                Column("img_emb_CLIPRN50", "floats", IMAGE_DIM),
            ),
            91_717,
            False,
        ),
        "item_emb": File(
            "item_emb.parquet",
            (
                Column("item_id", "int"),
                *(Column(f"item_emb_d128_{v}", "floats", GIVEN_DIM) for v in GIVEN_EMBEDDINGS),
            ),
            91_717,
            False,
        ),
        "item_seq": File(
            "item_seq.parquet",
            (Column("user_id", "int"), Column("item_seq", "ints")),
            1_000_000,
            False,
        ),
    }
)
IMAGES_FOLDER = "item_images"
"""Optional: ``item_images/{item_id}.jpg``."""
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""File names of pictures end in one of these; the first counts if an item has several files."""
KNOWN_LABEL_MEAN = 0.25
KNOWN_ROWS_PER_USER = 4


class Task(StrEnum):
    """The challenge's tracks; the value is the submission's column name."""

    TASK1 = "Task1"
    TASK2 = "Task2"
    BOTH = "Task1&2"


SUBMISSION_ID = "ID"
ATTEMPTS_PER_DAY = 5
"""How many submissions a team may upload a day; the kit counts them for each task."""
