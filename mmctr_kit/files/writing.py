"""Files and folders appear whole or not at all, whatever ends the writer: a kill, a power cut.

What is written lies in a folder of its own beside its place, the *workplace*, until it is whole and
on the disk; then it is renamed. Nobody can guess the workplace's name, and only its owner may enter
it, so that no planted link is followed. A command holds a lock on its workplace as long as it
lives: the next command that writes there removes what a killed one left.
"""

import errno
import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mmctr_kit.errors import UsageError, unwritable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MARK = ".mmctr-kit-writing-"
_WORKPLACE = re.compile(rf"{re.escape(_MARK)}([0-9a-f]{{8}})-[a-z0-9_]{{8}}")
_DAY_SECONDS = 86_400.0
_MANY = 200
"""At most this many files are brought to the disk one by one; else all of the system's are."""
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES)
"""Answers of file systems that cannot bring a folder to the disk, and for one not to be read."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make the file in a workplace beside ``path``, then rename it.

    It is on the disk before it has its name: after a power cut ``path`` is the old file or the new
    one, and once this returns the new one. If it fails, nothing new is left, and an OSError names
    ``path``. If ``path`` is a link, the link is replaced; what it points to is left alone.
    """
    try:
        with workplace(path.parent) as folder:
            part = folder / path.name
            write(part)
            _bring_to_disk(part)
            os.replace(part, path)
            _bring_to_disk(path.parent)
    except OSError as e:
        raise _named(e, path) from e


@contextmanager
def made_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A folder to fill, which then becomes ``path``, or is removed if the block fails.

    All its files are on the disk before it has its name. With ``replace`` what is at ``path`` is
    removed (of a link to a folder, only the link); else a folder that is not empty raises OSError.
    An empty one is kept and filled, since it may be a mounted disk or somebody's working directory.
    Raises UsageError if no folder can be created there.
    """
    whole = path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
    if whole.is_symlink() and not whole.exists() and not replace:
        raise UsageError(f"'{path}' is a link to nothing; delete it, or name another folder")
    with ExitStack() as stack:
        try:
            whole.parent.mkdir(parents=True, exist_ok=True)
            fills = _is_empty(whole)
            work = stack.enter_context(workplace(whole if fills else whole.parent))
            part = work / (whole.name or "new")
            part.mkdir()
        except OSError as e:
            why = f"cannot write beside '{path}' ({e.strerror}); name a folder that you may create"
            raise unwritable(why, e) from e
        try:
            yield part
            _bring_all_to_disk(part)
            if fills:
                for child in sorted(part.iterdir()):
                    child.rename(whole / child.name)
            else:
                if replace and os.path.lexists(whole):
                    # Renamed before it is deleted: no half of it is ever left under its name.
                    whole.rename(work / "replaced")
                part.rename(whole)
            _bring_to_disk(whole if fills else whole.parent)
        except OSError as e:
            if e.filename is not None and work not in Path(str(e.filename)).parents:
                raise  # of a file that was read, perhaps
            raise _named(e, path) from e


def require_new_folder(out: Path) -> None:
    """Raise UsageError if ``out`` exists and is not an empty folder."""
    if out.is_dir():
        remove_leftovers(out)
    if out.exists() and not _is_empty(out):
        raise UsageError(f"'{out}' exists and is not an empty folder; name a new one or empty it")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """:func:`made_folder`, but UsageError before the block if ``out`` exists and is not empty."""
    require_new_folder(out)
    with made_folder(out) as part:
        yield part


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A new folder in ``folder``, of an unforeseeable name and for its owner alone.

    It is deleted when the block ends; if the process is killed before, by the next
    :func:`workplace` in ``folder``.
    """
    remove_leftovers(folder)
    made, held = _new_workplace(folder)
    with ExitStack() as stack:
        if held is not None:
            stack.callback(os.close, held)
        stack.callback(shutil.rmtree, made, ignore_errors=True)
        yield made


def is_workplace(path: Path) -> bool:
    """Whether a folder has the name of a :func:`workplace`."""
    return _WORKPLACE.fullmatch(path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Delete the workplaces in ``folder`` that nobody is at work in.

    A killed process holds no lock. If the file system has no locks, or another machine made the
    workplace, it is taken for left behind when it is a day old.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(_MARK)]
    except OSError:  # it cannot be read, and perhaps written: that will be seen
        return
    for path in map(folder.joinpath, names):
        if (made := _WORKPLACE.fullmatch(path.name)) is None:
            continue
        held = None
        with suppress(OSError):  # somebody else deletes it too, or it is another user's
            try:
                held = _hold(path)
            except BlockingIOError:
                continue
            dead = held is not None and made[1] == _host()
            if dead or time.time() - path.lstat().st_mtime > _DAY_SECONDS:
                shutil.rmtree(path)
        if held is not None:
            os.close(held)


def _new_workplace(folder: Path) -> tuple[Path, int | None]:
    while True:
        made = Path(tempfile.mkdtemp(prefix=f"{_MARK}{_host()}-", dir=folder))
        try:
            held = _hold(made)
        except (BlockingIOError, FileNotFoundError):
            continue  # another command took it for left behind before it was locked
        if held is None or made.exists():
            return made, held
        os.close(held)


def _hold(folder: Path) -> int | None:
    """Lock a folder until the returned descriptor is closed; None if there are no locks.

    Raises BlockingIOError if another process holds it, FileNotFoundError if it is gone.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _bring_to_disk(path: Path) -> None:
    """Wait until a file's content, or which files a folder has, is on the disk."""
    is_folder = path.is_dir()
    if is_folder and os.name != "posix":
        return  # Windows has no such call
    try:
        # Windows asks for the right to write.
        descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as e:
        if not is_folder or e.errno not in _NO_SYNC:
            raise


def _bring_all_to_disk(folder: Path) -> None:
    """Wait until everything in a folder is on the disk."""
    paths = [folder]
    for parent, folders, files in os.walk(folder):
        paths += [Path(parent, name) for name in (*folders, *files)]
    if len(paths) > _MANY and os.name == "posix":
        os.sync()
        return
    for path in paths:
        if not path.is_symlink():
            _bring_to_disk(path)


def _named(error: OSError, path: Path) -> OSError:
    """The system's error with ``path`` in it, since pyarrow's own errors name no file."""
    if error.errno is None:
        return error
    return OSError(error.errno, os.strerror(error.errno), str(path))


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def require_free(
    path: Path, what: str, suffixes: tuple[str, ...], replace: bool, advice: str
) -> None:
    """Raise UsageError if ``what`` may not be written to ``path``.

    Its name must end in one of ``suffixes``, and there must be no folder and, unless ``replace``,
    no file: ``advice`` ends that message.
    """
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; name a file, like {path / f'name{suffixes[0]}'}")
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"'{path}' is no name for {what}; end it in {' or '.join(suffixes)}")
    if path.exists() and not replace:
        raise UsageError(f"'{path}' exists{advice}")


Stamp = tuple[int, int, int, int]
_TICK_NS = 100_000_000


def file_stamp(path: Path | os.DirEntry[str]) -> Stamp | None:
    """What changes when the file does: its size, times and inode.

    None for a file that was changed just now: the clock that files are dated by is so coarse that
    they might not tell another change.
    """
    stat = path.stat()
    if abs(time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns)) < _TICK_NS:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def folder_size(path: Path) -> int:
    """The bytes of all files in a folder, or of a file; what vanishes meanwhile counts nothing."""
    files = [path] if path.is_file() else []
    files += [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.lstat().st_size
    return total
