"""The bar of a terminal or notebook: what is being done, and below it how far and how fast."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.spinner import Spinner
from rich.text import Text

REFRESHES = 4
"""How often a second the bar is drawn; its clock shows that the command is alive."""


def shorten_path(path: str, width: int) -> str:
    """A path of at most ``width`` characters to look at, not to copy: its middle is left out."""
    if len(path) <= width or width < len("a...b"):
        return path
    head = (width - 3) // 3
    return f"{path[:head]}...{path[len(path) - (width - 3 - head) :]}"


def shorten_paths(text: str, width: int) -> str:
    """Shorten the longest path in a text if the text is wider than ``width``."""
    excess = len(text) - width
    paths = [word for word in text.split() if "/" in word]
    if excess <= 0 or not paths:
        return text
    longest = max(paths, key=len)
    return text.replace(longest, shorten_path(longest, max(len(longest) - excess, 20)))


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, like 0:03:40."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


class _Figures(ProgressColumn):
    """The share that is done, the speed, the time since the beginning and the time left."""

    def render(self, task: Task) -> RenderableType:
        share = "" if task.total is None else f"{task.percentage:3.0f}%"
        left = None if task.finished else task.time_remaining
        parts = [share, task.fields["rate"], clock(task.elapsed or 0.0)]
        parts += [] if left is None else [f"{clock(left)} left"]
        return Text("  ".join(part for part in parts if part), no_wrap=True)


class Bar(Progress):
    """A line that says what is being done, wrapped and never cut, above a bar with figures."""

    def __init__(self, console: Console) -> None:
        # A spinner of ASCII signs if the terminal has no others.
        name = "dots" if console.encoding.startswith("utf") else "line"
        self._screen = console
        self._label, self._spinner = "starting", Spinner(name)
        width = max(8, min(40, console.width - 50))
        super().__init__(
            BarColumn(bar_width=width),
            _Figures(),
            console=console,
            transient=True,
            refresh_per_second=REFRESHES,
            # What a command prints goes elsewhere, unless it is the same screen.
            redirect_stdout=console.is_jupyter or _is_screen(),
        )
        self._task = self.add_task("", total=None, rate="")

    def begin(self, label: str, done: float, total: float | None) -> None:
        """Start counting anew; what was done before says nothing about the time left."""
        self._label = label or self._label
        self.reset(self._task, total=total, completed=int(done), rate="")

    def show(
        self, label: str, rate: float, done: float | None = None, total: float | None = None
    ) -> None:
        """Show what is being done, at ``rate`` rows per second unless 0, and how far it is."""
        self._label = label
        fields: dict[str, Any] = {"rate": f"{rate:,.0f} rows/s" if rate else ""}
        if done is not None:
            fields |= {"completed": done, "total": total}
        self.update(self._task, **fields)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The line and the bar."""
        width = self._screen.width - 2
        self._spinner.update(text=Text(shorten_paths(self._label, width), overflow="fold"))
        yield self._spinner
        yield self.make_tasks_table(self.tasks)


def _is_screen() -> bool:
    import sys

    return sys.stdout.isatty()
