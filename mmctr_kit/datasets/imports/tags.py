"""Tags of items from columns of lists, of separated texts, or of 0 and 1."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kit.data.hashing import distinct
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.imports.spec import Items
from mmctr_kit.datasets.imports.tables import Batch
from mmctr_kit.datasets.imports.values import texts, texts_of
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Ints

_LIST = re.compile(r"^\s*\[.*\]\s*$", re.DOTALL)
_PART = re.compile(r"""'([^']*)'|"([^"]*)"|([^,\[\]'"\s][^,\[\]]*)""")


class TagReader:
    """Collects the tags of rows of the items table, batch by batch."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._codes: dict[str, int] = {}
        self._rows: list[Ragged[np.int64]] = []

    def add(self, batch: Batch, rows: Ints) -> None:
        """Read the tags of these rows of the batch."""
        if self._items.tag_flags:
            names, lengths = self._flagged(batch, rows)
        elif self._items.tags:
            names, lengths = self._listed(batch, self._items.tags, rows)
        else:
            names, lengths = pa.array([], pa.large_string()), np.zeros(len(rows), np.int64)
        names = pc.fill_null(pc.utf8_trim_whitespace(names), "")
        no_tag = pa.array(["", *self._items.not_a_tag], pa.large_string())
        is_tag = pc.invert(pc.is_in(names, no_tag))
        owners = np.repeat(np.arange(len(rows)), lengths)[np.asarray(is_tag)]
        coded = names.filter(is_tag).dictionary_encode()
        codes = [self._codes.setdefault(n, len(self._codes)) for n in coded.dictionary.to_pylist()]
        values = np.array(codes, np.int64)[np.asarray(coded.indices)]
        self._rows.append(Ragged.of(values, np.bincount(owners, minlength=len(rows))))

    def finish(self, rows: Ints) -> tuple[Ragged[np.int64], list[str]]:
        """Ascending tag ids of ``rows``, numbered as they were added, and the tags' names.

        -1 is a row without tags. Ids are from 1, in the order of the names; a tag that none of
        ``rows`` has gets none.
        """
        empty = Ragged(np.zeros(0, np.int64), np.zeros(2, np.int64))
        coded = Ragged.concatenate([*self._rows, empty]).take(rows)
        of_code = list(self._codes)
        used = np.bincount(coded.values, minlength=len(of_code)) > 0
        names = sorted(name for name, is_used in zip(of_code, used, strict=True) if is_used)
        ids = np.zeros(len(of_code) + 1, np.int64)
        ids[[self._codes[name] for name in names]] = np.arange(1, len(names) + 1)
        # One number for an item's tag, so that sorting them sorts each item's tags.
        width = len(names) + 1
        pairs = distinct(coded.rows * width + ids[coded.values])
        lengths = np.bincount(pairs // width, minlength=len(rows))
        return Ragged.of(pairs % width, lengths), names

    def _flagged(self, batch: Batch, rows: Ints) -> tuple[pa.LargeStringArray, Ints]:
        flags = np.zeros((len(rows), len(self._items.tag_flags)), np.bool_)
        for place, name in enumerate(self._items.tag_flags):
            values = texts_of(batch, name).take(pa.array(rows))
            flags[:, place] = np.asarray(pc.fill_null(pc.is_in(values, _ONE), False))
            known = np.asarray(pc.is_in(values, _FLAGS))
            if not known.all():
                row = int(np.argmin(known))
                where, value = batch.row(int(rows[row])), values[row].as_py()
                raise DataError(f"{where}: {name} of items.tag_flags is {value!r}; expected 0 or 1")
        names = pa.array(self._items.tag_flags, pa.large_string())
        return names.take(pa.array(np.nonzero(flags)[1])), flags.sum(axis=1)

    def _listed(self, batch: Batch, name: str, rows: Ints) -> tuple[pa.LargeStringArray, Ints]:
        index, values = pa.array(rows), batch.columns[name]
        if pa.types.is_nested(values.type):
            values = values.take(index)
        else:
            values = self._divided(texts_of(batch, name).take(index))
        lengths = np.ones(len(rows), np.int64)
        while _is_list(values.type):
            inner = np.asarray(pc.fill_null(pc.list_value_length(values), 0), np.int64)
            ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(inner)])
            lengths = np.diff(ends[np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])])
            values = pc.list_flatten(values)
        try:
            return texts(values), lengths
        except DataError as e:
            raise DataError(f"{batch.source}, column {name}: {e}") from e

    def _divided(self, column: pa.LargeStringArray) -> pa.Array:
        """Each text as a list; without a separator one tag, or a list if it is in brackets."""
        if self._items.tags_separator:
            return pc.split_pattern(column, self._items.tags_separator)
        return pa.array(
            [None if text is None else _parts(text) for text in column.to_pylist()],
            pa.large_list(pa.large_string()),
        )


_YES, _NO = ["1", "1.0", "true", "True"], ["0", "0.0", "false", "False", "", None]
_ONE, _FLAGS = pa.array(_YES, pa.large_string()), pa.array([*_YES, *_NO], pa.large_string())


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _parts(text: str) -> list[str]:
    """The tags of one text: itself, or the values of a list such as ``['Drama', 3]``."""
    if not _LIST.match(text):
        return [text]
    return [a or b or c for a, b, c in _PART.findall(text)]
