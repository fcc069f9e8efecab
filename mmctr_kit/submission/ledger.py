"""The ledger: what was submitted, from which run, and how its scores agree with the leaderboard.

Each line is a JSON object; lines are appended, and removed by ``ledger rm`` alone, so that the file
can be kept under version control. A submission is known by its checksum, or by the checksum of the
table inside, so a copy under another name, or zipped again, is the same submission. What was
written is recorded; which of it was uploaded is not known.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, tzinfo
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import ATTEMPTS_PER_DAY, Task
from mmctr_kit.errors import MmctrKitError, UsageError, did_you_mean, unwritable, visible
from mmctr_kit.files import locked, regular
from mmctr_kit.metrics.auc import rank_correlation
from mmctr_kit.metrics.estimate import UNKNOWN, Estimate
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.stored import StoredScore
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.reading.archive import read_csv_bytes
from mmctr_kit.submission.spec import challenge

FEWEST = 3
"""With fewer scored submissions nothing is said about how ranks agree."""

FAR_Z, FAR = 5.0, 0.05
"""A leaderboard's AUC that is further from the valid one than this, and than this many standard
errors, is probably another file's: test's users are others, but drawn as valid's are. The three
pairs that are published (valid 0.8655, 0.9701, 0.9766; test 0.8797, 0.9798, 0.9839) lie 0.0073 to
0.0142 apart, about 3 to 4 standard errors."""

DAY_ZONE: tzinfo = UTC
"""A day of attempts ends at midnight in this zone. The organisers' page does not say in which."""

_STRICT = ConfigDict(extra="forbid", strict=True)


@checked(frozen=True, config=_STRICT)
class Submitted:
    """A submission that was written.

    ``sha256`` is the file's checksum, ``table`` the checksum of the CSV inside, ``rows`` its number
    of test rows, ``time`` in UTC; ``oof`` and ``valid`` are the run's AUCs then, null if it has
    none.
    """

    sha256: str
    table: str
    file: str
    run: str
    task: str
    rows: int
    time: str
    oof: StoredScore | None
    valid: StoredScore | None
    kind: Literal["submitted"] = "submitted"


@checked(frozen=True, config=_STRICT)
class LeaderboardScore:
    """The leaderboard's ``auc`` of the submission with the checksum ``sha256``."""

    sha256: str
    task: str
    auc: Annotated[float, Field(ge=0, le=1)]
    time: str
    note: str
    kind: Literal["scored"] = "scored"


Entry = Submitted | LeaderboardScore

ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


@dataclass(frozen=True)
class Ledger:
    """The entries in order; ``damaged`` holds a message for each line that cannot be read."""

    entries: tuple[Entry, ...]
    damaged: tuple[str, ...]

    @property
    def submitted(self) -> list[Submitted]:
        return [e for e in self.entries if isinstance(e, Submitted)]

    def written_today(self) -> dict[str, list[str]]:
        """The sha256 of each different file that was written today, by task, in order."""
        today: dict[str, list[str]] = {}
        for entry in self.submitted:
            files = today.setdefault(entry.task, [])
            if entry.time[:10] == _now()[:10] and entry.sha256 not in files:
                files.append(entry.sha256)
        return {task: files for task, files in today.items() if files}

    def find(self, file: Path) -> Submitted | None:
        """The latest entry of a file, known by its checksum or its table's; None if unknown."""
        digest = file_digest(file) if self.submitted else ""
        same = [e for e in self.submitted if e.sha256 == digest]
        if not same and self.submitted and (table := _table_digest(file)):
            same = [e for e in self.submitted if e.table == table]
        return same[-1] if same else None

    def score(self, file: Submitted) -> LeaderboardScore | None:
        """The latest score of a submission; None if it has none."""
        scores = (e for e in self.entries if isinstance(e, LeaderboardScore))
        return next((e for e in [*scores][::-1] if e.sha256 == file.sha256), None)


def read_ledger(path: Path) -> Ledger:
    """Read the ledger; empty if there is no file. Raises UsageError if it cannot be read."""
    try:
        content = regular(path).read_bytes()
    except FileNotFoundError:
        return Ledger((), ())
    except OSError as e:
        raise UsageError(f"the ledger '{path}' cannot be read ({e.strerror})") from e
    return _parse(content, path)


