"""A published checkpoint as a run: valid and test predictions of our model with its weights."""

import hashlib
from pathlib import Path

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import UsageError
from mmctr_kit.files import locked
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.models.registry import MODELS, NEURAL
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import predictions_for
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.writer import begin_run


def import_checkpoint(
    file: Path, recipe: Recipe, data: ChallengeData, device: str, path: Path, force: bool
) -> Run | None:
    """Load ``file`` into the recipe's model, predict valid and test, write the run at ``path``.

    None where the same run is there already. The run has no OOF, since nothing tells which rows
    the weights have seen: it can be averaged and ranked, not stacked. Raises DataError that names
    a parameter which the model lacks, does not know or has in another shape.
    """
    from mmctr_kit.importers.checkpoint_file import read_checkpoint
    from mmctr_kit.training.neural import NeuralLearner

    if MODELS[recipe.model_name].learner != NEURAL:
        raise UsageError(f"{recipe.model_name} is no neural model; it has no checkpoints")
    state = read_checkpoint(file)
    items = ItemFeatures.derive(recipe, data)
    learner = NeuralLearner(recipe, data, items, device)
    learner.load_published(state)
    valid, test = learner.predict("valid"), learner.predict("test")
    found = predictions_for(data, None, None, valid[None], test[None])
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    features = items.fingerprints
    manifest = Manifest(
        kind="imported",
        rows=data.rows_fingerprint,
        features=fingerprint(*features),
        folds="",
        recipe=fingerprint("checkpoint", recipe.content(), content, features),
        environment={"mmctr_kit": __version__, "numpy": np.__version__},
    )
    with locked(path):
        writer = begin_run(path, manifest, recipe.to_yaml(), force)
        return None if writer is None else writer.finish(found, score_predictions(found), {})
