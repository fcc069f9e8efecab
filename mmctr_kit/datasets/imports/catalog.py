"""What is known of an import's items: titles, tags, texts and ready vectors, by new id."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mmctr_kit.data.contract import GivenEmbedding
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.datasets.imports.tables import Read
from mmctr_kit.metrics.ranks import Floats32, Ints


@dataclass(frozen=True)
class Catalog:
    """Items 1..n; row i of everything is item i + 1.

    ``titles`` (n,) large_string, with the year as MovieLens writes it, "" if unknown; ``tags``
    ascending tag ids from 1, whose names are ``tag_names``; ``text`` (n, d) and ``image`` (n, d)
    float32, None if nothing is known of any item. ``text`` is ready vectors or, without them, latent
    semantic analysis of the words (d <= 128, rows of unit length). A row of an item without text or
    image is zero. ``counts`` are the numbers behind ``notes``, which are sentences to print.
    """

    titles: pa.LargeStringArray
    tags: Ragged
    tag_names: list[str]
    text: Floats32 | None
    image: Floats32 | None
    counts: Mapping[str, int]
    notes: list[str]

    def feature(self) -> dict[str, object]:
        """The columns of item_feature but item_id and the levels, for layout.write_items."""
        raise NotImplementedError

    def given(self, workers: int) -> tuple[Mapping[GivenEmbedding, Floats32], GivenEmbedding | None]:
        """The embeddings (n, 128) float32 of item_emb, and the one that item_info holds.

        v1 is of text, v2 of image, v3 and e4 of both; ({}, None) without text and image, and then
        write_items makes item_info's embedding zeros and writes no item_emb.
        """
        raise NotImplementedError


def read_catalog(
    spec: Spec, folder: Path, items: pa.LargeStringArray, counts: Ints, listen: Read = lambda _: None
) -> Catalog:
    """The catalog of the log's ``items``, (n,) original ids of new ids 1..n, without nulls.

    ``counts`` (n,) is how often the log has each: texts of many items are learned from the most
    frequent. ``folder`` is what the paths of the SPEC start from; ``listen`` gets the share of the
    items table that was read. Without ``spec.items`` and ``spec.vectors`` nothing is known of any
    item. Raises UsageError for a file that is absent, and DataError, with the row, for an id with
    blanks around it (unless ``spec.interactions.strip``), a table or vectors that hold none of the
    items, and values that cannot be read.
    """
    raise NotImplementedError
