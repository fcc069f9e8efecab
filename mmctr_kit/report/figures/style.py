"""The style of figures, and their conversion to SVG elements of a page.

Figures are drawn narrow, so that their text is readable on a phone. A colour has one meaning on
the whole page, and becomes a variable of the page (``var(--c1)``), which its style sheet sets for
light and dark. Text stays text, in the page's font. What :func:`hover` gives a figure is shown by
a browser when the pointer rests there.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, MUTED, GRID = "#1b1f24", "#59636e", "#d1d9e0"
COLOURS = ("#8250df", "#bc4c00", "#1a7f37", "#bf3989", "#57606a", "#136c70", "#8a6100", "#cf222e")
"""Each has a contrast of 4.5:1 to white; the page's style sheet has lighter ones for dark. Blue is
for what can be clicked on, and for nothing else."""
_MEANINGS = ("valid", "OOF", "test", "positives", "negatives", "fold", "amount", "bad")
"""What each colour stands for: a split, a label, fold models, an amount without a split (weights,
seconds, importance), something bad."""
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
"""Line styles, so that lines differ without their colours, too."""
WIDTH = 4.0
"""Inches; all figures have this width."""
SMALL = 9.5
"""Points of the smallest text: 11 pixels on a page that is 400 pixels wide."""

_NAMES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {
    colour: f"--c{i + 1}" for i, colour in enumerate(COLOURS)
}
# The sizes of labels and legends follow font.size. The stub wants a literal type with every key.
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mmctr-kit",
    "text.parse_math": False,
    "font.size": SMALL,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.0,
    "figure.facecolor": "none",
    "lines.linewidth": 1.6,
}
_Places = Sequence[Any] | NDArray[Any]
HALO = "halo"
"""The gid of a text that lies over lines: it gets a rim in the colour of what is behind it."""
_HOVER = "hover"
_REACH = 7.0
"""How near, in points, the pointer must be to a point with a text."""
_SVG = "{http://www.w3.org/2000/svg}"


@contextmanager
def canvas(height: float) -> Iterator[Figure]:
    """An empty figure of this height in inches; its style holds while the block runs."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(WIDTH, height), layout="constrained")


def colour(label: str) -> str:
    """The colour of what the label names with its first word, as in ``OOF (fold models)``.

    Raises ValueError if no colour stands for that: what is new on a page needs a meaning first.
    """
    return COLOURS[_MEANINGS.index(re.split(r"[\s,:]", label)[0])]


def marker(label: str) -> str:
    """The marker of what has :func:`colour`, so that points differ without their colours, too."""
    return "os^DvP*X"[COLOURS.index(colour(label))]


def dashes(number: int) -> str | tuple[int, tuple[float, ...]]:
    """The style of the line of this number, from 0, among lines of one colour."""
    return DASHES[number % len(DASHES)]


def shade(number: int, count: int) -> float:
    """The opacity of part ``number`` of ``count`` parts of one colour, from strong to light."""
    return 1.0 - 0.7 * number / max(1, count - 1)


def hover(axes: Axes, x: _Places, y: _Places, texts: Sequence[str]) -> None:
    """Show a text when the pointer is at a point of the figure, (points,) each.

    A point that is not finite is not drawn, and has no text.
    """
    places = np.column_stack([np.asarray(x, np.float64), np.asarray(y, np.float64)])
    drawn = np.flatnonzero(np.isfinite(places).all(axis=1)).tolist()
    if drawn:
        gid = "|".join([_HOVER, *(texts[i].replace("|", "/") for i in drawn)])
        axes.plot(*places[drawn].T, "o", alpha=0.0, gid=gid, clip_on=False)


def short(name: str, most: int = 24) -> str:
    """The name, shortened in the middle if it is longer than ``most``."""
    if len(name) <= most:
        return name
    head = (most - 1) * 2 // 3
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an SVG element for a page with other figures.

    ``name`` makes its ids unique on the page; screen readers read ``title`` and ``description``.
    """
    out = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        # Not by savefig(), which draws everything twice.
        backend: Any = FigureCanvasSVG(figure)
        backend.print_svg(out, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(out.getvalue())
    for parent in root.iter():
        for child in [*parent.findall(f"{_SVG}metadata"), *parent.findall(f"{_SVG}style")]:
            parent.remove(child)
    for group in [g for g in root.iter(f"{_SVG}g") if g.get("id", "").startswith(f"{_HOVER}|")]:
        _put_texts(group)
    used = set(re.findall(r'(?:href="|url\()#([\w-]+)', out.getvalue()))
    for element in root.iter():
        _clean(element, name, used)
    for attribute in ("width", "height", "version"):
        del root.attrib[attribute]
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-text"}
    for tag, key, text in (("desc", "text", description), ("title", "title", title)):
        child = ElementTree.Element(tag, {"id": f"{name}-{key}"})
        child.text = text
        root.insert(0, child)
    text = ElementTree.tostring(root, encoding="unicode")
    return re.sub(r"\s*\n\s*", " ", text)


def _put_texts(group: ElementTree.Element) -> None:
    """Make circles with texts, which nobody sees, of a group of markers that :func:`hover` drew."""
    texts = group.get("id", "").split("|")[1:]
    points = [(use.get("x", ""), use.get("y", "")) for use in group.iter(f"{_SVG}use")]
    group.clear()
    group.set("class", "hover")
    for (x, y), text in zip(points, texts, strict=True):
        circle = ElementTree.SubElement(group, "circle", {"cx": x, "cy": y, "r": f"{_REACH:g}"})
        ElementTree.SubElement(circle, "title").text = text


def _clean(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Remove namespaces, unused ids and needless digits; use the page's colours and font.

    What a ``style`` holds becomes attributes: the page's content security policy allows no style.
    """
    element.tag = element.tag.rpartition("}")[2]
    old = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    parts = [p.partition(":") for p in _plain_style(old.pop("style", "")).split(";") if p.strip()]
    old |= {key.strip(): value.strip() for key, _, value in parts}
    element.attrib = {k: _value(k, v, name) for k, v in old.items() if k != "id" or v in used}
    if old.get("id") == HALO:
        element.set("class", HALO)
    if element.text is not None and not element.text.strip():
        element.text = None
    element.tail = None


def _value(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" or "url(" in value:
        return re.sub(r"#([\w-]+)", rf"#{name}-\1", value)
    if key in ("d", "x", "y", "cx", "cy", "transform", "points"):
        return re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m.group()):.2f}", value)
    return value


def _plain_style(style: str) -> str:
    """The style with the page's font and colours."""
    style = re.sub(r"font: ([\d.]+px) [^;]*", r"font-size: \1", style)
    style = re.sub(r"font-family: [^;]*;?\s*", "", style)
    for tint, variable in _NAMES.items():
        style = style.replace(tint, f"var({variable})")
    return style
