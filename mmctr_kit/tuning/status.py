"""How far a study is: its line in the list of runs, read from its folder alone."""

from collections import Counter
from pathlib import Path
from typing import Any

from mmctr_kit.errors import MmctrKitError, plural
from mmctr_kit.files import is_locked, read_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.leaderboard import LeaderboardRow, unreadable
from mmctr_kit.runs.lineage import began, read_lineage
from mmctr_kit.runs.progress import fold_states, progress_text
from mmctr_kit.runs.run import all_runs
from mmctr_kit.runs.seal import SEAL, holds, marked, sealed_file
from mmctr_kit.tuning.conflict import SETTINGS, STORAGE
from mmctr_kit.tuning.heartbeat import dead_workers

SUMMARY = "study.json"
MADE_ANEW = (SUMMARY, "best.yaml")
"""What every command that trains finalists writes again."""


def all_studies(root: Path) -> list[Path]:
    """The folder of every study under ``root``, finished or not, by name."""
    paths = sorted({path.parent for mark in (SETTINGS, SEAL) for path in root.glob(f"*/{mark}")})
    return [path for path in paths if not path.name.startswith(".") and marked(path, SETTINGS)]


def study_row(path: Path) -> LeaderboardRow:
    """The study's line: its chosen finalist's scores, and its trials or how far it is."""
    alive = at_work(path)
    try:
        begun, over = began(path, SETTINGS), is_over(path)
        summary = read_json(sealed_file(path, SUMMARY)) if holds(path, SUMMARY) else None
        sealed_file(path, SETTINGS)
        progress = _contents(summary) if over and summary else _progress(path, alive)
    except (MmctrKitError, KeyError, TypeError) as e:
        # One damaged folder must not hide the others.
        why = unreadable(path, e)
        return LeaderboardRow(path.name, "study", 0, "unreadable", progress=why, alive=alive)
    finalists = (summary or {}).get("finalists", [])
    best: dict[str, Any] = finalists[0] if finalists else {}
    return LeaderboardRow(
        path.name,
        "study",
        len((summary or {}).get("final_seeds", [])) if finalists else 1,
        "" if over else "unfinished",
        oof=Estimate.find(best, "oof"),
        valid=Estimate.find(best, "valid"),
        progress=progress,
        alive=alive,
        began=begun,
    )


def at_work(path: Path) -> bool:
    """Whether a process is at work on the study: it trains finalists, or a worker is alive."""
    return is_locked(path) or workers_alive(path)


def workers_alive(path: Path) -> bool:
    """Whether a worker of the study at ``path`` is alive; never, if no study is there."""
    heartbeats = path / "leases"
    workers = {file.stem for file in heartbeats.glob("[!.]*.json")}
    return bool(workers - dead_workers(heartbeats))


def is_over(path: Path) -> bool:
    """Whether the latest command came to its end; an earlier version's: whether it concluded."""
    lineage = read_lineage(path)
    return marked(path, SUMMARY) if lineage is None else lineage.finished is not None


def storage_of(path: Path) -> str | None:
    """The database that holds the study's trials; None if its journal does."""
    place: str | None = read_json(sealed_file(path, SETTINGS)).get(STORAGE)
    return place


def _contents(summary: dict[str, Any]) -> str:
    trials, finalists = len(summary["trials"]), len(summary["finalists"])
    return f"{plural(trials, 'trial')}, {plural(finalists, 'finalist')}"


def _progress(path: Path, alive: bool) -> str:
    """Like "12/30 trials", or "finalist trial-4: fold 1/3, epoch 5/10".

    A database is not asked.
    """
    folder = path / "finalists"
    begun = [run for run in all_runs(folder) if not run.finished] if folder.is_dir() else []
    if begun:
        return f"finalist {begun[0].name}: {progress_text(fold_states(begun[0]))}"
    lineage = read_lineage(path)
    if storage_of(path) is not None:
        return "trials in a database"
    ended, running = _trials(path)
    of = f"/{lineage.planned}" if lineage is not None and lineage.planned else ""
    text = f"{ended}{of} trials"
    return f"{text}, {running} running" if alive and running else text


def _trials(path: Path) -> tuple[int, int]:
    """How many trials of the journal have a result, and how many are running."""
    from mmctr_kit.tuning.folder import REFUSED, StudyFolder

    trials = StudyFolder(path).study().get_trials(deepcopy=False)
    states = Counter(t.state.name for t in trials if REFUSED not in t.user_attrs)
    return states["COMPLETE"] + states["PRUNED"], states["RUNNING"]
