"""Progress of long work: the events that a function reports, and one display for them."""

import logging
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Self

from mmctr_kit.activity import Activity, heard_by
from mmctr_kit.errors import visible

if TYPE_CHECKING:
    from mmctr_kit.api.bar import Bar
    from mmctr_kit.api.screen import Screen
    from mmctr_kit.recipe import Training

Kind = Literal[
    "load",
    "begin",
    "activity",
    "epoch",
    "fold",
    "trial",
    "finalist",
    "cost",
    "note",
    "finished",
    "warning",
]


@dataclass(frozen=True)
class ProgressEvent:
    """One step of long work, as a ``progress`` callable receives it.

    ``text`` is a whole line, empty for a mere update; ``label`` is short enough to stand above a
    bar. ``done`` of ``total`` units (mostly fold models) are finished; ``total`` is None while it
    is unknown. ``detail`` is the kit's own event (epoch, losses, AUC), None if there is none.
    An ``activity`` says what is being done, a few times a second, at ``rate`` rows per second if
    that is not 0.
    """

    kind: Kind
    text: str = ""
    label: str = ""
    done: float = 0.0
    total: float | None = None
    detail: object = None
    rate: float = 0.0


_LOG = logging.getLogger(__name__)

Listener = Callable[[ProgressEvent], None]
Progress = bool | Listener | None
"""None or False: silent but for warnings. True: a bar, or lines if there is no terminal."""

PLAIN_SECONDS = 30.0
"""Without a terminal, a line says how far long work is if nothing was printed for so long."""


class Display:
    """Progress on standard error: a bar on a terminal or in a notebook, plain lines elsewhere.

    ``quiet`` shows warnings alone. ``warn`` prints a warning; by default Python's own.
    ``finished`` becomes True if the work turned out to be done already. Within its ``with`` block
    it also hears what :mod:`mmctr_kit.activity` says.
    """

    def __init__(self, quiet: bool, warn: Callable[[str], None] | None = None) -> None:
        self.quiet, self.finished = quiet, False
        self._warn = warn or (lambda text: warnings.warn(text, UserWarning, stacklevel=5))
        self._stack = ExitStack()
        self._console: Screen | None = None
        self._bar: Bar | None = None
        self._counts = False  # the bar counts what an event with a total has begun
        self._label, self._printed = "", time.monotonic()
        self._start: tuple[float, float] = (time.monotonic(), 0.0)

    def __enter__(self) -> Self:
        if not self.quiet:
            from mmctr_kit.api.screen import Screen

            self._console = Screen(stderr=True, width=None if sys.stderr.isatty() else 80)
            self._stack.enter_context(heard_by(lambda a: self(activity_event(a))))
            if _can_redraw(self._console):
                from mmctr_kit.api.bar import Bar

                self._bar = self._stack.enter_context(Bar(self._console))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, event: ProgressEvent) -> None:
        self.finished = self.finished or event.kind == "finished"
        event = replace(event, text=visible(event.text), label=visible(event.label, one_line=True))
        if event.text and event.kind != "warning":
            _LOG.info("%s", event.text)
        if event.kind == "warning":
            self._warn(event.text)
        elif self._bar is not None:
            self._on_bar(self._bar, event)
        elif not self.quiet:
            self._in_lines(event)

    def _on_bar(self, bar: "Bar", event: ProgressEvent) -> None:
        if event.kind == "begin":
            self._counts = True
            bar.begin(event.label, event.done, event.total)
        elif event.label:
            counted = event.total is not None and (self._counts or event.kind != "activity")
            of_its_own = isinstance(event.detail, Activity)
            if counted and not (of_its_own and self._counts):
                bar.show(event.label, event.rate, event.done, event.total)
            else:
                bar.show(event.label, event.rate)
        if event.text and event.kind not in ("epoch", "fold", "cost"):
            self._print(event.text)

    def _in_lines(self, event: ProgressEvent) -> None:
        now = time.monotonic()
        if event.kind == "begin":
            self._start = (now, event.done)
        text = event.text
        if event.kind == "load" and not text and event.label != self._label:
            text = self._label = event.label
        elif event.kind == "activity" and now - self._printed > PLAIN_SECONDS:
            text = event.label + self._far(event, now)
        if text:
            self._print(text)

    def _far(self, event: ProgressEvent, now: float) -> str:
        """Say the speed, and the time left if it is known."""
        began, before = self._start
        rate = f", {event.rate:,.0f} rows/s" if event.rate else ""
        if event.total is None or event.done <= before:
            return rate
        left = (now - began) / (event.done - before) * (event.total - event.done)
        return f"{rate}, about {span(left)} left"

    def _print(self, text: str) -> None:
        from rich.markup import escape

        assert self._console is not None
        self._printed = time.monotonic()
        if self._console.is_terminal:  # at words, and a path stays whole
            lines = textwrap.wrap(
                text, self._console.width, break_long_words=False, break_on_hyphens=False
            )
            text = "\n".join(lines)
        self._console.print(escape(text), soft_wrap=True)


def _can_redraw(console: "Screen") -> bool:
    """Whether a bar can be drawn again and again in its place."""
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None  # rich would warn at every refresh
    return console.is_terminal and not console.is_dumb_terminal


def activity_event(activity: Activity) -> ProgressEvent:
    """The event of an activity that belongs to nothing which is counted."""
    total = activity.total or None
    return ProgressEvent(
        "activity", "", str(activity), activity.done, total, activity, activity.rate
    )


@contextmanager
def listening(progress: Progress) -> Iterator[Listener]:
    """The listener that a function's ``progress`` argument asks for."""
    if callable(progress):
        hear = progress
        with heard_by(lambda activity: hear(activity_event(activity))):
            yield progress
        return
    with Display(quiet=not progress) as display:
        yield display


_AT_WORK = 3
"""How many models that are at work at once are named."""


class AtWork:
    """What is being done for each of the models that are at work."""

    def __init__(self) -> None:
        self._activities: dict[Any, Activity] = {}
        self._names: dict[Any, str] = {}
        self._rates: dict[Any, float] = {}

    def hear(self, key: Any, name: str, activity: Activity) -> None:
        """Note what is being done for the model ``key``, shown by its ``name``."""
        if activity.epochs:  # a new epoch's speed is not known yet: that of the last one stands
            rate = self._rates[key] = activity.rate or self._rates.get(key, 0.0)
            activity = replace(activity, rate=rate)
        self._activities[key], self._names[key] = activity, name

    def end(self, key: Any) -> None:
        """Forget a model that is finished."""
        self._activities.pop(key, None)

    def label(self, before: str) -> str:
        """Say in a line what is being done now."""
        parts = [f"{self._names[key]}: {each}" for key, each in self._activities.items()]
        if len(parts) > _AT_WORK:
            parts = [*parts[:_AT_WORK], f"and {len(parts) - _AT_WORK} more"]
        return f"{before} {'; '.join(parts)}"

    @property
    def rate(self) -> float:
        """Rows per second that all of them train."""
        return sum(each.rate for each in self._activities.values())


def epochs_raised(epochs: int, training: "Training") -> str:
    """Say why more epochs are trained than the recipe asks for."""
    return (
        f"training.epochs {training.epochs} raised to {epochs} by training.min_steps "
        f"{training.min_steps:,} (for fewer: --set training.min_steps=1)"
    )


def span(seconds: float) -> str:
    """Write seconds for a reader, like 40 s, 4 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
