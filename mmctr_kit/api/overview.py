"""Everything under a folder of runs: list it, look at one, compare two, and remove some."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmctr_kit.api.preflight import AnyPath
from mmctr_kit.api.results import estimate_columns, frame, html
from mmctr_kit.errors import RunError, UsageError, did_you_mean, plural

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.compare import RunDifference
    from mmctr_kit.runs.fold_models import FoldModel
    from mmctr_kit.runs.importance import FeatureImportance
    from mmctr_kit.runs.leaderboard import LeaderboardRow
    from mmctr_kit.runs.lineage import Lineage
    from mmctr_kit.runs.progress import FoldState
    from mmctr_kit.runs.run import Run
    from mmctr_kit.submission.verdicts import RuleVerdict


@dataclass(frozen=True)
class Details:
    """What is known of a run, a study or an ablation, finished or not.

    ``state`` is "finished", "unfinished", or "alarm" if OOF and valid disagree; ``alive``: a
    process is at work on it; ``progress``: how far it is, or what a study or an ablation has.
    ``lineage`` says when, where and by which command it was made; None if that was not recorded.
    ``scores`` are estimates by their name in metrics.json, of a study its chosen finalist's and of
    an ablation its base's. ``folds`` say how far the fold models are, ``models`` what those of a
    finished run are worth, ``features`` the importance of their features, if these have names.
    ``sources`` are the folders of a blend's runs.
    """

    name: str
    path: Path
    kind: str
    state: str
    alive: bool
    progress: str
    began: str | None
    lineage: "Lineage | None"
    seeds: tuple[int, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, "Estimate"] = field(default_factory=dict)
    folds: tuple["FoldState", ...] = ()
    models: tuple["FoldModel", ...] = ()
    features: tuple["FeatureImportance", ...] = ()
    sources: Mapping[str, Path] = field(default_factory=dict)
    rules: tuple["RuleVerdict", ...] = ()
    alarm: str | None = None
    storage: str | None = None

    @property
    def again(self) -> str | None:
        """The command that goes on with it; None if it is finished, or the command is not known."""
        from mmctr_kit.runs.lineage import again

        unfinished = self.state == "unfinished"
        known = self.lineage is not None and self.lineage.command is not None
        return again(self.lineage) if unfinished and known and self.lineage else None

    def to_json(self) -> dict[str, Any]:
        plain = {**vars(self), "path": str(self.path), "again": self.again}
        plain["lineage"] = None if self.lineage is None else asdict(self.lineage)
        plain["scores"] = {name: score.to_json() for name, score in self.scores.items()}
        plain["folds"] = [asdict(state) for state in self.folds]
        plain["models"] = [model.to_json() for model in self.models]
        plain["features"] = [feature.to_json() for feature in self.features]
        plain["sources"] = {name: str(place) for name, place in self.sources.items()}
        plain["rules"] = {each.task.value: each.to_json() for each in self.rules}
        return {**plain, "environment": dict(self.environment), "seeds": [*self.seeds]}

    def table(self) -> "pd.DataFrame":
        """A row for each score, with its standard error."""
        rows = [{"score": n} | estimate_columns("value", score) for n, score in self.scores.items()]
        return frame(rows, ("score", "value", "value_se"))

    def _repr_html_(self) -> str:
        text = f"{self.name} ({self.kind}, {self.state})"
        return html(f"{text}: {self.progress}" if self.progress else text, self.table())


def overview(root: Path, truth: Path | None = None) -> "list[LeaderboardRow]":
    """The leaderboard of the runs under ``root``, then its ablations and studies by valid AUC."""
    from mmctr_kit.ablation.status import ablation_row, all_ablations
    from mmctr_kit.runs.leaderboard import leaderboard
    from mmctr_kit.runs.run import all_runs
    from mmctr_kit.tuning.status import all_studies, study_row

    rows = [ablation_row(path) for path in all_ablations(root)]
    rows += [study_row(path) for path in all_studies(root)]
    rows.sort(key=lambda row: -row.valid.value if row.valid else 1.0)
    return [*leaderboard(all_runs(root), truth), *rows]


def require_root(root: Path) -> None:
    """Raise UsageError if the folder of runs does not exist, or may not be entered.

    Warns of folders in it that may not be, since nothing of them is seen.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder '{root}' (--runs); 'mmctr-kit cv' makes one")
    from mmctr_kit.files import may_enter

    if not may_enter(root):
        raise UsageError(f"'{root}' (--runs) may not be entered; mend its permissions")
    shut = sorted(path.name for path in root.glob("[!.]*") if not may_enter(path))
    if shut:
        them = f"{plural(len(shut), 'folder')} in '{root}' may not be entered"
        warnings.warn(f"{them}, and nothing of them is shown: {', '.join(shut)}", stacklevel=2)


def find(name: str, root: Path) -> Path:
    """The folder of the run, study or ablation ``name`` under ``root``, or at that path.

    ``.study`` and ``.ablate`` may be left out. UsageError if there is none, or if there are two.
    """
    require_root(root)
    from mmctr_kit.ablation.status import all_ablations
    from mmctr_kit.report.context import resolve_name
    from mmctr_kit.runs.run import all_runs
    from mmctr_kit.runs.seal import marked
    from mmctr_kit.tuning.status import all_studies

    name = resolve_name(name, root)
    marks = ("manifest.json", "settings.json", "ablation.json", "base/manifest.json")
    for path in (root / name, Path(name)):
        whole = Path(os.path.abspath(path))
        # Elsewhere a manifest.json may be of anything, and what is found may be deleted.
        ours = root.resolve() in whole.resolve().parents or _is_ours(whole)
        if ours and any(marked(path, mark) for mark in marks):
            return path if path.name else whole
    known = [run.name for run in all_runs(root)]
    known += [path.name for path in (*all_studies(root), *all_ablations(root))]
    hint, listed = did_you_mean(name, known), ", ".join(known) or "nothing"
    raise UsageError(f"no run, study or ablation '{name}'{hint} under {root}; it has {listed}")


