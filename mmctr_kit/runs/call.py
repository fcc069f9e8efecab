"""The command line, or the call of a public function, that is being executed.

Passwords in URLs are left out. Nothing heavy is imported here: every command begins with it.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_CALL: ContextVar[str | None] = ContextVar("call", default=None)


@contextmanager
def called(text: str) -> Iterator[None]:
    """Let ``text`` be the command of all that the block begins."""
    token = _CALL.set(text)
    try:
        yield
    finally:
        _CALL.reset(token)


def calling() -> str | None:
    """The command or call that is being executed, if it is known."""
    return _CALL.get()


def command_line(words: Sequence[str]) -> str:
    """A command line as a shell takes it, without passwords."""
    return shlex.join(["mmctr-kit", *map(without_secrets, words)])


def repeated(command: str, folder: str) -> str:
    """The command to give again, with the folder to give it in if that is another than this one."""
    # With it, the command would begin again and delete what is finished.
    command = re.sub(r" --force\b(?!=)|, force=True\b", "", command)
    if "***" in command:
        command += " (*** stands for what was not recorded: who logs in, and how)"
    return command if folder == here() else f"{command} (in {folder})"


def here() -> str:
    """The folder that commands are given in; empty if it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def without_secrets(text: str) -> str:
    """The text with ``***`` for who logs in and how, and for the options, if it is a URL."""
    if "://" not in text:
        return text
    hidden = re.sub(r"://.*@", "://***@", text, flags=re.DOTALL)
    return re.sub(r"(://[^?]*)\?.*", r"\1?***", hidden, flags=re.DOTALL)
