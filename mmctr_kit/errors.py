"""The errors of the kit: what the user, not the code, has to mend.

A message is one line: what is wrong, what was expected, what to do. The command line prints it and
exits with ``exit_code``; any other exception that escapes is a bug and shows its traceback.
"""

import difflib
import errno
import os
import re
import warnings
from collections.abc import Iterable


class MmctrKitError(Exception):
    """A failed check, or an operation that cannot go on; the command exits with 1.

    Its text is one line, whatever the names in it hold.
    """

    exit_code = 1

    def __str__(self) -> str:
        return visible(super().__str__(), one_line=True)


class UsageError(MmctrKitError):
    """The command itself is wrong; it exits with 2.

    It names a file, run or recipe key that does not exist or does not fit, options that do not go
    together, or a place that may not be written to.
    """

    exit_code = 2


class DataError(MmctrKitError):
    """A data folder, or another input file, exists but does not hold what it should."""


class RunError(MmctrKitError):
    """A run or study folder is unfinished, does not match, or would be overwritten."""


class MemoryShortageError(MmctrKitError):
    """A GPU or the machine has too little memory for so many models at once."""


class GpuFailureError(MmctrKitError):
    """A GPU stopped working, or a kernel on it failed; the process can use it no more."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, the signal ``number``, came; like Ctrl-C it ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def closest(name: str, known: Iterable[str], similarity: float = 0.6) -> str | None:
    """The one of ``known`` that ``name`` is probably a slip of; None rather than a wild guess.

    ``similarity``: the least share of the letters of both that they have in common. Case, dashes
    and underscores do not matter. Two names that are equally close are no guess.
    """
    names = {_plain(each): each for each in known}
    plain = _plain(name)
    swapped = [each for each in names if sorted(each) == sorted(plain)]
    close = swapped or difflib.get_close_matches(plain, names, n=2, cutoff=similarity)
    ratios = [difflib.SequenceMatcher(None, each, plain).ratio() for each in close]
    return names[close[0]] if close and ratios[0] not in ratios[1:] else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean din?)``, to follow the unknown ``name``; empty if none is similar."""
    near = closest(name, (other for other in known if other != name))
    return f" (did you mean {near}?)" if near else ""


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
"""Answers of a system that lets a process open no more files."""
_REFUSED = {
    **dict.fromkeys(_FULL, "make room"),
    errno.EROFS: "write elsewhere",
    errno.EACCES: "mend the permissions, or write elsewhere",
    errno.EPERM: "mend the permissions, or write elsewhere",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ELOOP: "mend the link",
    **dict.fromkeys(OUT_OF_FILES, "raise its limit ('ulimit -n')"),
}
"""The system's refusals that are no bug of the kit, and what to do about each."""


def refusal(error: OSError | UnicodeEncodeError) -> MmctrKitError | None:
    """The error of a full disk, a forbidden place or a strange name; None if a bug is possible.

    Libraries that open files take no name with bytes that are no UTF-8 (surrogates, in Python).
    """
    if isinstance(error, UnicodeEncodeError):
        if not any("\ud800" <= c <= "\udfff" for c in error.object):
            return None
        name = visible(error.object[:200], one_line=True)
        return UsageError(f"'{name}' holds bytes that are no UTF-8; rename the file or folder")
    if error.errno == errno.ENOENT and error.filename is None and _nowhere():
        return UsageError("the folder that you are in was deleted; change to another one")
    if error.errno not in _REFUSED:
        return None
    may_be_reading = error.errno not in (*_FULL, errno.EROFS)
    denied = "cannot be read or written" if may_be_reading else "cannot be written"
    where = f"'{error.filename}' {denied}" if error.filename else "output fails"
    why = os.strerror(error.errno)
    todo = f"{_REFUSED[error.errno]}, then run the command again"
    return unwritable(f"{where} ({why}); {todo}", error)


def _nowhere() -> bool:
    """Whether the folder that the command was given in is no more."""
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def unwritable(message: str, error: OSError) -> MmctrKitError:
    """The error that a file cannot be written; a UsageError unless the disk is full.

    The message then ends with where that disk is.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename:
        message += f"; the disk at '{_mounted(os.fsdecode(error.filename))}' is full"
    return MmctrKitError(message) if error.errno in _FULL else UsageError(message)


def _mounted(path: str) -> str:
    """The folder at which the disk of ``path`` is mounted."""
    folder = os.path.realpath(path)
    while not os.path.ismount(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder


def warn_in_one_line() -> None:
    """Make this process show a warning as one line, without its source line."""
    warnings.formatwarning = _one_line


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {visible(' '.join(str(message).split()))}\n"


_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What a terminal obeys instead of showing it: control characters but tab and line feed, signs that
turn the direction of text or end a line; and bytes of a name that are no UTF-8 (surrogates)."""


def visible(text: str, one_line: bool = False) -> str:
    r"""The text with what a terminal would obey written as code points; ``one_line``: LF, tab too.

    >>> print(visible("run \x1b[2J\u202e"))
    run \x1b[2JU+202E
    """
    shown = _UNSEEN.sub(_code_point, text)
    return shown.replace("\n", r"\n").replace("\t", r"\t") if one_line else shown


def _code_point(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:  # how Python reads a byte that is no UTF-8
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"U+{number:04X}"


def plural(number: int, one: str, many: str = "") -> str:
    """A number and its noun: ``1 row``, ``1,234 rows``; give ``many`` if it does not end in s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
