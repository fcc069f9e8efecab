"""Where a run, a study or an ablation comes from: when and where it was begun, by which command.

It is in ``timings.json`` under ``lineage``, since two equal runs may differ in all of it.
"""

import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmctr_kit import __version__
from mmctr_kit.errors import RunError
from mmctr_kit.files import is_locked, locked
from mmctr_kit.runs.call import calling, here, repeated
from mmctr_kit.runs.seal import (
    SEAL,
    break_seal,
    digests_of,
    read_timings,
    write_seal,
    write_timings,
)
from mmctr_kit.runs.seal import TIMINGS as TIMINGS
from mmctr_kit.runs.stored import checked

_GIT_SECONDS = 2.0
"""A repository that takes longer to look through is not asked whether it has changes."""


@dataclass(frozen=True)
class Lineage:
    """Where a run, study or ablation comes from.

    ``began`` and ``finished`` are times in UTC. ``command`` is the command line, or the call of a
    public function, without passwords; None if something else began it. It was given in
    ``folder``, whose git ``commit`` is None if it is in no repository; ``dirty``: files under
    version control differed from it (None: not known). ``data`` is the data folder, ``planned`` how
    many trials or runs the latest command asked for, ``latest`` that command if it is another than
    the first, ``resumed`` how many commands went on with it.
    """

    began: str
    command: str | None
    folder: str
    data: str | None
    version: str
    commit: str | None
    dirty: bool | None
    host: str
    device: str | None
    planned: int | None = None
    latest: str | None = None
    resumed: int = 0
    finished: str | None = None


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def begin_lineage(data: Path | None, device: str | None, planned: int | None = None) -> Lineage:
    """The lineage of what begins now, in this folder and on this machine."""
    folder = here()
    commit, dirty = _git_state_then(Path(folder), int(time.time() / 60))
    return Lineage(
        began=now(),
        command=calling(),
        folder=folder,
        data=None if data is None else str(data.resolve()),
        version=__version__,
        commit=commit,
        dirty=dirty,
        host=socket.gethostname(),
        device=device,
        planned=planned,
    )


@lru_cache(maxsize=1)
def _git_state_then(folder: Path, minute: int) -> tuple[str | None, bool | None]:
    """:func:`git_state`, asked once a minute at most, since an ablation begins many runs."""
    del minute
    return git_state(folder)


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """The commit of the repository that ``folder`` is in, and whether tracked files differ from it.

    None for what is not known: there is no git, no repository or no commit, or it takes too long.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None, None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers; None if it does not, in time."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def read_lineage(path: Path) -> Lineage | None:
    """The lineage of the run, study or ablation at ``path``; None if none was recorded.

    RunError if its file was changed since.
    """
    return _lineage_in(read_timings(path))


def write_lineage(path: Path, lineage: Lineage | None, timings: Mapping[str, Any]) -> None:
    """Write ``timings.json`` into the folder ``path``: the lineage, if known, and the timings."""
    recorded = {} if lineage is None else {"lineage": asdict(lineage)}
    write_timings(path, {**recorded, **timings})


def note_resumed(path: Path) -> None:
    """Count that one more command goes on with the run at ``path``."""
    timings = read_timings(path)
    if (lineage := _lineage_in(timings)) is not None:
        write_lineage(path, replace(lineage, resumed=lineage.resumed + 1), _without(timings))


def note_begun(
    path: Path, lineage: Lineage, joins: bool = False, made_anew: Iterable[str] = ()
) -> None:
    """Record the lineage of a study or an ablation at ``path``, which was begun or goes on.

    If it was begun before, what began it stays, and another ``planned`` counts from now on. A
    command that ``joins`` others, which are at work, changes nothing. The seal is removed: raises
    RunError if a file differs from it, unless it is ``made_anew``.
    """
    with locked(path / TIMINGS, wait=True):
        break_seal(path, made_anew)
        timings = read_timings(path)
        if (before := _lineage_in(timings)) is not None:
            if joins:
                return
            more = before.resumed + (before.finished is None)
            latest, planned = lineage.command, lineage.planned
            lineage = replace(before, resumed=more, planned=planned, latest=latest, finished=None)
        write_lineage(path, lineage, _without(timings))


def note_finished(path: Path, names: Iterable[str], runs: Iterable[Path]) -> None:
    """Record that the study or ablation at ``path`` was finished now.

    Its seal is of these files, and of the seals of its ``runs``, so that no other run takes the
    place of one.
    """
    with locked(path / TIMINGS, wait=True):
        timings = read_timings(path)
        if (lineage := _lineage_in(timings)) is not None:
            write_lineage(path, replace(lineage, finished=now()), _without(timings))
        seals = [(run / SEAL).relative_to(path).as_posix() for run in runs]
        there = [name for name in (*names, *seals) if (path / name).is_file()]
        write_seal(path, digests_of(path, there))


def began(path: Path, mark: str) -> str | None:
    """When what is at ``path`` was begun; if that was not recorded, the time of its file ``mark``.

    None if there is no such file.
    """
    if (lineage := read_lineage(path)) is not None:
        return lineage.began
    try:
        seconds = (path / mark).stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def unfinished(path: Path, what: str) -> RunError:
    """The error that ``what`` at ``path`` is unfinished, with the command that goes on with it."""
    if is_locked(path):
        return RunError(f"{what} is unfinished: a process is at work on it; wait until it ends")
    lineage = read_lineage(path)
    if lineage is None or lineage.command is None:
        return RunError(f"{what} is unfinished; repeat the command that began it")
    return RunError(f"{what} is unfinished; to go on with it: {again(lineage)}")


def again(lineage: Lineage) -> str:
    """The command to repeat, with the folder to give it in if that is another than this one."""
    command = lineage.latest or lineage.command or "the command that began it"
    return repeated(command, lineage.folder)


def _lineage_in(timings: Mapping[str, Any]) -> Lineage | None:
    try:
        lineage: Lineage = checked(Lineage, vars(Lineage(**timings["lineage"])), Path(TIMINGS))
    except (KeyError, TypeError, RunError):  # of an earlier version
        return None
    return lineage


def _without(timings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in timings.items() if key != "lineage"}
