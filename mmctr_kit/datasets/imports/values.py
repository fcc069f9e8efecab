"""Columns of tables as texts, whatever their type: ids, titles and tags."""

import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kit.errors import DataError

_WHOLE = 2.0**63
"""Whole floats below this have all their digits in an int64."""


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
