"""How much a command says: ``--quiet``, ``--verbose``, ``--log-file`` and ``--debug``.

They may stand anywhere in the command line. The package's modules log what they do, with
timings, to loggers under ``mmctr_kit`` at level DEBUG; what a command prints is logged from INFO
on. Nothing of it is shown unless one of these options asks for it.
"""

import errno
import io
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmctr_kit.api.screen import Screen
from mmctr_kit.errors import UsageError, visible
from mmctr_kit.runs.call import command_line

LOG = logging.getLogger("mmctr_kit")
LOG.addHandler(logging.NullHandler())

_SWITCHES = {
    "--debug": "debug",
    "--quiet": "quiet",
    "-q": "quiet",
    "--verbose": "verbose",
    "-v": "verbose",
}


@dataclass(frozen=True)
class Verbosity:
    """What the options ask for; ``log_file`` is the value of --log-file."""

    debug: bool = False
    quiet: bool = False
    verbose: bool = False
    log_file: str | None = None


_now = Verbosity()


def quiet() -> bool:
    """Whether only warnings and results are wanted."""
    return _now.quiet


def take(arguments: Sequence[str]) -> tuple[Verbosity, list[str]]:
    """Take the options out of a command line; what follows ``--`` is left alone.

    Raises UsageError for --log-file without a file, and for --quiet with --verbose.
    """
    given: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif word in _SWITCHES:
            given[_SWITCHES[word]] = True
        elif name == "--log-file":
            file = value if equals else next(words, "")
            if not file or file.startswith("-"):
                raise UsageError("--log-file needs a value: --log-file FILE")
            given["log_file"] = file
        else:
            rest.append(word)
    asked = Verbosity(**given)
    if asked.quiet and asked.verbose:
        raise UsageError("--quiet and --verbose say opposite things; leave one of them out")
    return asked, rest


def _require_text(path: Path) -> None:
    """Raise OSError if lines added to ``path`` would spoil it, or wait for a reader."""
    if path.is_fifo():
        raise OSError(errno.EINVAL, "a fifo, which waits for a reader")
    if path.is_file():
        with path.open("rb") as file:
            if b"\0" in file.read(4096):
                raise OSError(errno.EINVAL, "it exists and is no text")


def begin(asked: Verbosity, arguments: Sequence[str]) -> None:
    """Make this process say as much as is asked; the log file goes on at its end.

    Raises UsageError if the log file cannot be written.
    """
    global _now
    end()
    _now = asked
    if asked.verbose:
        _add(_OnStderr(), "%(message)s")
    if asked.log_file is not None:
        try:
            _require_text(Path(asked.log_file))
            file = logging.FileHandler(asked.log_file, encoding="utf-8")
        except FileNotFoundError as e:
            raise UsageError(
                f"--log-file: no folder '{Path(asked.log_file).parent}' for "
                f"'{asked.log_file}'; make it, or name another file"
            ) from e
        except OSError as e:
            raise UsageError(
                f"--log-file: '{asked.log_file}' cannot be written ({e.strerror}); name another "
                "file"
            ) from e
        _add(file, "%(asctime)s %(levelname)-7s %(message)s")
        LOG.info("$ %s", command_line(arguments))


def end() -> None:
    """Close the log file, and say nothing more than usual."""
    global _now
    _now = Verbosity()
    for handler in LOG.handlers[1:]:
        LOG.removeHandler(handler)
        handler.close()
    LOG.setLevel(logging.NOTSET)


def log_printed(*objects: Any, width: int) -> None:
    """Log what is printed, a line at a time, as plain text; ``objects`` are as rich takes them."""
    if len(LOG.handlers) == 1:
        return
    out = io.StringIO()
    Screen(file=out, width=width).print(*objects, soft_wrap=True)
    for line in out.getvalue().rstrip("\n").split("\n"):
        LOG.info("%s", line.rstrip())


class _OnStderr(logging.Handler):
    """Shows what is not printed anyway, after the seconds since the command began.

    ``sys.stderr`` is looked up for each line: a progress bar stands in for it while it is drawn.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.DEBUG:
            seconds = record.relativeCreated / 1000
            print(f"{seconds:7.2f} s  {self.format(record)}", file=sys.stderr)


class _Plain(logging.Formatter):
    """Control characters of names are shown, not obeyed by whoever looks at the log."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _add(handler: logging.Handler, layout: str) -> None:
    handler.setFormatter(_Plain(layout))
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
