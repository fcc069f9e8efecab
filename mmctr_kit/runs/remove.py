"""Removing a folder of a run, a study or an ablation, at once or not at all."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mmctr_kit.errors import RunError, unwritable
from mmctr_kit.files import is_locked, locked, workplace
from mmctr_kit.runs.run import Run, all_runs
from mmctr_kit.runs.seal import noting_damage


def require_idle(path: Path, workers: bool) -> None:
    """Raise RunError if a process is at work on what ``path`` holds, or if ``workers`` are."""
    if workers or is_locked(path):
        raise RunError(f"'{path.name}' is in use: a process is at work on it; stop that first")
    if (jobs := path.parent / ".slurm" / path.name).is_dir():
        raise RunError(
            f"'{path.name}' may be in use by jobs of a SLURM cluster; cancel them with scancel, "
            f"delete '{jobs}', and repeat the command"
        )


def remove_folder(path: Path, workers_alive: Callable[[], bool]) -> None:
    """Remove a folder; RunError, and nothing is removed, if a process is at work on it.

    It loses its name first and is deleted then, so that a kill in between leaves no half of it
    under its name; the next command that writes there deletes what was left. Raises UsageError if
    it may not be removed.
    """
    with locked(path):
        if workers_alive():
            require_idle(path, True)
        try:
            with workplace(path.parent) as gone:
                path.rename(gone / path.name)
        except OSError as e:
            why = f"'{path}' cannot be removed ({e.strerror}); mend the permissions of its folder"
            raise unwritable(why, e) from e


def blends_of(path: Path, root: Path) -> list[Run]:
    """The blends under ``root`` that are made of the run at ``path``, or of one inside it."""
    whole = path.resolve()
    return [
        run
        for run in all_runs(root)
        if run.path.resolve() != whole
        and any(whole in (place, *place.parents) for place in _sources(run))
    ]


def search_of(path: Path) -> Path | None:
    """The study or ablation that the run at ``path`` is part of; None if there is none."""
    parent = path.resolve().parent
    if parent.name == "finalists" and (parent.parent / "settings.json").is_file():
        return parent.parent
    return parent if parent.suffix == ".ablate" else None


def _sources(run: Run) -> list[Path]:
    # One that cannot be read needs nothing.
    with suppress(RunError), noting_damage(f"{run.name} may be a blend that needs it"):
        return [place.resolve() for place in run.source_places.values()]
    return []
