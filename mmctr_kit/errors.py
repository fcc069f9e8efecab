"""What the kit raises when the user, not the code, has to act.

A message is one line: what was expected, what was found, what to do. The command line prints it
and exits with ``exit_code``; anything else that escapes is a bug and shows its traceback.
"""

import difflib
import errno
import os
import warnings
from collections.abc import Iterable


class MmctrKitError(Exception):
    """A failed check, or an operation that cannot go on with what it found; the command exits 1."""

    exit_code = 1


class UsageError(MmctrKitError):
    """The command was put wrongly: it names what is not there or what it cannot take (a file, a
    run, a recipe key), or options that do not go together, or a place that may not be written to;
    the command exits 2."""

    exit_code = 2


class DataError(MmctrKitError):
    """A data folder, or a file given, that is there and does not hold what it should."""


class RunError(MmctrKitError):
    """A run or study folder that is unfinished, does not match, or would be overwritten."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: what ends a command on Ctrl-C, and cleans up behind it, does so here too."""


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Like `` (did you mean din?)``, to go behind what was found; empty where nothing is near."""
    close = difflib.get_close_matches(found, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_REFUSED = {
    **dict.fromkeys(_FULL, "make room"),
    errno.EROFS: "write elsewhere",
    errno.EACCES: "mend the permissions, or write elsewhere",
    errno.EPERM: "mend the permissions, or write elsewhere",
}
"""What the system refuses to anybody's program, and what to do about it."""


def refusal(error: OSError) -> MmctrKitError | None:
    """A full disk or a forbidden place as one line; None for what a bug may have asked for."""
    if error.errno not in _REFUSED:
        return None
    may_be_reading = error.errno in (errno.EACCES, errno.EPERM)
    denied = "cannot be read or written" if may_be_reading else "cannot be written"
    where = f"'{error.filename}' {denied}" if error.filename else "output fails"
    why = os.strerror(error.errno)
    todo = f"{_REFUSED[error.errno]}, then run the command again"
    return unwritable(f"{where} ({why}); {todo}", error)


def unwritable(message: str, error: OSError) -> MmctrKitError:
    """The message as an error: of a full disk, which is no wrong command, or of a wrong place."""
    return MmctrKitError(message) if error.errno in _FULL else UsageError(message)


def warn_in_one_line() -> None:
    """From here on this process shows a warning as one line, without the source line it is from."""

    warnings.formatwarning = _one_line


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {' '.join(str(message).split())}\n"


def plural(number: int, one: str, many: str = "") -> str:
    """A number and its noun: ``1 row``, ``1,234 rows``; give ``many`` if it does not end in s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
