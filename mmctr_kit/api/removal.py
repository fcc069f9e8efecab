"""Removing runs, studies and ablations: which folders are meant, what needs them, what is going."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.overview import find
from mmctr_kit.api.preflight import AnyPath, names_of
from mmctr_kit.errors import RunError, UsageError, plural

if TYPE_CHECKING:
    from mmctr_kit.runs.run import Run


def remove_runs(
    names: "Sequence[AnyPath | Run]",
    *,
    force: bool = False,
    ledger: AnyPath = "submissions/ledger.jsonl",
    runs: AnyPath = "runs",
) -> None:
    """Delete runs, blends, studies or ablations with all that their folders hold, and their pages.

    The page of a run is the one that a report wrote beside its folder. An index of pages that lists
    it goes with it.

    Parameters
    ----------
    names : list of str, Path or Run
        What to delete; a study or an ablation goes with all its runs.
    force : bool
        Delete what a blend, a study, an ablation or a recorded submission needs, too.
    ledger : str or Path
        Where submissions are recorded.
    runs : str or Path
        Folder of the run folders.

    Raises
    ------
    UsageError
        If there is no such run, or a study or an ablation is not named in full.
    RunError
        If a process is at work on one, or if one is needed; nothing is deleted then.

    Examples
    --------
    >>> gone = mmctr_kit.import_predictions("theirs.csv", "gone", "world/data")
    >>> mmctr_kit.remove_runs(["gone"])
    >>> gone.path.exists()
    False
    """
    from mmctr_kit.report.context import pages_of
    from mmctr_kit.runs.remove import remove_folder
    from mmctr_kit.tuning.status import workers_alive

    paths = found(names, Path(runs), in_full=True)
    if not force and (reasons := needed(paths, Path(runs), Path(ledger))):
        raise RunError(f"{'; '.join(reasons)}; force=True deletes it all the same")
    require_removable(paths)
    for path in paths:
        pages = pages_of([path])
        remove_folder(path, partial(workers_alive, path))
        for page in pages:
            page.unlink(missing_ok=True)


def require_removable(paths: Sequence[Path]) -> None:
    """Raise RunError if a process is at work on one of the folders."""
    from mmctr_kit.runs.remove import require_idle
    from mmctr_kit.tuning.status import workers_alive

    for path in paths:
        require_idle(path, workers_alive(path))


def found(names: "Sequence[AnyPath | Run]", root: Path, in_full: bool = False) -> list[Path]:
    """The folders of runs, studies and ablations, each once.

    Raises UsageError if there is none of a name, and with ``in_full`` if it lacks its ending.
    """
    from mmctr_kit.runs.run import Run

    given = names_of(names, "names")
    seek = _in_full if in_full else find
    paths = [n.path if isinstance(n, Run) else seek(str(n), root) for n in given]
    whole = {Path(os.path.abspath(path)): path for path in paths}
    return [path for place, path in whole.items() if not whole.keys() & {*place.parents}]


def _in_full(name: str, root: Path) -> Path:
    """The folder of that name; of a study or an ablation its ending may not be left out."""
    path = find(name, root)
    if path.name != Path(os.path.abspath(name)).name:
        raise UsageError(
            f"no run '{name}' under {root}, but {path.name}, which holds runs; to delete it with "
            f"all of them, name it in full: {path.name}"
        )
    return path


def needed(paths: Sequence[Path], root: Path, ledger: Path) -> list[str]:
    """What needs the folders to be removed, a sentence each: blends, searches, submissions."""
    from mmctr_kit.runs.remove import blends_of, search_of
    from mmctr_kit.submission.ledger import read_ledger

    reasons, going = [], {path.resolve() for path in paths}
    submitted = [entry.run for entry in read_ledger(ledger).submitted]
    for path in paths:
        blends = [b.name for b in blends_of(path, root) if b.path.resolve() not in going]
        if blends:
            reasons.append(f"{path.name} is part of the blend {' and of '.join(blends)}")
        if (search := search_of(path)) is not None and search.resolve() not in going:
            reasons.append(f"{path.name} is a run of {search.name}, which compares it")
        if files := submitted.count(path.name):
            written = plural(files, "submission was", "submissions were")
            reasons.append(f"{written} written from {path.name}, by {ledger}")
    return reasons
