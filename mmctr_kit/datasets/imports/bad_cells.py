"""Cells of a log that cannot be used: an error of one column, and one that tells all together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kit.datasets.imports.tables import Batch
from mmctr_kit.datasets.imports.values import texts
from mmctr_kit.errors import DataError, plural
from mmctr_kit.metrics.ranks import Ids, Ints

MOST = 5
"""Kinds of bad cells that an error names."""


class BadCellsError(DataError):
    """Cells of one column that cannot be used; its text names the first.

    ``rows`` (cells,), ascending from 0, are those of ``batch``; ``expected`` says what they should
    hold. An id or a moment that is not there is ``missing``, whatever the cells hold.
    """

    def __init__(
        self, batch: Batch, column: str, rows: Ids, expected: str, missing: bool = False
    ) -> None:
        self.batch, self.column, self.expected, self.missing = batch, column, expected, missing
        self.rows = np.asarray(rows, np.int64)
        first = int(rows[0])
        super().__init__(f"{batch.row(first)}: {self.found(first)}; expected {expected}")

    def found(self, row: int) -> str:
        """What a bad cell is, in words."""
        if self.missing:
            return f"no {self.column}"
        value = texts(self.batch.columns[self.column].slice(row, 1))[0].as_py()
        return f"{self.column} is {value[:40]!r}" if value else f"{self.column} is empty"

    def kinds(self) -> list[Ints]:
        """The rows whose cells are empty, and the others; without either if there is none."""
        cells = texts(self.batch.columns[self.column].take(pa.array(self.rows)))
        empty = np.asarray(pc.fill_null(pc.equal(cells, ""), True))
        parts = [self.rows] if self.missing else [self.rows[empty], self.rows[~empty]]
        return [rows for rows in parts if len(rows)]


@dataclass
class _Kind:
    """Cells of one column that are empty, or hold something else; ``found`` is the first."""

    source: str
    place: str
    found: str
    expected: str
    count: int

    def shown(self, with_source: bool) -> str:
        where = f"{self.source}, {self.place}" if with_source else self.place
        more = f", the first of {self.count:,}" if self.count > 1 else ""
        wanted = f"; expected {self.expected}" if self.expected else ""
        return f"{self.found} ({where}{more}{wanted})"


class BadRows:
    """The rows of a log with a bad cell, batch after batch; ``rows`` is their number."""

    def __init__(self) -> None:
        self.rows = 0
        self._kinds: dict[tuple[str, bool], _Kind] = {}
        self._first: BadCellsError | None = None

    def add(self, found: Sequence[BadCellsError]) -> None:
        """Count the bad cells of the next batch, at most one error for each of its columns."""
        if not found:
            return
        self._first = self._first or found[0]
        self.rows += len(np.unique(np.concatenate([cells.rows for cells in found])))
        parts = [(cells, rows) for cells in found for rows in cells.kinds()]
        for cells, rows in sorted(parts, key=lambda part: int(part[1][0])):
            first = int(rows[0])
            what, batch = cells.found(first), cells.batch
            plain = not (cells.missing or what.endswith(" is empty"))
            if kind := self._kinds.get((cells.column, plain)):
                kind.count += len(rows)
                continue
            self._kinds[cells.column, plain] = _Kind(
                str(batch.source),
                batch.place(batch.first + first),
                what,
                cells.expected if plain else "",
                len(rows),
            )

    def error(self) -> DataError:
        """One line with the first cell of each kind, and how many there are; ``rows`` is not 0."""
        assert self._first is not None
        kinds = list(self._kinds.values())
        if self.rows == len(kinds) == 1:
            return DataError(*self._first.args)
        sources = {kind.source for kind in kinds}
        where = sources.pop() if len(sources) == 1 else "interactions.files"
        shown = [kind.shown(where == "interactions.files") for kind in kinds[:MOST]]
        if len(kinds) > MOST:
            shown.append(f"and {plural(len(kinds) - MOST, 'other kind')}")
        return DataError(
            f"{where}: {plural(self.rows, 'row')} cannot be used: {', '.join(shown)}; mend or "
            "remove them, or mend the SPEC if they are right"
        )
