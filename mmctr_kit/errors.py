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
    """A failed check or an operation that cannot go on; the command exits 1."""

    exit_code = 1


class UsageError(MmctrKitError):
    """The command was put wrongly (a missing file, an unknown recipe key); the command exits 2."""

    exit_code = 2


class DataError(MmctrKitError):
    """A data folder that does not hold what the challenge's contract says."""


class RunError(MmctrKitError):
    """A run folder that is unfinished, does not match, or would be overwritten."""


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Like `` (did you mean din?)``, to go behind what was found; empty where nothing is near."""
    close = difflib.get_close_matches(found, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


_REFUSED = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "make room",
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
    return MmctrKitError(f"{where} ({why}); {_REFUSED[error.errno]}, then run the command again")


def warn_in_one_line() -> None:
    """From here on this process shows a warning as one line, without the source line it is from."""

    warnings.formatwarning = _one_line


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {' '.join(str(message).split())}\n"
