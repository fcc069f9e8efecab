"""A short training on generated data, the same on every device, whose losses are compared."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mmctr_kit.activity import doing
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.processes import run_isolated
from mmctr_kit.recipe import load_recipe
from mmctr_kit.training.device import gpu_faults, prepare
from mmctr_kit.training.neural import NeuralLearner

RECIPE = "din_demo"
STEPS, ROWS = 7, 256
SAME = (1e-5, 1e-3)
"""How far the first loss, and the later ones, of two devices may lie apart, relatively: Adam makes
as much of a gradient that is rounding alone as of any other."""

_SETTINGS = ("model.mlp_dropout=0", "training.precision=float32", "training.steps=plain")
"""Without anything random, in full precision, and without a compiler."""


def short_training(root: Path, device: str, threads: int) -> list[float]:
    """The losses of :data:`STEPS` steps of a shipped recipe on ``device``, in a fresh process.

    ``root`` is a folder for the generated data, shared by the devices of one test. Raises the
    MmctrKitError of a GPU that fails, RunError if the process is killed, and RuntimeError for any
    other exception in it.
    """
    killed = "the process of the self-test was killed"
    return run_isolated(partial(_losses, root, device), threads, killed)


def _losses(root: Path, device: str, threads: int) -> list[float]:
    os.environ["MMCTR_KIT_CACHE"] = str(root / "cache")
    with gpu_faults():
        prepare(device, threads)
        if not (root / "world").exists():
            generate(root / "world", PRESETS["tiny"], seed=0)
        doing(f"training for a moment on {device}")
        data = load(root / "world" / "data")
        recipe = load_recipe(RECIPE, _SETTINGS)
        learner = NeuralLearner(recipe, data, ItemFeatures.derive(recipe, data), device)
        fit, rows = learner.begin(np.arange(len(data.train)), 0)
        fit.known_user[:] = True
        fit.model.train()
        order = np.random.default_rng(0).permutation(rows)[: STEPS * ROWS]
        steps = torch.from_numpy(order).view(STEPS, ROWS).to(fit.source.device)
        return [float(fit.step(fit.batch(index))) for index in steps]


def difference(losses: list[float], reference: list[float]) -> str:
    """Where the losses lie apart by more than rounding explains, in words; "" if nowhere."""
    for step, (found, expected) in enumerate(zip(losses, reference, strict=True)):
        allowed = SAME[min(step, 1)]
        if not abs(found - expected) <= allowed * abs(expected):  # so that a NaN is one
            return f"the loss of step {step + 1} is {found:.6f}, and {expected:.6f} on the CPU"
    return ""
