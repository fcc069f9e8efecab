"""Train recipes from Python: cross-validation, single fits, tuning, ablation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.options import Options
from mmctr_kit.api.plans import plan_ablation, plan_runs, plan_single_fit
from mmctr_kit.api.preflight import AnyPath, Settings, names_of, require_count
from mmctr_kit.api.progress import Progress, listening
from mmctr_kit.api.recorded import recorded
from mmctr_kit.api.results import AblationResult, FitResult, StudyResult
from mmctr_kit.api.studies import plan_tuning
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    from mmctr_kit.cv.executors.settings import AnyExecutor
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.recipe import Recipe
    from mmctr_kit.runs.run import Run


@recorded
def cross_validate(
    recipe: "str | Path | Recipe",
    data: "str | Path | ChallengeData",
    *,
    name: str | None = None,
    set: Settings = (),
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    executor: "AnyExecutor" = "local",
    force: bool = False,
    strict: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> "Run":
    """Train a recipe on k folds and keep OOF, valid and test predictions.

    The same call continues an unfinished run, and returns a finished one at once.

    Parameters
    ----------
    recipe : str, Path or Recipe
        What to train: a shipped name, a YAML file or a loaded recipe.
    data : str, Path or ChallengeData
        The folder that contains ``MicroLens_1M_x1/``, or the data loaded from it.
    name : str, optional
        Name of the run; the recipe's by default.
    set : mapping or list of str
        Recipe keys to override, such as ``{"training.epochs": 3}``.
    device : str
        ``"auto"`` (all GPUs, or the CPU), ``"cpu"``, ``"cuda"`` or ``"cuda:0,cuda:1"``.
    jobs : int, optional
        How many fold models train at once; by default one per CPU core, or one per GPU.
    threads : int, optional
        Threads of each fold model; by default they share the cores.
    executor : str, Ray or Slurm
        Where to train: ``"local"``, ``"ray"``, ``"slurm"``, or the settings of one of these.
    force : bool
        Replace a different run of that name.
    strict : bool
        Refuse folds by user if valid and test come after train in time, instead of a warning.
    runs : str or Path
        Folder of the run folders.
    progress : bool or callable, optional
        True shows a bar; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    Run
        The finished run: ``valid_auc``, ``oof()``, ``valid()``, ``test()``, ``metrics``.

    Raises
    ------
    UsageError
        For a wrong recipe, name or device.
    DataError
        If the data folder lacks what the recipe needs; if ``strict``, and there would be a warning.
    RunError
        If a different run has that name.

    Examples
    --------
    >>> short = {"training.epochs": 1, "folds.count": 2}
    >>> run = mmctr_kit.cross_validate("din_demo", "world/data", set=short, jobs=1)
    >>> run.name, run.valid_auc.n
    ('din_demo', 400)
    >>> list(run.oof().columns)
    ['user_id', 'item_id', 'occurrence', 'label', 'fold', 'logit']
    """
    options = Options(name, set, device, jobs, force, runs, strict, executor, threads)
    with listening(progress) as listen:
        (planned,) = plan_runs([recipe], data, options, listen)
        return planned.run(listen)


@recorded
def fit(
    recipe: "str | Path | Recipe | None" = None,
    data: "str | Path | ChallengeData | None" = None,
    *,
    like: "AnyPath | Run | None" = None,
    name: str | None = None,
    set: Settings = (),
    device: str = "auto",
    force: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> FitResult:
    """Train one model on the whole train split, without folds.

    The official rules ask for one network; a cross-validation predicts by the mean of its fold
    models. The run has no OOF predictions, so it cannot be stacked.

    Parameters
    ----------
    recipe : str, Path or Recipe, optional
        What to train; by default the recipe of ``like``.
    like : str, Path or Run, optional
        A finished cross-validation of the recipe. The model then trains on all users and stops
        where the run's fold models were best. Only ``training.average``, its ``ema_decay`` and
        ``tail``, and a ``teacher`` may differ. Without ``like``, a share ``training.holdout`` of
        the users is held out to choose the epoch.
    data, name, set, device, force, runs, progress
        As in :func:`cross_validate`; by default the run is called ``RECIPE-fit``.

    Returns
    -------
    FitResult
        A run; ``predictors()`` compares it with the cross-validation beside it.

    Raises
    ------
    UsageError, DataError, RunError
        As in :func:`cross_validate`; if the recipe has several seeds; if ``like`` is a run of
        another recipe or of other data.

    Examples
    --------
    >>> short = {"training.epochs": 1, "folds.count": 2}
    >>> cv = mmctr_kit.cross_validate("din_demo", "world/data", set=short, jobs=1)
    >>> one = mmctr_kit.fit(like=cv, data="world/data")
    >>> one.name, list(one.predictors().predictor)
    ('din_demo-fit', ['single fit', 'fold model', 'fold mean'])
    """
    if data is None:
        raise UsageError("data: expected a folder or ChallengeData, found None")
    options = Options(name, set, device, None, force, runs)
    with listening(progress) as listen:
        return plan_single_fit(recipe, data, options, like, listen).run(listen)


@recorded
def tune(
    recipe: "str | Path | Recipe",
    data: "str | Path | ChallengeData",
    *,
    trials: int = 30,
    timeout: float | None = None,
    name: str | None = None,
    set: Settings = (),
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    executor: "AnyExecutor" = "local",
    finalists: int = 3,
    final_seeds: int = 3,
    storage: str | None = None,
    force: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> StudyResult:
    """Search a recipe's keys with Optuna, then train the best few again with new seeds.

    The same call continues a study; more ``trials`` extend it.

    Parameters
    ----------
    recipe : str, Path or Recipe
        The starting point. Its ``search:`` block is the search space, if it has one.
    trials : int
        How many trials the study has in the end.
    timeout : float, optional
        Seconds after which no trial begins.
    finalists : int
        How many of the best trials are trained again; 0 searches only.
    final_seeds : int
        With how many new seeds each.
    storage : str, optional
        URL of a database for the trials, such as ``"postgresql://me@host/tuning"``; by default they
        are in the study's folder. The same call on any machine that reaches the database joins in;
        the URL is not written anywhere but for host and database.
    data, name, set, device, jobs, threads, executor, force, runs, progress
        As in :func:`cross_validate`; ``jobs`` is how many trials run at once, and the study is
        written to ``runs/NAME.study``.

    Returns
    -------
    StudyResult
        ``best_recipe``, ``valid_auc`` (not used for selection), ``trials()``, ``finalists()``.

    Raises
    ------
    UsageError, DataError, RunError
        As in :func:`cross_validate`; for an impossible search space; if no trial was completed; if
        the database cannot be used, or holds a study of that name with other settings.

    Examples
    --------
    >>> space = {"training.epochs": 1, "folds.count": 2,
    ...          "search": {"training.learning_rate": {"choice": [0.001, 0.01]}}}
    >>> study = mmctr_kit.tune("din_demo", "world/data", trials=2, set=space, jobs=1,
    ...                        finalists=1, final_seeds=1)
    >>> len(study.trials()), study.best_recipe.name
    (2, 'best.yaml')
    """
    require_count(trials=trials, finalists=finalists or None, final_seeds=final_seeds)
    options = Options(name, set, device, jobs, force, runs, executor=executor, threads=threads)
    with listening(progress) as listen:
        study = plan_tuning(recipe, data, options, listen, storage=storage)
        return study.run(trials, timeout, (finalists, final_seeds), listen)


@recorded
def ablate(
    recipe: "str | Path | Recipe",
    data: "str | Path | ChallengeData",
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    name: str | None = None,
    set: Settings = (),
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    executor: "AnyExecutor" = "local",
    force: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> AblationResult:
    """Change one thing of a recipe at a time and compare with the recipe as it is.

    Every variant is a run on the same folds and seeds; the same call continues the ablation.

    Parameters
    ----------
    only, skip : list of str
        Names of variants to try or to leave out; ``"items-*"`` is a group.
    recipe, data, name, set, device, jobs, threads, executor, force, runs, progress
        As in :func:`cross_validate`; three ``seeds`` or more allow a verdict, and the ablation is
        written to ``runs/NAME.ablate``.

    Returns
    -------
    AblationResult
        ``changes()``: each variant's change in AUC, paired with the base, and what it costs.

    Raises
    ------
    UsageError, DataError, RunError
        As in :func:`cross_validate`, or if no variant is left.

    Examples
    --------
    >>> short = {"training.epochs": 1, "folds.count": 2}
    >>> result = mmctr_kit.ablate("din_demo", "world/data", only=["tags-off"], set=short,
    ...                           jobs=1)
    >>> list(result.changes().variant)
    ['base', 'tags-off']
    """
    only, skip = names_of(only, "only"), names_of(skip, "skip")
    options = Options(name, set, device, jobs, force, runs, executor=executor, threads=threads)
    with listening(progress) as listen:
        ablation = plan_ablation(recipe, data, options, listen, only, skip)
        return ablation.run(listen)
