"""The seal of a finished folder: ``DONE``, with the sha256 of each of its files.

A file is compared with the seal when it is read, once in a process, so that damage is named and
nothing is made of it. ``DONE`` is written last and in the format of ``sha256sum``: ``sha256sum -c
DONE`` checks a folder too. Its last line, a comment there, is the digest of the lines above. It
leaves out files named ``timings.json``, which hold their own digest, so that equal runs have equal
seals. A folder without ``DONE`` is still being written, and one with ``done`` in it was finished by
an earlier version: of these nothing can be compared.
"""

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from mmctr_kit.errors import OUT_OF_FILES, RunError
from mmctr_kit.files import Stamp, file_sha256, file_stamp, regular, write_whole
from mmctr_kit.runs.call import repeated

SEAL = "DONE"
TIMINGS = "timings.json"
"""The file of a run, study or ablation that holds all that may differ between equal ones."""
_MARKS = ("manifest.json", "settings.json", "ablation.json")
"""Files that tell that a folder is a run, a study or an ablation."""
_UNSEALED = b"done\n"
_ITSELF = "# sha256 of the lines above: "
_NO_DAMAGE = (errno.EACCES, errno.EPERM, *OUT_OF_FILES, errno.ENOMEM)
"""Why a file cannot be read although it may be as it was written: nothing is to be deleted."""


class DamagedError(RunError):
    """A ``file`` of a run, study or ablation "is missing" or "was changed": the ``fault``."""

    def __init__(self, message: str, file: str, fault: str) -> None:
        super().__init__(message)
        self.file, self.fault = file, fault

    def __reduce__(self) -> tuple[type["DamagedError"], tuple[str, str, str]]:
        return DamagedError, (str(self), self.file, self.fault)  # from a worker


T = TypeVar("T")
_KNOWN: dict[tuple[str, str], tuple[Stamp | None, object]] = {}


def write_seal(folder: Path, digests: Mapping[str, str]) -> None:
    """Seal the folder: ``digests`` is the sha256 of each of its files, by path inside it."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    text = f"{lines}{_ITSELF}{hashlib.sha256(lines.encode()).hexdigest()}\n"
    write_whole(folder / SEAL, lambda p: p.write_text(text))


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The sha256 of files in the folder, those apart that hold their own."""
    return {name: file_sha256(folder / name) for name in names if name != TIMINGS}


