"""What a page is made of before it is HTML: sections of pictures, tables and text."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from matplotlib.figure import Figure

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.figures.style import svg

T = TypeVar("T")
MOST_ROWS = 40
"""A figure has no more rows than this, which nobody would read; a table has all of them."""


@dataclass(frozen=True)
class Picture:
    """A figure on the page; ``name`` is its id there, ``markup`` the SVG element."""

    name: str
    title: str
    caption: str
    markup: str


@dataclass(frozen=True)
class Table:
    """The first ``left`` columns are text, the others numbers. A row's first cell names the row.

    ``folded``: the text to click on to unfold the table; empty if it is shown at once. ``links``:
    where each row's name leads; empty if it is no link.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    folded: str = ""
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Thumbnail:
    """A small photograph: ``source`` is a data URI, empty if there is nothing to show.

    ``name`` and ``lines`` stand below it; ``description`` is for those who cannot see it.
    """

    name: str
    lines: Sequence[str]
    source: str
    description: str


@dataclass(frozen=True)
class Section:
    """A part of the page; ``name`` is its id, ``lead`` says how to read it.

    ``listings`` are titles and texts of a fixed width, folded away.
    """

    name: str
    title: str
    lead: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    listings: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    thumbnails: Sequence[Thumbnail] = ()

    @property
    def alone(self) -> bool:
        """Whether it is one picture and nothing else, which leaves room beside it."""
        return len(self.pictures) == 1 and not (
            self.tables or self.listings or self.notes or self.thumbnails
        )

    @property
    def beside(self) -> bool:
        """Whether it is one picture that has room for the text and the only table beside it."""
        one = len(self.pictures) == len(self.tables) == 1
        return one and not (self.listings or self.thumbnails or self.tables[0].folded)


def picture(figure: Figure, name: str, title: str, caption: str, description: str) -> Picture:
    """The figure as a picture; ``description`` gives its numbers to those who cannot see it."""
    name = re.sub(r"[^\w-]", "-", name)
    return Picture(name, title, caption, svg(figure, name, title, description))


def by_key(each: Mapping[str, Mapping[str, str]]) -> list[tuple[str, ...]]:
    """A row for each key: the key, then the value of each mapping, or a dash."""
    keys = dict.fromkeys(key for values in each.values() for key in values)
    return [(key, *(values.get(key, "–") for values in each.values())) for key in keys]


def flatten(content: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """The values of nested mappings as text, by their dotted keys."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{before}{key}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            flat[f"{before}{key}"] = text
    return flat


def estimate_text(estimate: Estimate | None, signed: bool = False) -> str:
    """The text of an estimate in a table; a dash if there is none."""
    if estimate is None:
        return "–"
    return estimate.signed() if signed else str(estimate)


def largest(items: Sequence[T], size: Callable[[T], float], most: int = MOST_ROWS) -> list[T]:
    """The ``most`` items of the largest size, in their order."""
    order = sorted(range(len(items)), key=lambda i: -size(items[i]))[:most]
    return [items[i] for i in sorted(order)]


def which_shown(shown: int, count: int, what: str) -> str:
    """The sentence that a figure shows only some of ``count`` runs; empty if it shows all."""
    return f" The {shown} of {count} runs {what}; the table has all." if shown < count else ""


def enumeration(items: Sequence[str], most: int = 12) -> str:
    """The items with commas between them; beyond ``most`` only how many more there are."""
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def sentence(text: str) -> str:
    """The text with a capital letter at its beginning and a full stop at its end."""
    return text[:1].upper() + text[1:].removesuffix(".") + "."
