"""What a page is made of, before it is HTML: sections of pictures, tables and text."""

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
class Grid:
    """A table: the first ``left`` columns are text, the others figures. A row's first cell names
    the row. ``folded``: what is clicked on to see it; empty where it is seen at once."""

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
    grids: Sequence[Grid] = ()
    listings: Sequence[Listing] = ()
    notes: Sequence[str] = ()

    @property
    def alone(self) -> bool:
        """Whether it is one picture and nothing else, which leaves room beside it."""
        return len(self.pictures) == 1 and not (self.grids or self.listings or self.notes)


def picture(figure: Figure, name: str, title: str, caption: str, says: str) -> Picture:
    """``says`` is what the figure shows, with its numbers, for who does not see it."""
    name = re.sub(r"[^\w-]", "-", name)
    return Picture(name, title, caption, svg(figure, name, title, says))


def shown(estimate: Estimate | None, signed: bool = False) -> str:
    """An estimate in a table."""
    if estimate is None:
        return "–"
    if estimate.se != estimate.se:
        return f"{estimate.value:+.4f}" if signed else f"{estimate.value:.4f} ± ?"
    return estimate.signed() if signed else str(estimate)


def listed(items: Sequence[str], most: int = 12) -> str:
    """As one sentence's enumeration, of at most so many."""
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
