"""Compare all files of runs, studies and ablations with their seals."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmctr_kit.api.preflight import AnyPath, names_of
from mmctr_kit.api.results import frame, html
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.runs.run import Run

KEPT, DAMAGED, UNSEALED, UNFINISHED = "as written", "damaged", "not sealed", "unfinished"


@dataclass(frozen=True)
class Verified:
    """A run, study or ablation compared with its seals.

    ``state`` is "as written", "damaged", "unfinished" or "not sealed", if an earlier version of
    mmctr-kit finished it. ``compared`` is how many files were. ``faults`` names each that differs,
    by its path inside the folder.
    """

    name: str
    path: Path
    kind: Literal["run", "study", "ablation"]
    state: str
    compared: int
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no file differs from its seal."""
        return not self.faults

    def __str__(self) -> str:
        files = plural(self.compared, "file")
        if self.faults:
            return f"{self.name}: {'; '.join(self.faults)}"
        if self.state == UNSEALED:
            more = f", but {files} of it as written" if self.compared else ""
            return f"{self.name}: has no seal: finished by an earlier mmctr-kit{more}"
        if self.state == UNFINISHED:
            return f"{self.name}: unfinished; {files} that will not change as written"
        return f"{self.name}: {files} as written"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "ok": self.ok}


@dataclass(frozen=True)
class VerifyResult:
    """What :func:`verify_runs` compared. Iterates over it; ``ok`` if no file differs."""

    folder: Path
    runs: tuple[Verified, ...]

    @property
    def ok(self) -> bool:
        return all(run.ok for run in self.runs)

    def __iter__(self) -> Iterator[Verified]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def table(self) -> "pd.DataFrame":
        """A row for each: name, kind, state, files compared, faults."""
        columns = ("name", "kind", "state", "compared", "faults")
        rows = [{name: getattr(run, name) for name in columns} for run in self.runs]
        return frame([{**row, "faults": "; ".join(row["faults"])} for row in rows], columns)

    def _repr_html_(self) -> str:
        bad = sum(not run.ok for run in self.runs)
        return html(f"{self.folder}: {len(self)} compared, {bad} damaged", self.table())


def verify_runs(names: "Sequence[AnyPath | Run]" = (), *, runs: AnyPath = "runs") -> VerifyResult:
    """Compare every file of runs, blends, studies and ablations with what was written.

    A finished run is sealed: its file ``DONE`` has the sha256 of each of its files. Commands
    compare a file when they read it; this reads all of them.

    Parameters
    ----------
    names : list of str, Path or Run
        What to look at; everything under ``runs`` if empty.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    VerifyResult
        ``ok`` if no file differs; iterates over one :class:`Verified` for each name, whose
        ``faults`` name the files.

    Raises
    ------
    UsageError
        If there is no such run.

    Examples
    --------
    >>> checked = mmctr_kit.verify_runs(["din_demo"])
    >>> checked.ok, [(run.name, run.state) for run in checked]
    (True, [('din_demo', 'as written')])
    """
    from mmctr_kit.ablation.status import all_ablations
    from mmctr_kit.api.overview import require_root
    from mmctr_kit.api.removal import found
    from mmctr_kit.runs.run import all_runs
    from mmctr_kit.tuning.status import all_studies

    root = Path(runs)
    if names_of(names, "names"):
        paths = found(names, root)
    else:
        require_root(root)
        paths = [run.path for run in all_runs(root)]
        paths = sorted([*paths, *all_studies(root), *all_ablations(root)])
    return VerifyResult(root, tuple(map(_verify, paths)))


def _verify(path: Path) -> Verified:
    from mmctr_kit.activity import doing
    from mmctr_kit.runs.run import Run, all_runs, is_run
    from mmctr_kit.runs.seal import DamagedError, marked, read_seal
    from mmctr_kit.tuning.journal_sum import require_intact, sum_file

    doing(f"comparing {path.name}")
    kind: Literal["run", "study", "ablation"] = "run"
    inside = []
    if not is_run(path):
        kind = "study" if marked(path, "settings.json") else "ablation"
        inside = [run.path for run in all_runs(path / "finalists" if kind == "study" else path)]
    elif not Run(path).finished:
        inside = sorted(path.glob("folds/*"))
    compared, faults = _compare(path, path)
    for part in inside:
        more, others = _compare(part, path)
        compared, faults = compared + more, faults + others
    journal = path / "study.journal"
    if kind == "study" and (journal.is_file() or sum_file(journal).is_file()):
        if sum_file(journal).is_file():
            compared += 1
        elif read_seal(path):
            faults.append(f"{sum_file(journal).name} is missing")
        try:
            require_intact(journal, anew=True)
        except DamagedError as e:
            faults.append(f"{e.file} {e.fault}")
    state = DAMAGED
    if not faults:
        state = KEPT if read_seal(path) else UNSEALED if _finished(path, kind) else UNFINISHED
    return Verified(path.name, path, kind, state, compared, tuple(dict.fromkeys(faults)))


def _finished(path: Path, kind: str) -> bool:
    from mmctr_kit.ablation import status as of_ablation
    from mmctr_kit.runs.run import Run
    from mmctr_kit.tuning import status as of_study

    if kind == "run":
        return Run(path).finished
    return of_study.is_over(path) if kind == "study" else of_ablation.is_over(path)


def _compare(folder: Path, whole: Path) -> tuple[int, list[str]]:
    """How many files of a folder were compared with its seal, and which differ."""
    from mmctr_kit.runs.seal import seal_faults

    inside = "" if folder == whole else f"{folder.relative_to(whole).as_posix()}/"
    compared, faults = seal_faults(folder)
    return compared, [f"{inside}{fault}" for fault in faults]