def record(path: Path, file: Path, run: Run, task: Task, rows: int) -> bool:
    """Add a submission that was just written; False if it is in the ledger already.

    Raises UsageError if the ledger cannot be written.
    """
    metrics = run.metrics
    entry = Submitted(
        sha256=file_digest(file),
        table=_table_digest(file),
        file=visible(str(file)),  # a byte that is no UTF-8 would make the line no JSON
        run=visible(run.name),
        task=task.value,
        rows=rows,
        time=_now(),
        oof=metrics.get("oof"),
        valid=metrics["valid"],
    )
    return _append(path, entry)


def check_attempts(path: Path, file: Path, task: Task, log: Log) -> int | None:
    """Which of today's attempts a recorded file is, from 1; None if it was written before today.

    WARN if that is more than a day has.
    """
    files, digest = read_ledger(path).written_today().get(task.value, []), file_digest(file)
    if digest not in files:
        log.passed("daily-attempts", f"no new attempt for {task}: written before today (UTC)")
        return None
    number = files.index(digest) + 1
    if number > ATTEMPTS_PER_DAY:
        todo = "choose which of them to upload, or wait for the next day"
        log.warn("daily-attempts", too_many(task, len(files)), todo)
    of = f"attempt {number} of {ATTEMPTS_PER_DAY} today (UTC) for {task}"
    log.passed("daily-attempts", f"{of}, if you upload every file that was written")
    return number


def too_many(task: str, files: int) -> str:
    """The message for more files of a task than a day has attempts."""
    return f"{files} files for {task} were written today (UTC); {ATTEMPTS_PER_DAY} may be uploaded"


def require_attempt(path: Path, sha256: str, task: Task) -> None:
    """Raise MmctrKitError if a file would be one attempt too many, or is today."""
    files = (ledger := read_ledger(path)).written_today().get(task.value, [])
    new = all((e.sha256, e.task) != (sha256, task) for e in ledger.submitted)
    if (new and len(files) >= ATTEMPTS_PER_DAY) or sha256 in files[ATTEMPTS_PER_DAY:]:
        raise MmctrKitError(
            f"{len(files)} files for {task} were written today (UTC), and {ATTEMPTS_PER_DAY} may "
            "be uploaded; this one was not written: wait for the next day, or leave out strict"
        )


def add_score(
    path: Path, file: Path, auc: float, task: Task | None, note: str
) -> tuple[Submitted, float | None]:
    """Add a submission's leaderboard score. Returns its entry and the score that is replaced.

    Raises UsageError for an AUC outside [0, 1], a file that is not in the ledger, or one that was
    written for another task.
    """
    if not 0.0 <= auc <= 1.0:
        percent = f"; is it a percentage? then write {auc / 100:g}" if 1 < auc <= 100 else ""
        raise UsageError(f"expected an AUC in [0, 1], found {auc:g}{percent}")
    ledger = read_ledger(path)
    try:
        digest = file_digest(file)
    except OSError as e:
        near = did_you_mean(file.name, {Path(entry.file).name for entry in ledger.submitted})
        raise UsageError(f"cannot read the submission '{file}' ({e.strerror}){near}") from e
    entry = ledger.find(file)
    if entry is None:
        raise UsageError(
            f"'{file}' (sha256 {digest[:12]}) is none of the {len(ledger.submitted)} submissions "
            f"in {path}; 'mmctr-kit submit' records what it writes"
        )
    if task is not None and task.value != entry.task:
        raise UsageError(f"'{file}' was written for {entry.task}, not for --task {task.value}")
    before = ledger.score(entry)
    _append(path, LeaderboardScore(entry.sha256, entry.task, auc, _now(), note))
    return entry, None if before is None else before.auc


