"""What a page is made of before it is HTML: sections of pictures, tables and text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.figures.style import svg


@dataclass(frozen=True)
class Picture:
    """``name`` is its id on the page; ``markup`` the SVG element."""

    name: str
    title: str
    caption: str
    markup: str


@dataclass(frozen=True)
class Table:
    """The first ``left`` columns are text, the others numbers. A row's first cell names the row.

    ``folded``: the text to click on to unfold the table; empty if it is shown at once.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    folded: str = ""


@dataclass(frozen=True)
class Listing:
    """Text of a fixed width, folded away."""

    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """``name`` is its id on the page; ``lead`` says in a sentence or two how to read it."""

    name: str
    title: str
    lead: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    listings: Sequence[Listing] = ()
    notes: Sequence[str] = ()

    @property
    def alone(self) -> bool:
        """Whether it is one picture and nothing else, which leaves room beside it."""
        return len(self.pictures) == 1 and not (self.tables or self.listings or self.notes)


def picture(figure: Figure, name: str, title: str, caption: str, description: str) -> Picture:
    """``description`` says what the figure shows, with its numbers, for those who cannot see it."""
    name = re.sub(r"[^\w-]", "-", name)
    return Picture(name, title, caption, svg(figure, name, title, description))


def estimate_text(estimate: Estimate | None, signed: bool = False) -> str:
    """The text of an estimate in a table; a dash if there is none."""
    if estimate is None:
        return "–"
    return estimate.signed() if signed else str(estimate)


def enumeration(items: Sequence[str], most: int = 12) -> str:
    """The items with commas between them; beyond ``most`` only how many more there are."""
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def sentence(text: str) -> str:
    """The text with a capital letter at its beginning and a full stop at its end."""
    return text[:1].upper() + text[1:].removesuffix(".") + "."
