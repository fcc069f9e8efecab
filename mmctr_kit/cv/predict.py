"""Predict other rows with a finished run, exactly as it predicted its test rows.

A cross-validation's fold models, or a fit's one model, are loaded from their weights. What each has
learned or counted of its training users (signals, factors, codes, label means) is made again from
these users. A blend is fitted again from its runs' OOF predictions; see
:mod:`mmctr_kit.ensemble.refit`.
"""

from collections.abc import Callable

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.cv.executors.local import available_cores
from mmctr_kit.cv.fold import Job
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.ensemble.refit import open_sources, refit
from mmctr_kit.errors import RunError
from mmctr_kit.items.features import ItemFeatures, content_hashes
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.fold_folder import FoldFolder
from mmctr_kit.runs.predictions import mean_logits
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.training.build import make_learner
from mmctr_kit.training.device import prepare
from mmctr_kit.training.learner import Learner

Listen = Callable[[Run, Job], None]
"""Hears of each model, by its run and job, before it predicts."""


def fold_models(run: Run) -> list[tuple[Run, Job]]:
    """The models that predict rows for a run, a blend's runs one after another.

    Raises RunError, before anything is loaded, if the run cannot predict other rows: if its
    predictions were imported, a row's score depends on the rows beside it, or weights are gone.
    """
    manifest = run.manifest
    if manifest.kind == "imported":
        raise RunError(
            f"run '{run.name}' was imported: it has predictions and no model to score other rows; "
            "use a run that was trained here"
        )
    if manifest.transductive:
        raise RunError(
            f"run '{run.name}' scores a row by the rows beside it (transductive), so it "
            "has no score for a row alone; use its runs, or blend them without that step"
        )
    if manifest.kind == "blend":
        return [model for source in open_sources(run) for model in fold_models(source)]
    for fold, seed in _jobs(run, run.recipe()):
        if not (file := _folder(run, fold, seed).weights_file()).is_file():
            raise RunError(
                f"run '{run.name}' lacks {file.relative_to(run.path)}: copy the whole run, or "
                "train it again with --force"
            )
    return [(run, job) for job in _jobs(run, run.recipe())]


def require_own_rows(run: Run, data: ChallengeData) -> None:
    """Raise RunError unless the rows of ``data`` are those that a run, or a blend's, trained on."""
    if data.rows_fingerprint != run.manifest.rows:
        raise RunError(
            f"{data.folder} has other rows than run '{run.name}' was trained on; give --data the "
            "run's own data"
        )


def predict_rows(
    run: Run, data: ChallengeData, rows: ChallengeData, device: str, listen: Listen
) -> Floats:
    """(folds, rows) float64 logits of the test split of ``rows``, by fold model, mean over seeds.

    Their mean over the folds is the run's prediction. ``rows`` is ``data`` with another test split
    (:func:`mmctr_kit.data.new_rows.read_rows`); ``data`` is what the run was trained on. Raises
    RunError if it is not, or for what :func:`fold_models` raises.
    """
    if run.manifest.kind != "blend":
        return _by_models(run, data, rows, device, listen)
    sources = open_sources(run)
    blended = refit(run, sources, data)
    return blended([predict_rows(each, data, rows, device, listen) for each in sources], rows)


def _by_models(
    run: Run, data: ChallengeData, rows: ChallengeData, device: str, listen: Listen
) -> Floats:
    learner = learner_of(run, data, rows, device)
    seeds_of: dict[int, list[Floats]] = {}
    for job in _jobs(run, run.recipe()):
        listen(run, job)
        load_model(run, job, learner)
        seeds_of.setdefault(job[0], []).append(learner.predict("test"))
    return np.stack([mean_logits(each) for each in seeds_of.values()])


def learner_of(run: Run, data: ChallengeData, rows: ChallengeData, device: str) -> Learner:
    """The learner of a run that was trained, to predict the splits of ``rows``; see predict_rows.

    Raises RunError if ``data`` are not what the run was trained on.
    """
    recipe = run.recipe()
    items = _items(run, recipe, data)
    where = device if MODELS[recipe.model_name].learner.uses_gpu else "cpu"
    # Rounding may depend on the number of threads.
    cores = available_cores()
    prepare(where, min(run.manifest.environment.get("threads") or cores, cores))
    return make_learner(recipe, rows, items, where)


def load_model(run: Run, job: Job, learner: Learner) -> None:
    """Let the run's learner become one of its models."""
    learner.load(_folder(run, *job).weights())


def _items(run: Run, recipe: Recipe, data: ChallengeData) -> ItemFeatures:
    """The item features that the run was trained with; RunError if the data give others."""
    manifest = run.manifest
    require_own_rows(run, data)
    items = ItemFeatures.derive(recipe, data)
    if fingerprint(*items.fingerprints) == manifest.features:
        return items
    before, now = run.timings.get("data_files", {}), content_hashes(recipe, data)
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    version = manifest.environment.get("mmctr_kit")
    why = f"{', '.join(changed)} changed since" if changed else "its libraries round otherwise"
    if not changed and version != __version__:
        why = f"it is of mmctr-kit {version}, this is {__version__}"
    raise RunError(
        f"run '{run.name}' was trained with other item features ({why}); give --data the run's own "
        "data, or train it again"
    )


def _jobs(run: Run, recipe: Recipe) -> list[Job]:
    folds = (WHOLE,) if run.manifest.kind == "fit" else range(recipe.folds.count)
    return [(fold, seed) for fold in folds for seed in run.manifest.seeds]


def _folder(run: Run, fold: int, seed: int) -> FoldFolder:
    return RunWriter(run.path).fold(fold, seed)