def write_timings(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``timings.json`` into the folder, with its own digest under ``check``."""
    write_whole(folder / TIMINGS, lambda p: p.write_text(_rendered(content)))


def read_timings(folder: Path) -> dict[str, Any]:
    """What :func:`write_timings` wrote; empty if there is none and the folder is not finished.

    Raises RunError if it was changed since, or is missing.
    """
    try:
        return _own_timings(folder)
    except FileNotFoundError:
        if read_seal(folder) is None:
            return {}
        raise damaged(folder, TIMINGS, "is missing") from None
    except OSError as e:
        raise damaged(folder, TIMINGS, f"cannot be read ({e.strerror})") from e
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise damaged(folder, TIMINGS, "was changed") from None


def read_seal(folder: Path) -> Mapping[str, str] | None:
    """The sha256 of each file of a sealed folder; None without a seal, RunError if it is damaged.

    Pieces of a damaged seal are never used.
    """
    path = folder / SEAL
    try:
        return _once(path, "seal", lambda: _parsed(path))
    except FileNotFoundError:
        return None
    except OSError as e:
        raise RunError(f"{path} cannot be read ({e.strerror}); mend its permissions") from e
    except ValueError:
        raise damaged(folder, SEAL, "was changed") from None


def sealed_file(folder: Path, name: str) -> Path:
    """The path of a file in the folder, which is as it was sealed if the folder has a seal.

    Raises RunError, with the way out, if the file was changed since, or is missing from either.
    """
    seal = read_seal(folder)
    if seal is not None and (fault := _fault(folder, name, seal.get(name), fresh=False)):
        raise damaged(folder, name, fault)
    return folder / name


def require_as_sealed(file: Path) -> None:
    """Raise RunError if a file that a user names is of a sealed folder, and was changed since."""
    whole = Path(os.path.abspath(file))
    for folder in (whole.parent, *whole.parents[2:3]):  # a fold model's file is in folds/NAME
        ours = any((folder / mark).is_file() for mark in _MARKS)  # a DONE may be anybody's
        name = whole.relative_to(folder).as_posix()
        if ours and name in (read_seal(folder) or ()):
            sealed_file(folder, name)


def holds(folder: Path, name: str) -> bool:
    """Whether the folder has the file: by its seal or, without one, by what is there."""
    seal = read_seal(folder)
    return (folder / name).is_file() if seal is None else name in seal


def marked(folder: Path, mark: str) -> bool:
    """Whether the folder has the file ``mark``, which tells what it is, or had it when sealed."""
    with suppress(RunError):  # whoever reads the damaged file gets the error
        return (folder / mark).is_file() or holds(folder, mark)
    return False


def sealed_names(folder: Path, pattern: str) -> list[str]:
    """The files of the folder whose paths inside it match: by its seal, or by what is there."""
    seal = read_seal(folder)
    if seal is None:
        return sorted(str(path.relative_to(folder)) for path in folder.glob(pattern))
    return sorted(name for name in seal if fnmatchcase(name, pattern))


def seal_faults(folder: Path) -> tuple[int, list[str]]:
    """How many files were compared, and what is wrong, such as "recipe.yaml was changed".

    Every file of a sealed folder is read.
    """
    try:
        seal = read_seal(folder) or {}
    except RunError:
        return 0, [f"{SEAL} was changed"]
    found = {name: _fault(folder, name, digest, fresh=True) for name, digest in seal.items()}
    for place in sorted({Path(name).parent for name in seal if Path(name).name != SEAL}):
        name = (place / TIMINGS).as_posix()
        try:
            read_timings(folder / place)
        except DamagedError as e:
            found[name] = e.fault
        else:
            found[name] = ""
    return len(found), [f"{name} {fault}" for name, fault in sorted(found.items()) if fault]


@contextmanager
def noting_damage(without: str) -> Iterator[None]:
    """Go on without what the block reads if a file of it is damaged, and warn of that."""
    try:
        yield
    except DamagedError as e:
        warnings.warn(f"{without}: {e}", stacklevel=3)


def break_seal(folder: Path, except_for: Iterable[str]) -> None:
    """Remove the seal, since the folder will be written again.

    Raises RunError if a file differs from it, ``except_for`` those that will be made anew, and the
    seals of runs inside, which are compared with what they should be of.
    """
    for name in (read_seal(folder) or {}).keys() - set(except_for):
        if Path(name).name != SEAL:
            sealed_file(folder, name)
    (folder / SEAL).unlink(missing_ok=True)


def _fault(folder: Path, name: str, digest: str | None, fresh: bool) -> str:
    """What is wrong with a file; empty if nothing is."""
    path = folder / name
    if digest is None:
        return "is not among the files that were sealed" if path.exists() else "is missing"
    try:
        now = file_sha256(path) if fresh else _once(path, "sha256", lambda: file_sha256(path))
    except OSError as e:
        gone = isinstance(e, FileNotFoundError | NotADirectoryError)
        return "is missing" if gone else f"cannot be read ({e.strerror})"
    return "" if now == digest else "was changed"


def _parsed(path: Path) -> Mapping[str, str] | None:
    """The lines of a seal; ValueError if it is not as it was written."""
    content = regular(path).read_bytes()
    if content == _UNSEALED:
        return None
    lines, mark, digest = content.decode("utf-8").partition(_ITSELF)
    if not mark or digest != f"{hashlib.sha256(lines.encode()).hexdigest()}\n":
        raise ValueError
    pairs = (line.split("  ", 1) for line in lines.splitlines())
    return {name: digest for digest, name in pairs}


def _own_timings(folder: Path) -> dict[str, Any]:
    """What timings.json holds; ValueError or its kin if it is not as it was written."""
    raw = regular(folder / TIMINGS).read_bytes()
    content: dict[str, Any] = json.loads(raw)
    own = content.pop("check", None)
    if (own or _has_seal(folder)) and raw != _rendered(content).encode():
        raise ValueError
    return content


def _has_seal(folder: Path) -> bool:
    """Whether there is a seal, damaged or not."""
    path = folder / SEAL
    return path.is_file() and path.read_bytes() != _UNSEALED


def _rendered(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, indent=1, allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({**content, "check": digest}, indent=1) + "\n"


def _once(path: Path, what: str, make: Callable[[], T]) -> T:
    """``make()``, or what it gave before in this process if the file has not changed since."""
    stamp, key = file_stamp(path), (os.path.abspath(path), what)
    known = _KNOWN.get(key)
    if known is None or stamp is None or known[0] != stamp:
        _KNOWN[key] = known = stamp, make()
    return known[1]  # type: ignore[return-value]


def damaged(folder: Path, name: str, fault: str) -> DamagedError:
    """The error that a file of the folder "was changed" or "is missing", with the way out."""
    of_fold = folder.parent.name == "folds"
    whole = folder.parent.parent if of_fold else folder
    begun = of_fold and not (whole / SEAL).is_file()
    gone = folder if begun else whole
    if not of_fold and (name == SEAL or (name == TIMINGS and not _has_seal(folder))):
        gone = folder / name  # it can be done without
    aside = " (to train another recipe, edit a copy of it)" if name == "recipe.yaml" else ""
    since = " since it was written" if fault == "was changed" else ""
    if any(os.strerror(number) in fault for number in _NO_DAMAGE):
        todo = "mend that, then run the command again; the file itself may be as it was"
        return DamagedError(f"{folder / name} {fault}; {todo}", name, fault)
    return DamagedError(
        f"{folder / name} {fault}{since}; put it back from a copy{aside}, or delete {gone} and "
        f"repeat{_command(whole)}",
        name,
        fault,
    )


def _command(folder: Path) -> str:
    """What to repeat: the command that made what the folder holds, if that can be read."""
    command, folder_then = None, ""
    # It only helps: the file that is damaged may be the one that has it.
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        lineage = _own_timings(folder)["lineage"]
        command, folder_then = lineage["latest"] or lineage["command"], lineage["folder"]
    return f": {repeated(command, folder_then)}" if command else " the command that made it"
