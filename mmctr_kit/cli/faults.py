"""A fault of mmctr-kit itself: its whole text in a file, and one line that says where it is."""

import logging
import os
import platform
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmctr_kit import __version__
from mmctr_kit.errors import MmctrKitError

_LOG = logging.getLogger(__name__)
_NO_MEMORY = ("failed to map segment", "annot allocate memory", "can't allocate memory")
"""How an ImportError says that there is no memory for a library."""


def explain(error: BaseException, command: str) -> str:
    """One line on an exception that nothing of the kit foresaw; its traceback goes to a file."""
    lines = str(error).strip().splitlines() or [""]
    name = type(error).__name__
    what = f"{name}: {lines[0].strip()[:200]}" if lines[0] else name
    file = _write(error, command)
    if file is None:
        then = "its whole text could not be written to a file; add --debug to see it"
    else:
        then = f"its whole text is in '{file}'"
    if isinstance(error, MemoryError) or any(sign in what for sign in _NO_MEMORY):
        return (
            f"memory ran out ({what}); close other programs, or take a machine with more memory; "
            f"if neither helps, it is a fault of mmctr-kit: {then}, to be sent with a report of it"
        )
    return (
        f"a fault of mmctr-kit, not of yours ({what}); {then}: send that with a report of the fault"
    )


@contextmanager
def unraised_to_the_log() -> Iterator[None]:
    """Log what Python would print of errors that nobody can catch: in callbacks of C, in threads.

    What they broke ends in an error of its own.
    """
    before = sys.unraisablehook, threading.excepthook

    def log(args: Any) -> None:
        _LOG.debug("%s: %s", args.exc_type.__name__, args.exc_value, exc_info=args.exc_value)

    sys.unraisablehook, threading.excepthook = log, log
    try:
        yield
    finally:
        sys.unraisablehook, threading.excepthook = before


def _write(error: BaseException, command: str) -> Path | None:
    """Write the traceback, versions and command line to a new file; None if nothing takes it."""
    text = "\n".join(
        [
            f"$ {command}",
            f"mmctr-kit {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"loaded: {_versions()}",
            f"folder: {_folder()}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    for place in (_faults_folder, lambda: Path(tempfile.gettempdir())):
        try:
            stamp = time.strftime("%Y%m%d-%H%M%S-", time.gmtime())
            number, name = tempfile.mkstemp(".log", f"mmctr-kit-fault-{stamp}", place())
            with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return Path(name)
        except (OSError, MmctrKitError):
            continue
    return None


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return "gone"


def _faults_folder() -> Path:
    from mmctr_kit.data.cache import cache_folder  # NumPy, which a help page does without

    folder = cache_folder() / "faults"
    folder.mkdir(exist_ok=True)
    return folder


def _versions() -> str:
    """The libraries that were loaded, with their versions."""
    from importlib import metadata

    loaded = sorted({name for name in sys.modules if not {".", "_"} & set(name[:1] + name)})
    found = metadata.packages_distributions()
    owners = dict.fromkeys(owner for name in loaded for owner in found.get(name, ()))
    return ", ".join(f"{owner} {metadata.version(owner)}" for owner in owners)