def _is_ours(path: Path) -> bool:
    """Whether a folder, wherever it is, holds a run, a study or an ablation."""
    from mmctr_kit.runs.run import Run
    from mmctr_kit.runs.seal import DamagedError

    if path.suffix in (".study", ".ablate"):
        return True
    try:
        return bool(Run(path).manifest)
    except DamagedError:
        return True
    except RunError:
        return False


def show_run(name: "AnyPath | Run", runs: AnyPath = "runs") -> Details:
    """Show where a run, study or ablation comes from, how far it is, and its scores.

    Parameters
    ----------
    name : str, Path or Run
        Its name under ``runs``, or its folder. It need not be finished.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    Details
        ``lineage`` (dates, command, data folder, git commit, host), ``scores`` with standard
        errors, ``folds``, ``sources``, ``rules``; ``again`` is the command that goes on with it.

    Raises
    ------
    UsageError
        If there is no such run.
    RunError
        If its folder is damaged.

    Examples
    --------
    >>> details = mmctr_kit.show_run("din_demo")
    >>> details.state, len(details.folds), details.lineage.resumed
    ('finished', 2, 0)
    >>> details.lineage.command.startswith("mmctr_kit.cross_validate('din_demo'")
    True
    """
    from mmctr_kit.ablation.status import ablation_row
    from mmctr_kit.runs.run import Run, is_run
    from mmctr_kit.runs.seal import marked
    from mmctr_kit.tuning.status import study_row

    path = name.path if isinstance(name, Run) else find(str(name), Path(runs))
    if is_run(path):
        return _run_details(Run(path), Path(runs))
    if marked(path, "settings.json"):
        from mmctr_kit.tuning.status import storage_of

        return _searched(path, study_row(path), storage_of(path))
    return _searched(path, ablation_row(path))


def _run_details(run: "Run", root: Path) -> Details:
    from mmctr_kit.files import is_locked
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.compare import SCORES
    from mmctr_kit.runs.fold_models import fold_models
    from mmctr_kit.runs.importance import feature_importance
    from mmctr_kit.runs.lineage import began, read_lineage
    from mmctr_kit.runs.progress import fold_states, progress_text
    from mmctr_kit.submission.verdicts import check_run

    manifest, finished = run.manifest, run.finished
    metrics = run.metrics if finished else {}
    states = fold_states(run)
    found = {n: Estimate.find(metrics, n) for n in (*SCORES, "recipe_valid", "recipe_oof")}
    alarm = metrics["alarm"] if finished else None
    return Details(
        name=run.name,
        path=run.path,
        kind=manifest.kind,
        state="alarm" if alarm else "finished" if finished else "unfinished",
        alive=is_locked(run.path),
        progress="" if finished else progress_text(states),
        began=began(run.path, "manifest.json"),
        lineage=read_lineage(run.path),
        seeds=manifest.seeds,
        environment=manifest.environment,
        scores={name: score for name, score in found.items() if score is not None},
        folds=states,
        models=fold_models(run) if finished else (),
        features=feature_importance(run) if finished else (),
        sources=run.source_places,
        rules=check_run(run, root) if finished else (),
        alarm=alarm,
    )


def _searched(path: Path, row: "LeaderboardRow", storage: str | None = None) -> Details:
    """The details of a study or an ablation, from its line in the list."""
    from mmctr_kit.runs.lineage import read_lineage

    if row.state == "unreadable":
        raise RunError(row.progress)
    found = {"valid": row.valid, "oof": row.oof}
    return Details(
        name=row.name,
        path=path,
        kind=row.kind,
        state=row.state or "finished",
        alive=row.alive,
        progress=row.progress,
        began=row.began,
        lineage=read_lineage(path),
        scores={name: score for name, score in found.items() if score is not None},
        storage=storage,
    )


def compare_runs(
    a: "AnyPath | Run", b: "AnyPath | Run", *, runs: AnyPath = "runs"
) -> "RunDifference":
    """Compare two runs: the recipe keys that differ, and their scores, paired.

    Parameters
    ----------
    a, b : str, Path or Run
        Two finished runs.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    RunDifference
        ``recipe`` (key -> both values), ``scores`` of both, and ``gaps``: a score of ``b`` less
        that of ``a`` with its standard error, paired by user, if both predict the same rows.

    Raises
    ------
    UsageError
        If there is no such run.
    RunError
        If one is unfinished.

    Examples
    --------
    >>> change = mmctr_kit.compare_runs("din_demo", "din_demo_e4")
    >>> sorted(change.recipe)[0], sorted(change.gaps)[:3]
    ('items.embedding', ['fold_models_valid', 'oof', 'oof_logloss'])
    """
    from mmctr_kit.runs.compare import differ
    from mmctr_kit.runs.run import Run, open_run

    pair = [r if isinstance(r, Run) else open_run(str(r), Path(runs)) for r in (a, b)]
    return differ(*pair)
