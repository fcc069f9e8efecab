"""How far an ablation is: its line in the list of runs, read from its folder alone."""

from pathlib import Path

from mmctr_kit.errors import MmctrKitError, plural
from mmctr_kit.files import is_locked, read_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.leaderboard import LeaderboardRow, unreadable
from mmctr_kit.runs.lineage import TIMINGS, began, read_lineage, unfinished
from mmctr_kit.runs.progress import fold_states, progress_text
from mmctr_kit.runs.run import Run, all_runs, is_run
from mmctr_kit.runs.seal import marked, sealed_file

BASE = "base"
"""The name of the run of the recipe itself."""
TABLE = "ablation.json"
_SUFFIX = ".ablate"


def cost_file(run: str) -> str:
    """The file with the measured cost of one of the ablation's runs, inside its folder."""
    return f"costs/{run}.json"


def all_ablations(root: Path) -> list[Path]:
    """The folder of every ablation under ``root``, finished or not, by name."""
    paths = sorted(path for path in root.glob(f"*{_SUFFIX}") if path.is_dir())
    return [path for path in paths if not path.name.startswith(".") and _is_ablation(path)]


def ablation_row(path: Path) -> LeaderboardRow:
    """The ablation's line: its base's scores, and its variants or how far it is."""
    alive, begun = is_locked(path), None
    try:
        over = is_over(path)
        progress = _contents(path) if over else _progress(path)
        base = Run(path / BASE)
        if over and not base.finished:
            raise unfinished(base.path, f"run '{BASE}' of the finished '{path.name}'")
        scores = base.metrics if base.finished else {}
        seeds = max(1, len(base.manifest.seeds)) if base.path.is_dir() else 1
        begun = began(path, f"{BASE}/manifest.json")
    except (MmctrKitError, KeyError, TypeError) as e:
        # One damaged folder must not hide the others.
        why = unreadable(path, e)
        return LeaderboardRow(path.name, "ablation", 0, "unreadable", progress=why, alive=alive)
    return LeaderboardRow(
        path.name,
        "ablation",
        seeds,
        "" if over else "unfinished",
        oof=Estimate.find(scores, "oof"),
        valid=Estimate.find(scores, "valid"),
        progress=progress,
        alive=alive,
        began=begun,
    )


def is_over(path: Path) -> bool:
    """Whether the latest command came to its end; an earlier version's: whether it compared."""
    lineage = read_lineage(path)
    return marked(path, TABLE) if lineage is None else lineage.finished is not None


def _is_ablation(path: Path) -> bool:
    if is_run(path):
        return False  # of that name
    return any((path / name).exists() for name in (BASE, TABLE, TIMINGS))


def _contents(path: Path) -> str:
    return plural(len(read_json(sealed_file(path, TABLE))["rows"]) - 1, "variant")


def _progress(path: Path) -> str:
    """Like "run 3/12 se-off: fold 1/3, epoch 5/10"."""
    runs, lineage = all_runs(path), read_lineage(path)
    done = sum(run.finished for run in runs)
    planned = lineage.planned if lineage is not None and lineage.planned else None
    of = f"/{planned}" if planned else ""
    begun = [run for run in runs if not run.finished]
    if not begun:
        return f"{done}{of} runs" + (", comparing" if done == planned else "")
    return f"run {done + 1}{of} {begun[0].name}: {progress_text(fold_states(begun[0]))}"
