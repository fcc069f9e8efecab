"""A published checkpoint as a run: its weights in the recipe's model predict valid and test."""

import hashlib
from pathlib import Path

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import UsageError
from mmctr_kit.importers.predictions import write_import
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.models.registry import MODELS, NEURAL
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.predictions import predictions_for
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import score_predictions


def import_checkpoint(
    file: Path, recipe: Recipe, data: ChallengeData, device: str, path: Path, force: bool
) -> Run | None:
    """Load ``file`` into the recipe's model, predict valid and test, write the run at ``path``.

    None if the same run is there already. The run has no OOF, since nothing tells which rows the
    weights were trained on: it can be averaged and ranked, not stacked. Raises DataError that names
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
    rows = predictions_for(data, None, None, valid[None], test[None])
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    return write_import(
        data,
        rows,
        score_predictions(rows),
        path,
        force,
        recipe=fingerprint("checkpoint", recipe.content(), content, items.fingerprints),
        features=fingerprint(*items.fingerprints),
        recipe_yaml=recipe.to_yaml(),
    )
