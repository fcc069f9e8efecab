"""Signs that an output's encoding lacks, in ASCII: +/- for ±, as in a C locale."""

import codecs
import io
import locale
import os
import sys
from typing import TextIO

SIGNS = {
    "±": "+/-",
    "Δ": "diff",
    "–": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "×": "x",
    "≤": "<=",
    "≥": ">=",
    "²": "^2",
    "µ": "u",
    "•": "*",
    "─": "-",
    "━": "-",
    "╸": "-",
    "╺": "-",
    "│": "|",
    "┃": "|",
}
"""What stands for each sign that this package prints."""

_BY_SIGN, _BY_BYTES = "mmctr-kit-signs", "mmctr-kit-signs-bytes"


def adapt(stream: TextIO) -> None:
    """Let a standard stream write any text: signs in ASCII if its encoding lacks them.

    Under LC_ALL=C Python writes UTF-8 all the same, which a terminal of that locale does not show:
    there signs are ASCII too, and any other letter, as of a path, keeps its bytes.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return
    if _is_c_locale():
        stream.reconfigure(encoding="ascii", errors=_BY_BYTES)
    else:
        stream.reconfigure(errors=_BY_SIGN)


def signs(text: str, stream: TextIO) -> str:
    """The text with the signs that ``stream`` will write, so that columns can be as wide as it."""
    if text.isascii():
        return text
    encoding = stream.encoding or "utf-8"
    return "".join(SIGNS.get(c, c) if _lacks(encoding, c) else c for c in text)


def _lacks(encoding: str, sign: str) -> bool:
    try:
        sign.encode(encoding)
    except UnicodeError:
        return True
    return False


def _is_c_locale() -> bool:
    """Whether Python chose UTF-8 by itself, in a locale that has ASCII alone."""
    chosen = {"PYTHONUTF8", "PYTHONIOENCODING"} & os.environ.keys() or "utf8" in sys._xoptions
    ascii_only = codecs.lookup(locale.getencoding()).name == "ascii"
    return bool(sys.flags.utf8_mode) and not chosen and ascii_only


def _by_sign(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    made = "".join(SIGNS.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return made, error.end


def _by_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    made = (SIGNS.get(c, c).encode("utf-8", "surrogateescape") for c in text)
    return b"".join(made), error.end


codecs.register_error(_BY_SIGN, _by_sign)
codecs.register_error(_BY_BYTES, _by_bytes)
