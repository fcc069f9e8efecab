"""What the kit raises when the user, not the code, has to act.

A message is one line: what was expected, what was found, what to do. The command line prints it
and exits with ``exit_code``; anything else that escapes is a bug and shows its traceback.
"""

import warnings


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


def warn_in_one_line() -> None:
    """From here on this process shows a warning as one line, without the source line it is from."""

    warnings.formatwarning = _one_line


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {' '.join(str(message).split())}\n"
