"""What is known of an import's items: titles, tags, texts and ready vectors, by new id."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kit.data.contract import GIVEN_DIM, GivenEmbedding
from mmctr_kit.data.modalities import COLUMNS
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.imports.item_table import KnownItems, read_items
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.datasets.imports.tables import Read
from mmctr_kit.datasets.imports.text import Documents, Tokens, embed, tokens
from mmctr_kit.datasets.imports.values import ItemIndex
from mmctr_kit.datasets.imports.vectors import read_vectors
from mmctr_kit.datasets.pca import given_embeddings
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import Floats32, Ints

_CHUNK = 1 << 14


@dataclass(frozen=True)
class Catalog:
    """Items 1..n; row i of everything is item i + 1.

    ``titles`` (n,) large_string, with the year as MovieLens writes it, "" if unknown; ``tags``
    ascending tag ids from 1, whose names are ``tag_names``; ``text`` and ``image`` (n, d) float32,
    None if nothing is known of any item, and zero in the row of an item of which nothing is known.
    ``text`` is the ready vectors (``ready``) or else latent semantic analysis of the words: d <=
    128, rows of unit length. ``counts`` are of the items table's rows and of items; ``notes`` are
    sentences to print.
    """

    titles: pa.LargeStringArray
    tags: Ragged[np.int64]
    tag_names: list[str]
    text: Floats32 | None
    image: Floats32 | None
    ready: bool
    counts: Mapping[str, int]
    notes: list[str]

    def feature(self) -> dict[str, Any]:
        """The columns of item_feature but item_id and the levels, for layout.write_items."""
        columns: dict[str, Any] = {"item_title": self.titles, "item_tags": self.tags}
        vectors = {COLUMNS["text"]: self.text, COLUMNS["image"]: self.image}
        return columns | {name: x for name, x in vectors.items() if x is not None}

    def given(
        self, workers: int
    ) -> tuple[Mapping[GivenEmbedding, Floats32], GivenEmbedding | None]:
        """The embeddings (n, 128) float32 of item_emb, and the name of item_info's.

        v1 is of text, v2 of image, v3 and e4 of both; there are none without text and image. Text
        from words is v1 as it is, ready vectors are reduced by PCA in ``workers`` threads.
        """
        if self.text is None and self.image is None:
            return {}, None
        if self.image is None and not self.ready and self.text is not None:
            missing = GIVEN_DIM - self.text.shape[1]
            return {"v1": np.pad(self.text, ((0, 0), (0, missing))) if missing else self.text}, "v1"
        given = given_embeddings(self.text, self.image, workers)
        return given, next(v for v in ("v3", "v1", "v2") if v in given)


def read_catalog(
    spec: Spec,
    folder: Path,
    items: pa.LargeStringArray,
    counts: Ints,
    listen: Read = lambda _: None,
) -> Catalog:
    """The catalog of the log's ``items``, (n,) original ids of new ids 1..n, without nulls.

    ``counts`` (n,) is how often the log has each: texts of many items are learned from the most
    frequent. ``folder`` is what the paths of the SPEC start from; ``listen`` gets the share of the
    items table that was read. Of rows with the same id the last counts, and they are counted.

    Raises UsageError for a file that is absent, and DataError, with the row, for an id with
    blanks around it (unless ``spec.interactions.strip``), a table or vectors that hold none of the
    items, and values that cannot be read.
    """
    index = ItemIndex(items, spec.interactions.strip)
    known = read_items(spec.items, folder, index, listen)
    vectors = read_vectors(spec.vectors, folder, index, known.order)
    ready = vectors.text is not None
    text = vectors.text if ready else embed(_documents(known), counts)
    numbers = dict(known.counts)
    for name, values in (("text", text), ("image", vectors.image)):
        if values is not None:
            numbers[f"items_without_{name}"] = _zero_rows(values)
    numbers["items_without_title"] = int(pc.sum(pc.equal(known.titles, "")).as_py() or 0)
    return Catalog(
        titles=known.titles,
        tags=known.tags,
        tag_names=known.tag_names,
        text=text,
        image=vectors.image,
        ready=ready,
        counts=numbers,
        notes=[*_notes(numbers, ready), *vectors.notes],
    )


def _documents(known: KnownItems) -> Documents:
    def of_items(items: Ints) -> Tokens:
        titles, described = (
            texts.take(pa.array(items)) for texts in (known.titles, known.descriptions)
        )
        return tokens(titles, known.tags.take(items), known.tag_names, described)

    return of_items


def _zero_rows(values: Floats32) -> int:
    parts = (values[i : i + _CHUNK] for i in range(0, len(values), _CHUNK))
    return sum(int((~part.any(axis=1)).sum()) for part in parts)


def _notes(numbers: Mapping[str, int], ready: bool) -> Iterator[str]:
    """Sentences on what is not as one would wish."""

    def number(name: str, one: str, many: str) -> str | None:
        count = numbers.get(name)
        return plural(count, one, many) if count else None

    if rows := number("rows_without_id", "row has no id", "rows have no id"):
        yield f"{rows} in the items table; left out"
    if rows := number("rows_not_in_log", "row", "rows"):
        yield f"{rows} of the items table are of items that the log lacks; left out"
    if rows := number("rows_repeated", "row", "rows"):
        yield f"{rows} of the items table left out: a later row is of the same item"
    if items := number("items_not_in_table", "item", "items"):
        yield f"{items} of the log not in the items table"
    title = number("items_without_title", "item has", "items have")
    if title and "rows" in numbers:
        yield f"{title} no title"
    if items := number("items_without_text", "item has", "items have"):
        lacks = "no text vector" if ready else "no word in title, tags or description"
        yield f"{items} {lacks}; zero as text embedding"
    if items := number("items_without_image", "item has", "items have"):
        yield f"{items} no image vector, or zeros; zero as image embedding"
