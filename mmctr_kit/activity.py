"""What a long command is doing now: said where it is done, heard by whoever shows it.

Code that may take a second says so with :func:`doing`, or counts with a :class:`Counter`. It needs
no argument for that: without a listener, which :func:`heard_by` sets, both do nothing. Only texts
and counts are sent, never a value from a device, for which the host would have to wait.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

EVERY = 0.25
"""Seconds between two counts that a counter sends."""


@dataclass(frozen=True)
class Activity:
    """What is being done, such as "reading train.parquet".

    ``done`` of ``total`` parts of it are finished; ``total`` is 0 if nobody counts them. ``rate``
    is rows per second, 0 if unknown. The steps of training say in which of the ``epochs`` they are,
    from 1; for anything else both are 0.
    """

    text: str
    done: int = 0
    total: int = 0
    rate: float = 0.0
    epoch: int = 0
    epochs: int = 0

    def __str__(self) -> str:
        at = f"epoch {self.epoch}/{self.epochs}, " if self.epochs else ""
        share = f" {100 * self.done / self.total:.0f}%" if self.total else ""
        return f"{at}{self.text}{share}"


Listener = Callable[[Activity], None]

_LISTENER: ContextVar[tuple[Listener, float] | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener, every: float = EVERY) -> Iterator[None]:
    """Let ``listener`` hear the activities of the ``with`` block, in this thread alone.

    A count is sent again after ``every`` seconds at the earliest.
    """
    token = _LISTENER.set((listener, every))
    try:
        yield
    finally:
        _LISTENER.reset(token)


def doing(text: str) -> None:
    """Say what is being done from now on."""
    heard = _LISTENER.get()
    if heard is not None:
        heard[0](Activity(text))


def pass_on(activity: Activity) -> None:
    """Say what another process said that it is doing."""
    heard = _LISTENER.get()
    if heard is not None:
        heard[0](activity)


class Counter:
    """Counts the finished parts of an activity, of ``rows`` rows each, and says so now and then.

    Cheap enough for every training step: a part costs less than a microsecond.
    """

    def __init__(
        self, text: str, total: int, rows: float = 0.0, epoch: int = 0, epochs: int = 0
    ) -> None:
        self.text, self.total, self.rows = text, total, rows
        self.epoch, self.epochs, self.done = epoch, epochs, 0
        self._heard = _LISTENER.get()
        self._next = self._began = 0.0
        self._say(0.0)

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return self._heard is not None

    def add(self, parts: int = 1) -> None:
        """Count ``parts`` more."""
        self.done += parts
        if self._heard is None:
            return
        now = time.perf_counter()
        if self.done == parts:
            # The rate counts from the end of the first part, which may have had to compile.
            self._began, self._first, self._next = now, parts, now
        if now >= self._next:
            self._next = now + self._heard[1]
            seconds = now - self._began
            self._say((self.done - self._first) * self.rows / seconds if seconds > 0 else 0.0)

    def _say(self, rate: float) -> None:
        if self._heard is not None:
            at = (self.epoch, self.epochs)
            self._heard[0](Activity(self.text, self.done, self.total, rate, *at))
