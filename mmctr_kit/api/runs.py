"""Open, rank, blend and import runs from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mmctr_kit.api.preflight import AnyPath, as_data, names_of
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.api.recorded import recorded
from mmctr_kit.api.results import BlendResult, estimate_columns, frame
from mmctr_kit.ensemble.methods import Method
from mmctr_kit.errors import UsageError, did_you_mean, plural

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.runs.run import Run


def open_run(run: "AnyPath | Run", runs: AnyPath = "runs") -> "Run":
    """Open a finished run.

    Parameters
    ----------
    run : str, Path or Run
        Its name under ``runs``, or its folder.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    Run
        ``valid_auc``, ``oof_auc``, ``metrics``, and ``oof()``, ``valid()``, ``test()`` as pandas
        tables. A blend is a :class:`BlendResult`.

    Raises
    ------
    UsageError
        If there is no such run.
    RunError
        If it is unfinished.

    Examples
    --------
    >>> run = mmctr_kit.open_run("din_demo")
    >>> run.test().columns.tolist()[:4]
    ['ID', 'user_id', 'item_id', 'occurrence']
    """
    from mmctr_kit.runs.run import Run
    from mmctr_kit.runs.run import open_run as open_folder

    opened = run if isinstance(run, Run) else open_folder(str(run), Path(runs))
    return BlendResult(opened.path) if opened.manifest.kind == "blend" else opened


def leaderboard(runs: AnyPath = "runs", *, truth: AnyPath | None = None) -> "pd.DataFrame":
    """Rank the runs by valid AUC, each number beside its standard error; list searches last.

    Parameters
    ----------
    runs : str or Path
        Folder of the run folders.
    truth : str or Path, optional
        The truth folder of generated data: adds test AUC and a line for the oracle.

    Returns
    -------
    pandas.DataFrame
        A row for each run, the best first. ``vs_best`` is the paired difference of valid AUCs.
        ``of_oracle``: the share of the oracle's lead over 0.5 that the test AUC keeps.
        ``rules`` names the tasks whose rules the run keeps, such as ``"2 1&2?"``; ``?`` marks what
        is unclear (see :func:`check_rules`). ``progress`` says how far an unfinished run is, or
        why one is unreadable,
        ``alive`` whether a process is at work on it; ``began`` is a time in UTC. A study has its
        chosen finalist's scores, an ablation its base's.

    Raises
    ------
    UsageError
        If ``truth`` is no truth folder.

    Examples
    --------
    >>> board = mmctr_kit.leaderboard()
    >>> board.sort_values("oof_auc").columns.tolist()[:6]
    ['run', 'kind', 'state', 'seeds', 'oof_auc', 'oof_auc_se']
    """
    from mmctr_kit.api.overview import overview
    from mmctr_kit.runs.run import all_runs
    from mmctr_kit.submission.verdicts import check_runs, compact

    folders = all_runs(Path(runs))
    entries = overview(Path(runs), None if truth is None else Path(truth))
    ranked = {entry.name for entry in entries if entry.ranked}
    verdicts = check_runs((run for run in folders if run.name in ranked), Path(runs))
    rules = {name: compact(each) for name, each in verdicts.items()}
    columns = {"oof_auc": "oof", "valid_auc": "valid", "vs_best": "behind", "test_auc": "test"}
    columns |= {"of_oracle": "kept"}
    rows = []
    for entry in entries:
        row = {"run": entry.name, "kind": entry.kind, "state": entry.state, "seeds": entry.seeds}
        for column, attribute in columns.items():
            row |= estimate_columns(column, getattr(entry, attribute))
        row |= {"seconds": entry.seconds}
        row |= {"transductive": entry.transductive, "rules": rules.get(entry.name)}
        row |= {"progress": entry.progress, "alive": entry.alive, "began": entry.began}
        rows.append(row)
    return frame(rows, ("run", "kind", "state", "seeds", "oof_auc", "valid_auc"))


@recorded
def blend(
    sources: "Sequence[AnyPath | Run]",
    name: str,
    *,
    method: "Literal['auto'] | Method" = "auto",
    group_softmax: bool = False,
    data: "str | Path | ChallengeData | None" = None,
    seed: int = 0,
    force: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> BlendResult:
    """Average or stack runs that share rows, labels and folds; the blend is a run itself.

    Every method is fitted on some users and scored on the others. ``"auto"`` takes the plain mean
    of calibrated logits unless a method beats it by more than 2 standard errors, corrected for
    the number of methods.

    Parameters
    ----------
    sources : list of str, Path or Run
        The runs to blend.
    name : str
        Name of the blend.
    method : str
        ``"auto"`` or one method, such as ``"mean"``, ``"greedy"`` or ``"lightgbm"``.
    group_softmax : bool
        Score a user's rows against each other: transductive, and labelled so.
    data : str, Path or ChallengeData, optional
        The runs' data: ``"stack"`` and ``"lightgbm-context"`` are tried too.
    seed : int
        Random seed for bagging and for the LightGBM stacker.
    force, runs, progress
        As in :func:`cross_validate`.

    Returns
    -------
    BlendResult
        A run with ``method``, ``reason``, ``methods()`` and ``members()``.

    Raises
    ------
    RunError
        If runs differ in rows, labels or folds, or the method needs OOF predictions.
    UsageError
        If there is no such run, or a run is named twice.

    Examples
    --------
    >>> short = {"training.epochs": 1, "folds.count": 2}
    >>> other = mmctr_kit.cross_validate("din_demo_e4", "world/data", set=short, jobs=1)
    >>> both = mmctr_kit.blend(["din_demo", other], "both", method="mean")
    >>> both.method, both.members().run.tolist()
    ('mean', ['din_demo', 'din_demo_e4'])
    """
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.runs.run import run_path

    if method not in (known := ("auto", *get_args(Method))):
        hint = did_you_mean(str(method), known)
        raise UsageError(f"method: expected one of {', '.join(known)}; found {method!r}{hint}")
    if seed < 0:
        raise UsageError(f"seed: expected 0 or more, found {seed}")
    path = run_path(Path(runs), name)
    opened = [open_run(source, runs) for source in names_of(sources, "sources")]
    if isinstance(data, str | Path):
        require_folder(Path(data))
    from mmctr_kit.ensemble.runs import blend_runs, remarks, require_blend

    require_blend(opened, method, path, force, seed, data is not None, group_softmax)
    with listening(progress) as listen:
        loaded = None if data is None else as_data(data, listen)
        for line in remarks(opened):
            listen(ProgressEvent("warning", line))
        listen(ProgressEvent("load", label=f"blending {plural(len(opened), 'run')}"))
        result = blend_runs(opened, method, path, force, seed, loaded, group_softmax)
        if result is None:
            text = f"{path} is this blend already; nothing to do (--force makes it again)"
            listen(ProgressEvent("finished", text))
    return BlendResult(path)


@recorded
def import_predictions(
    test: AnyPath,
    name: str,
    data: "str | Path | ChallengeData",
    *,
    valid: AnyPath | None = None,
    oof: AnyPath | None = None,
    task: str | None = None,
    force: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> "Run":
    """Make a run of predictions from elsewhere, to compare, blend and submit.

    Parameters
    ----------
    test : str or Path
        A submission (zip or CSV), or a parquet or CSV file with ``ID`` and ``logit`` or
        ``probability``.
    name : str
        Name of the run.
    data : str, Path or ChallengeData
        The data that the predictions are for.
    valid : str or Path, optional
        Valid scores with ``user_id``, ``item_id`` and ``logit`` or ``probability``. Without it
        the run has no valid AUC.
    oof : str or Path, optional
        The same for train rows, with the column ``fold``. Without it the run can be averaged and
        ranked, but not stacked.
    task : str, optional
        Column of a submission that has several: ``"Task1"``, ``"Task2"`` or ``"both"``.
    force, runs, progress
        As in :func:`cross_validate`.

    Returns
    -------
    Run
        The imported run.

    Raises
    ------
    DataError
        If a row has no score, or two.
    RunError
        If a different run has that name.

    Examples
    --------
    >>> file = mmctr_kit.open_run("din_demo").test()[["ID", "logit"]]
    >>> file.to_csv("theirs.csv", index=False)
    >>> theirs = mmctr_kit.import_predictions("theirs.csv", "theirs", "world/data")
    >>> print(theirs.valid_auc)
    None
    """
    from mmctr_kit.importers.predictions import import_predictions as make
    from mmctr_kit.importers.predictions import run_of
    from mmctr_kit.runs.run import Run, run_path
    from mmctr_kit.submission.score import column_name

    path = run_path(Path(runs), name)
    valid, oof = (None if file is None else Path(file) for file in (valid, oof))
    own = [run_of(Path(test), "test")]
    own += [] if valid is None else [run_of(valid, "valid")]
    own += [] if oof is None else [run_of(oof, "oof")]
    with listening(progress) as listen:
        for source in sorted({name for name in own if name}):
            text = f"these are the predictions of run '{source}', which can be blended and "
            text += "submitted itself; their import has no recipe and no fold models"
            listen(ProgressEvent("warning", text))
        content = as_data(data, listen)
        run = make(content, Path(test), valid, oof, column_name(task), path, force)
        if run is None:
            text = f"{path} holds these predictions already; nothing to do"
            listen(ProgressEvent("finished", text))
    return run or Run(path)