def _append(path: Path, entry: Entry) -> bool:
    """Append one line; False if it is a submission that is in the ledger already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path, wait=True), path.open("a+b") as handle:
            handle.seek(0)
            content = handle.read()
            known = {(e.sha256, e.run, e.task) for e in _parse(content, path).submitted}
            if isinstance(entry, Submitted) and (entry.sha256, entry.run, entry.task) in known:
                return False
            # If the last line was cut off, the new one must not become its end.
            begin = b"" if not content or content.endswith(b"\n") else b"\n"
            handle.write(begin + json.dumps(asdict(entry), allow_nan=False).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as e:
        raise unwritable(f"the ledger '{path}' cannot be written ({e.strerror})", e) from e
    return True


def _parse(content: bytes, path: Path) -> Ledger:
    entries: list[Entry] = []
    damaged: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            entries.append(ENTRY.validate_json(line))
        except ValidationError as e:
            fault = e.errors()[0]
            why = ": ".join([*map(str, fault["loc"][1:]), fault["msg"]])
            damaged.append(f"{path} line {number} cannot be read ({why}); mend it or delete it")
    return Ledger(tuple(entries), tuple(damaged))


def file_digest(file: Path) -> str:
    """The file's sha256."""
    return hashlib.sha256(regular(file).read_bytes()).hexdigest()


def _table_digest(file: Path) -> str:
    """sha256 of the CSV inside; empty if there is none."""
    table = read_csv_bytes(file, Log(CHECKS), challenge())
    return "" if table is None else hashlib.sha256(table).hexdigest()


def _now() -> str:
    return datetime.now(DAY_ZONE).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Standing:
    """One submission, with the ``leaderboard`` and ``note`` of its latest score."""

    file: str
    sha256: str
    run: str
    task: str
    time: str
    rows: int
    oof: Estimate | None
    valid: Estimate | None
    leaderboard: float | None
    note: str

    @property
    def remark(self) -> str | None:
        """How far the leaderboard is from valid (or, without it, OOF), if that is implausible."""
        name, known = ("valid", self.valid) if self.valid else ("OOF", self.oof)
        if known is None or self.leaderboard is None:
            return None
        gap = self.leaderboard - known.value
        # The leaderboard's standard error, from its number of rows, if they are like valid's.
        se = known.se * math.sqrt(1 + known.n / max(self.rows, 1))
        if not abs(gap) > FAR or abs(gap) <= FAR_Z * se:
            return None
        why = f", {abs(gap) / se:.0f} standard errors" if se > 0 else f" (standard error {UNKNOWN})"
        return (
            f"{self.run} ({self.task}): leaderboard {self.leaderboard:g} is {gap:+.4f} from {name} "
            f"{known.value:.4f}{why}: another file's score, another test set, or rows misplaced?"
        )


@dataclass(frozen=True)
class Agreement:
    """Spearman's rank correlation of ``number`` (OOF or valid) and the leaderboard.

    It is over ``n`` different scored submissions of a task; NaN if one of the two does not vary.
    """

    task: str
    number: str
    spearman: float
    n: int


def standings(ledger: Ledger) -> list[Standing]:
    """The submissions in the order in which they were written."""
    return [_standing(ledger, e) for e in ledger.submitted]


def agreements(rows: Sequence[Standing]) -> list[Agreement]:
    """For each task with at least three scored submissions; copies of one file count once."""
    once = {(r.task, r.sha256): r for r in rows if r.leaderboard is not None}
    result = []
    for task, number in product(sorted({task for task, _ in once}), ("OOF", "valid")):
        pairs = [
            (estimate.value, r.leaderboard)
            for r in once.values()
            if r.task == task and (estimate := r.oof if number == "OOF" else r.valid)
        ]
        if len(pairs) >= FEWEST:
            a, b = np.array(pairs, np.float64).T
            result.append(Agreement(task, number, rank_correlation(a, b), len(pairs)))
    return result


def _standing(ledger: Ledger, entry: Submitted) -> Standing:
    score = ledger.score(entry)
    return Standing(
        file=entry.file,
        sha256=entry.sha256,
        run=entry.run,
        task=entry.task,
        time=entry.time,
        rows=entry.rows,
        oof=Estimate.find(vars(entry), "oof"),
        valid=Estimate.find(vars(entry), "valid"),
        leaderboard=None if score is None else score.auc,
        note="" if score is None else score.note,
    )
