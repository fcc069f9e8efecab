"""What a cross-validation says of a single fit of its recipe: when to stop, and what to expect.

Three predictors, never compared as if they were one: a *fold model*, trained on k - 1 folds; the
*fold mean* of k fold models, an ensemble; and the *single fit*, one network trained on all users.
"""

from dataclasses import dataclass

import numpy as np
import yaml

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.recipe.diff import flat
from mmctr_kit.runs.compare import PairedSample
from mmctr_kit.runs.run import Run

FREE = (
    "name",
    "seeds",
    "folds",
    *(f"training.{key}" for key in ("holdout", "snapshot", "stop_after")),
    *(f"training.{key}" for key in ("average", "ema_decay", "tail", "teacher", "teacher_weight")),
)
"""Keys, or blocks of keys, in which a single fit may differ from the cross-validation beside it."""


@dataclass(frozen=True)
class Beside:
    """The valid AUC of a cross-validation's predictors, beside a single fit of its recipe.

    ``fold_model``: the mean AUC of the fold models. ``fold_mean``: the AUC of their mean.
    ``gap``: the single fit's AUC less the fold mean's, paired; None before the fit is trained.
    """

    run: str
    fold_model: Estimate
    fold_mean: Estimate
    gap: Estimate | None = None


def require_like(recipe: Recipe, run: Run) -> Recipe:
    """The recipe of the cross-validation ``run``; RunError if it is not one of ``recipe``."""
    if run.manifest.kind != "cv" or run.recipe_text is None:
        raise RunError(f"run '{run.name}' is no cross-validation; expected the cv run of a recipe")
    theirs = recipe_of(run)
    a, b = (_compared(r) for r in (recipe, theirs))
    different = [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
    if different:
        shown = ", ".join(f"{k} {b.get(k)} -> {a.get(k)}" for k in different)
        raise RunError(f"run '{run.name}' is of another recipe ({shown}); name the cv of this one")
    return theirs


def stop_share(run: Run) -> float:
    """The median share of its epochs after which the run's fold models had their snapshot."""
    shares = [
        max(line["epoch"] for line in lines if line["best"]) / len(lines)
        for lines in run.epochs().values()
    ]
    return float(np.median(shares))


def refit(recipe: Recipe, run: Run, data: ChallengeData) -> Recipe:
    """The recipe to train on all users, to the epoch that ``run`` found best.

    Nobody is held out. The epoch is at the share :func:`stop_share` of the schedule. Raises
    RunError if the run is of another recipe or of other data.
    """
    from mmctr_kit.training.fit import schedule

    require_like(recipe, run)
    if run.manifest.rows != data.rows_fingerprint:
        raise RunError(f"run '{run.name}' is of other data than {data.folder}; name one of these")
    settings = {"training.holdout": 0.0, "training.snapshot": "last"}
    planned = schedule(len(data.train), recipe.training).planned
    stop = max(1, round(stop_share(run) * planned))
    return recipe.changed({**settings, "training.stop_after": None if stop == planned else stop})


def beside(recipe: Recipe, run: Run, rows: str, fit: Run | None = None) -> Beside | None:
    """The scores of the cross-validation ``run``, if it is of this recipe and has these ``rows``.

    ``rows`` is the fingerprint of the data's rows.
    """
    try:
        require_like(recipe, run)
    except RunError:
        return None
    metrics = run.metrics
    model, mean = Estimate.find(metrics, "fold_models_valid"), Estimate.find(metrics, "valid")
    if run.manifest.rows != rows or model is None or mean is None:
        return None
    gap = None
    if fit is not None:
        theirs = run.predictions(with_oof=False)
        gap, _ = PairedSample(theirs).gaps(fit.predictions())
    return Beside(run.name, model, mean, gap)


def recipe_of(run: Run) -> Recipe:
    """The resolved recipe of a run that was trained."""
    return parse_recipe(yaml.safe_load(str(run.recipe_text)), f"the recipe of {run.name}")


def _compared(recipe: Recipe) -> dict[str, object]:
    content = dict(flat(recipe.content()))
    return {
        key: value
        for key, value in content.items()
        if not any(key == free or key.startswith(f"{free}.") for free in FREE)
    }
