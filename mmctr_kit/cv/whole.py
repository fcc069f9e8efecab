"""What a cross-validation says of a single fit of its recipe: when to stop, and what to expect.

Three predictors, never compared as if they were one: a *fold model*, trained on k - 1 folds; the
*fold mean* of all fold models, an ensemble; and the *single fit*, one model trained on all users.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from mmctr_kit.errors import MmctrKitError, RunError
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate, mean_estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.diff import MOST, flat
from mmctr_kit.runs.compare import PairedSample
from mmctr_kit.runs.fold_folder import FoldFolder
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import noting_damage

CHOSEN = {"training.holdout": 0.0, "training.snapshot": "last", "training.stop_at": 1.0}
"""Keys by which a single fit chooses its snapshot, with their values if a cross-validation does."""

ADDED = tuple(f"training.{key}" for key in ("average", "ema_decay", "tail", "teacher"))
"""Keys that a single fit may change: what it is compared with need not have them."""

_FREE = ("name", "seeds", "folds", *CHOSEN, *ADDED, "training.teacher_weight")


@dataclass(frozen=True)
class CvReference:
    """The valid AUC of a cross-validation's predictors, to compare a single fit of its recipe with.

    ``fold_model``: the mean AUC of its ``models`` fold models. ``fold_mean``: the AUC of their
    mean. ``gap``: the single fit's AUC less the fold mean's, paired; None before the fit is
    trained. ``differs`` names the keys in :data:`ADDED` that the single fit has changed.
    """

    run: str
    models: int
    fold_model: Estimate
    fold_mean: Estimate
    differs: tuple[str, ...] = ()
    gap: Estimate | None = None


def require_like(recipe: Recipe, run: Run) -> Recipe:
    """The recipe of the cross-validation ``run``.

    Raises RunError if it is not one of ``recipe``, UsageError for a blend and an import.
    """
    theirs = run.recipe()
    if run.manifest.kind != "cv":
        raise RunError(f"run '{run.name}' is no cross-validation; expected the cv run of a recipe")
    if (mine := recipe.model_name) != theirs.model_name:
        raise RunError(
            f"run '{run.name}' is of the model {theirs.model_name}, not {mine}; name a cv of this "
            "recipe"
        )
    a, b = (_compared(r) for r in (recipe, theirs))
    different = [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
    if different:
        shown = [f"{k} {b.get(k)} -> {a.get(k)}" for k in different[:MOST]]
        shown += [f"and {len(different) - MOST} more"] if len(different) > MOST else []
        raise RunError(
            f"run '{run.name}' is of another recipe ({', '.join(shown)}); name a cv of this one"
        )
    return theirs


def refit(recipe: Recipe, run: Run) -> Recipe:
    """The recipe to train on all users, to the epoch that the cross-validation ``run`` found best.

    Nobody is held out. Training ends at the median share of the schedule at which the run's fold
    models had their snapshots. Raises RunError if the run is of another recipe.
    """
    theirs = require_like(recipe, run)
    shares = [
        max(line["epoch"] for line in lines if line["best"]) / len(lines)
        for lines in run.epochs().values()
    ]
    stop_at = theirs.training.stop_at * float(np.median(shares))
    return recipe.changed({**CHOSEN, "training.stop_at": stop_at})


def cv_reference(recipe: Recipe, run: Run, fit: Run | None = None) -> CvReference | None:
    """The scores of the cross-validation ``run``; None if it is not one of this recipe.

    ``fit`` is the single fit, once it is trained. Raises RunError for a damaged run.
    """
    theirs = None
    with suppress(MmctrKitError), noting_damage(f"not compared with {run.name}"):
        theirs = require_like(recipe, run)
    if theirs is None:
        return None
    mean, predictions = Estimate.find(run.metrics, "valid"), run.predictions(with_oof=False)
    if mean is None:
        return None
    label, user = predictions.valid_label, predictions.valid_keys.user_id
    files = run.files("folds/*/logits.safetensors")
    logits = [FoldFolder(file.parent).logits("valid")["valid"] for file in files]
    each = [auc_with_se(label, logit, user) for logit in logits]
    a, b = recipe.values(), theirs.values()
    differs = tuple(key for key in ADDED if a[key] != b[key])
    gap = None
    if fit is not None:
        gap, _ = PairedSample(predictions).gaps(fit.predictions())
    return CvReference(run.name, len(each), mean_estimate(each), mean, differs, gap)


def _compared(recipe: Recipe) -> dict[str, object]:
    content = dict(flat(recipe.content()))
    return {
        key: value
        for key, value in content.items()
        if not any(key == free or key.startswith(f"{free}.") for free in _FREE)
    }
