"""The ledger: what was submitted, made from which run, and what the leaderboard said of it.

One JSON object a line, only ever appended to, so that it can be kept under version control. A
line is written whole, under a lock. A file is known by its checksum, or by that of the table
inside, so a copy under another name, or zipped anew, is the same submission.
"""

import fcntl
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import Task
from mmctr_kit.errors import UsageError, unwritable
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.reading.archive import read_csv_bytes

Number = dict[str, Any]
"""An estimate as metrics.json holds it: value, error, n."""


@dataclass(frozen=True)
class Submitted:
    """A file that was written: ``sha256`` of it, ``table`` that of the CSV inside, ``rows`` test
    rows; ``oof`` and ``valid``: the run's AUC at that ``time`` (UTC), null where it has none."""

    sha256: str
    table: str
    file: str
    run: str
    task: str
    rows: int
    time: str
    oof: Number | None
    valid: Number | None
    kind: Literal["submitted"] = "submitted"


@dataclass(frozen=True)
class Scored:
    """The leaderboard's ``auc`` of the submission whose file has ``sha256``."""

    sha256: str
    task: str
    auc: float
    time: str
    note: str
    kind: Literal["scored"] = "scored"


Entry = Submitted | Scored


@dataclass(frozen=True)
class Ledger:
    """The entries in the order they were made; ``damaged``: one line for each that is not read."""

    entries: tuple[Entry, ...]
    damaged: tuple[str, ...]

    @property
    def submitted(self) -> list[Submitted]:
        return [e for e in self.entries if isinstance(e, Submitted)]

    def score(self, file: Submitted) -> Scored | None:
        """The latest score of a submission, None where there is none."""
        found = [e for e in self.entries if isinstance(e, Scored) and e.sha256 == file.sha256]
        return found[-1] if found else None


def read_ledger(path: Path) -> Ledger:
    """The ledger; empty where there is no such file. Raises UsageError where it can't be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Ledger((), ())
    except OSError as e:
        raise UsageError(f"the ledger '{path}' cannot be read ({e.strerror})") from e
    return _parse(content, path)


def record(path: Path, file: Path, run: Run, task: Task, rows: int) -> bool:
    """Note a submission that was just written; False where this very one was noted before.

    Raises UsageError where the ledger cannot be written.
    """
    content, metrics = file.read_bytes(), run.metrics
    entry = Submitted(
        sha256=hashlib.sha256(content).hexdigest(),
        table=_table_digest(file),
        file=str(file),
        run=run.name,
        task=task.value,
        rows=rows,
        time=_now(),
        oof=metrics.get("oof"),
        valid=metrics["valid"],
    )

    def known(ledger: Ledger) -> bool:
        same = (entry.sha256, entry.run, entry.task)
        return any((e.sha256, e.run, e.task) == same for e in ledger.submitted)

    return _append(path, entry, known)


def add_score(
    path: Path, file: Path, auc: float, task: Task | None, note: str
) -> tuple[Submitted, float | None]:
    """Note the public score of a submission; the entry it belongs to, and the score it replaces.

    Raises UsageError for an AUC outside [0, 1], a file that the ledger does not know, or one that
    was written for another task.
    """
    if not 0.0 <= auc <= 1.0:
        percent = f"; is it a percentage? then write {auc / 100:g}" if 1 < auc <= 100 else ""
        raise UsageError(f"expected an AUC in [0, 1], found {auc:g}{percent}")
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as e:
        raise UsageError(f"no file '{file}' to note a score of ({e.strerror})") from e
    ledger = read_ledger(path)
    submitted = ledger.submitted
    found = [e for e in submitted if e.sha256 == digest]
    if not found:
        table = _table_digest(file)
        found = [e for e in submitted if table and e.table == table]
    if not found:
        raise UsageError(
            f"'{file}' (sha256 {digest[:12]}) is none of the {len(submitted)} submissions in "
            f"{path}; 'mmctr-kit submit' records what it writes"
        )
    entry = found[-1]
    if task is not None and task.value != entry.task:
        raise UsageError(f"'{file}' was written for {entry.task}, found --task for {task.value}")
    before = ledger.score(entry)
    _append(path, Scored(entry.sha256, entry.task, auc, _now(), note), lambda _: False)
    return entry, None if before is None else before.auc


def _append(path: Path, entry: Entry, known: Any) -> bool:
    """Append one line under the file's lock, unless the ledger there has it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            content = handle.read()
            if known(_parse(content, path)):
                return False
            # After a line that was cut off, ours must not become its end.
            begin = b"" if not content or content.endswith(b"\n") else b"\n"
            _write(handle, begin + json.dumps(asdict(entry), allow_nan=False).encode() + b"\n")
    except OSError as e:
        raise unwritable(f"the ledger '{path}' cannot be written ({e.strerror})", e) from e
    return True


def _write(handle: BinaryIO, line: bytes) -> None:
    handle.write(line)
    handle.flush()


def _parse(content: bytes, path: Path) -> Ledger:
    entries: list[Entry] = []
    damaged: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            entries.append(_entry(json.loads(line)))
        except (ValueError, TypeError) as e:
            why = "not JSON" if isinstance(e, ValueError) else str(e)
            damaged.append(f"{path} line {number} is not read ({why}); mend it or delete it")
    return Ledger(tuple(entries), tuple(damaged))


def _entry(content: Any) -> Entry:
    """Raises TypeError where it is none."""
    if not isinstance(content, dict) or "kind" not in content:
        raise TypeError("no entry of a ledger")
    for cls in (Submitted, Scored):
        if get_args(cls.__annotations__["kind"])[0] == content["kind"]:
            _require_fields(cls, content)
            return cls(**content)
    raise TypeError(f"an entry of kind {content['kind']!r}")


def _require_fields(cls: type[Entry], content: Mapping[str, Any]) -> None:
    kinds: dict[Any, Any] = {
        str: str,
        int: int,
        float: (int, float),
        Number | None: (dict, type(None)),
    }
    if content.keys() != {f.name for f in fields(cls)}:
        raise TypeError("other fields than an entry's")
    for f in fields(cls):
        if f.name != "kind" and not isinstance(content[f.name], kinds[f.type]):
            raise TypeError(f"{f.name} is {content[f.name]!r}")
    if "auc" in content and not (0 <= content["auc"] <= 1):
        raise TypeError(f"auc is {content['auc']!r}")


def _table_digest(file: Path) -> str:
    """sha256 of the CSV inside; empty where there is none."""
    table = read_csv_bytes(file, Log(CHECKS))
    return "" if table is None else hashlib.sha256(table).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
