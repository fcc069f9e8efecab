"""The console that everything printed goes through: what files and users name is only ever text."""

import re
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mmctr_kit.errors import visible


class Screen(Console):
    """A rich console that shows control characters of texts as code points.

    So no name, cell or path can move the cursor, hide text or give a command to the terminal. The
    console's own styles and cursor movements stay what they are. Codes like ``:bug:`` are no emoji.
    """

    def __init__(
        self, stderr: bool = False, width: int | None = None, file: IO[str] | None = None
    ) -> None:
        super().__init__(stderr=stderr, width=width, file=file, highlight=False, emoji=False)

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as rich does. Before rich reads it, since it drops some characters silently."""
        super().print(*(visible(x) if isinstance(x, str) else x for x in objects), **how)

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Drop the blanks that fill lines, such as a table's, unless a terminal shows them."""
        text = super()._render_buffer(buffer)
        return text if self.is_terminal else re.sub(r" +(?=\n)", "", text)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of what is printed, tables and bars too, each of them harmless."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)
