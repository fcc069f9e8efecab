"""Columns of tables as texts, whatever their type: ids, titles and tags."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kit.data.parquet import first_line
from mmctr_kit.datasets.imports.tables import Batch
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Ints, first_rounded

_WHOLE = 2.0**63
"""Whole floats below this have all their digits in an int64."""
UNKNOWN, NO_ID = -1, -2
"""What :class:`ItemIndex` finds for an id that the log lacks, and for a row without an id."""


def texts(column: pa.Array) -> pa.LargeStringArray:
    """The column as texts, null where it is null.

    Whole numbers have no point and no exponent, also as floats: 7.0 is "7". NaN is null. Raises
    DataError for a column of lists or structures.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return texts(column.dictionary_decode())
    if pa.types.is_nested(kind):
        raise DataError(f"expected one value a row; found {kind}")
    if not pa.types.is_floating(kind):
        return pc.cast(column, pa.large_string())
    if pa.types.is_float16(kind):
        column = pc.cast(column, pa.float32())
    column = pc.if_else(pc.is_nan(column), None, column)
    whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), _WHOLE))
    numbers = pc.cast(pc.if_else(whole, column, None), pa.int64())
    return pc.coalesce(pc.cast(numbers, pa.large_string()), pc.cast(column, pa.large_string()))


class ItemIndex:
    """Finds the items of the log by their original ids.

    ``ids`` (n,) large_string without nulls or repeats. ``strip`` takes blanks from around the ids
    that are looked up; without it an id with blanks around it is refused.
    """

    def __init__(self, ids: pa.LargeStringArray, strip: bool) -> None:
        self._ids, self._strip = ids, strip
        self._positions = {text: i for i, text in enumerate(ids.to_pylist())}

    def __len__(self) -> int:
        return len(self._positions)

    def name(self, position: int) -> str:
        """The id at a position, for errors."""
        return str(self._ids[position])

    def position(self, text: str) -> int | None:
        """The position of an id."""
        return self._positions.get(text)

    def names(self) -> list[str]:
        """All ids."""
        return list(self._positions)

    def find(self, batch: Batch, column: str) -> Ints:
        """(rows,) int64: the position in ``ids`` of each row's id, or UNKNOWN, or NO_ID.

        Raises DataError, with the row, for an id with blanks around it, and for lists as ids.
        """
        ids = id_texts(batch, column)
        trimmed = pc.utf8_trim_whitespace(ids)
        if not self._strip:
            blank = pc.fill_null(pc.not_equal(ids, trimmed), False)
            if (row := pc.index(blank, True).as_py()) >= 0:
                raise DataError(
                    f"{batch.row(row)}: {column} is {str(ids[row])!r}, with blanks around it; mend "
                    "the file, or set interactions.strip: true"
                )
        known = self._positions
        positions = [known.get(text, UNKNOWN) if text else NO_ID for text in trimmed.to_pylist()]
        return np.array(positions, np.int64)


def id_texts(batch: Batch, column: str) -> pa.LargeStringArray:
    """A column of ids as texts; DataError for a float that whole numbers round to."""
    values = batch.columns[column]
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type):
        least = first_rounded(np.dtype(values.type.to_pandas_dtype()))
        large = pc.fill_null(pc.greater_equal(pc.abs(values.cast(pa.float64())), least), False)
        if (row := pc.index(large, True).as_py()) >= 0:
            raise DataError(
                f"{batch.row(row)}: {column} {values[row].as_py():.17g} is a {values.type}, which "
                "other whole numbers round to as well, so that different ids would be one; write "
                "the column as integers or as text"
            )
    return texts_of(batch, column)


def texts_of(batch: Batch, column: str) -> pa.LargeStringArray:
    """A column of a table as :func:`texts`; its errors name the file and the column."""
    try:
        return texts(batch.columns[column])
    except DataError as e:
        raise DataError(f"{batch.source}, column {column}: {e}") from e
    except pa.ArrowInvalid as e:  # bytes that are no text
        raise DataError(f"{batch.source}, column {column}: {first_line(e)}") from e
