"""A run's network as an ONNX file: one fold model, or the mean of all of them.

The file is kept only if onnxruntime gives the run's own logits of some rows of test and train, to
1e-5.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.cv.fold import Job
from mmctr_kit.cv.predict import fold_models, learner_of, load_model
from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import Arrays, write_whole
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.models.registry import MODELS, NEURAL, model_supplies
from mmctr_kit.runs.run import Run

if TYPE_CHECKING:
    from mmctr_kit.models.onnx import Input
    from mmctr_kit.training.neural import NeuralLearner

TOLERANCE = 1e-5
"""How far a logit of the ONNX model may be from the run's, relative above 1."""
METADATA = "mmctr_kit"
"""The key of the description in the model's metadata."""

_CHECKED = 512
"""On how many rows of a split, or all if they are fewer, the file is compared with the run."""


@dataclass(frozen=True)
class ExportedModel:
    """An ONNX file: the models (fold, seed) whose mean logit it gives, and its inputs.

    ``difference`` is the largest of a logit from the run's, on ``rows`` rows of test and train.
    """

    path: Path
    run: str
    models: tuple[Job, ...]
    inputs: "tuple[Input, ...]"
    rows: int
    difference: float

    def description(self) -> dict[str, Any]:
        """The run, the models, the inputs and the output, as in the file's metadata."""
        return describe(self.run, self.models, self.inputs)


def describe(run: str, models: Sequence[Job], inputs: "Sequence[Input]") -> dict[str, Any]:
    """What the metadata of an ONNX file says, in its key :data:`METADATA` as JSON."""
    from mmctr_kit.models.onnx import OUTPUT

    meaning = "the logit of label 1; the mean of the models' logits"
    return {
        "run": run,
        "mmctr_kit": __version__,
        "models": [{"fold": "all" if f == WHOLE else f, "seed": s} for f, s in models],
        "inputs": [asdict(each) for each in inputs],
        "output": {"name": OUTPUT, "dtype": "float32", "shape": ["rows"], "meaning": meaning},
    }


def chosen_models(run: Run, fold: int | None, seed: int | None) -> list[Job]:
    """The models of a run that were asked for; all of them if neither fold nor seed is given.

    Raises RunError if the run has no networks that can be exported, and why; UsageError if it has
    no such model.
    """
    if run.manifest.kind == "blend":
        raise RunError(
            f"run '{run.name}' is a blend, whose method is no network; export its runs one by one: "
            f"{', '.join(run.manifest.sources)}"
        )
    jobs = [job for _, job in fold_models(run)]
    recipe = run.recipe()
    if MODELS[recipe.model_name].learner != NEURAL:
        raise RunError(
            f"run '{run.name}' is of {recipe.model_name}, which is trees on features that are "
            "counted outside of them; only networks can be exported"
        )
    chosen = [(f, s) for f, s in jobs if fold in (None, f) and seed in (None, s)]
    if not chosen:
        asked = {"fold": fold, "seed": seed}
        wanted = ", ".join(f"{k} {v}" for k, v in asked.items() if v is not None)
        folds, seeds = (", ".join(map(str, sorted({job[at] for job in jobs}))) for at in (0, 1))
        has = f"folds {folds} and seeds {seeds}"
        if run.manifest.kind == "fit":
            has = f"no folds, but seed {seeds}"
        raise UsageError(f"run '{run.name}' has no model of {wanted}; it has {has}")
    if recipe.signals.kinds and len({f for f, _ in chosen}) > 1:
        raise RunError(
            f"run '{run.name}' reads signals ({', '.join(recipe.signals.kinds)}), which each fold "
            "counts from its own users; export one fold model, with --fold 0"
        )
    return chosen


def export_model(run: Run, data: ChallengeData, jobs: Sequence[Job], path: Path) -> ExportedModel:
    """Write the mean of these models of a run as an ONNX file, checked; see :class:`ExportedModel`.

    Raises RunError if the data are not the run's, an operation has no counterpart in ONNX, or
    onnxruntime gives other logits.
    """
    learner: NeuralLearner = learner_of(run, data, data, "cpu")  # type: ignore[assignment]
    # Rows of train as well, since a model may know the users of those alone.
    splits: tuple[Split, ...] = ("test", "train")
    index = {split: np.arange(min(len(data.rows[split]), _CHECKED)) for split in splits}
    networks, logits = [], []
    for job in jobs:
        load_model(run, job, learner)
        logits.append(np.concatenate([learner.predict(s, rows) for s, rows in index.items()]))
        networks.append(learner.network())
    inputs = inputs_for(learner)
    said = {METADATA: json.dumps(describe(run.name, jobs, inputs))}
    parts = [learner.padded(split, rows, inputs) for split, rows in index.items()]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    content, worst = checked_onnx(networks, rows, np.mean(logits, axis=0), said)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda to: to.write_bytes(content))
    return ExportedModel(path, run.name, tuple(jobs), inputs, len(logits[0]), worst)


def inputs_for(learner: "NeuralLearner") -> "tuple[Input, ...]":
    """The inputs of an ONNX model of the learner's network."""
    from mmctr_kit.items.signals import row_columns
    from mmctr_kit.models.onnx import inputs_of

    recipe, (_, known) = learner.recipe, learner.network()
    read, kinds = model_supplies(recipe.model_name), recipe.signals.kinds
    users = len(known) - 1 if "n_users" in read else 0
    signals = (len(kinds), len(row_columns(kinds))) if "n_signals" in read else (0, 0)
    return inputs_of(recipe.training.max_history, users, *signals)


def checked_onnx(
    networks: Sequence[Any], rows: Arrays, expected: Floats, properties: Mapping[str, str]
) -> tuple[bytes, float]:
    """The ONNX file of the networks, and the largest difference of its logits from ``expected``.

    ``networks``: of each the module and its known users; ``rows``: four or more rows' inputs.
    Raises RunError if the difference is above :data:`TOLERANCE`.
    """
    from mmctr_kit.models.onnx import PaddedRows, onnx_logits, to_onnx

    module = PaddedRows(*([each[at] for each in networks] for at in (0, 1)))
    content = to_onnx(module, {name: array[:3] for name, array in rows.items()}, properties)
    # In batches of several sizes, so that the number of rows is seen to be free.
    sizes = [1, 2, len(expected) - 3]
    moved = np.abs(onnx_logits(content, rows, sizes) - expected)
    worst = float((moved / np.maximum(1.0, np.abs(expected))).max())
    if not worst <= TOLERANCE:
        raise RunError(
            f"the ONNX model gives logits that differ from the run's by up to {worst:.2g} "
            f"(expected {TOLERANCE:g} at most); it was not kept"
        )
    return content, worst
