"""Does the check of float32 steps blame a healthy GPU, whose kernels only round in another way?

    python tests/studies/rounding.py [RECIPE ...] --data DATA [--rows 1500] [--draws 8]

On the CPU, where a step that trains from weights that were changed by ``ROUNDED`` stands for such a
GPU. Printed is, for each recipe, in how many draws the step is blamed: with the least tolerance
alone, and as it is checked; the largest difference of a gradient; and how many of some gradients
are found wrong if each in turn is larger by 1 %.
"""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mmctr_kit.data.load import load
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import load_recipe
from mmctr_kit.training import step_check
from mmctr_kit.training.neural import NeuralLearner
from mmctr_kit.training.step import Step
from mmctr_kit.training.step_check import KINKS, Launch, find_fault, rounded

MOST = 6
"""How many gradients are made wrong, spread over the model."""


class Trial:
    """A recipe's step on the CPU, and two batches of it."""

    def __init__(self, recipe: str, data: Path, rows: int) -> None:
        settings = ["training.precision=float32", "training.steps=plain"]
        loaded, made = load(data), load_recipe(recipe, [f"training.batch_size={rows}", *settings])
        learner = NeuralLearner(made, loaded, ItemFeatures.derive(made, loaded), "cpu")
        fit, train = learner.begin(np.arange(len(loaded.train)), 0)
        drawn = np.random.default_rng(0).permutation(train)[: 2 * rows]
        self.step: Step = fit.step
        self.batches = torch.from_numpy(drawn).split(rows)

    def plain(self, number: int) -> Tensor:
        return self.step(self.batches[number])

    def of_other_rounding(self, seed: int) -> Launch:
        """The step, from weights that were rounded otherwise."""

        def launch(number: int) -> Tensor:
            state = {name: value.clone() for name, value in self.step.state().items()}
            self.step.fill(rounded(state, seed))
            return self.plain(number)

        return launch

    def wrong_by(self, share: float, weight: torch.nn.Parameter) -> Launch:
        """The step with one gradient larger by this share of it."""

        def launch(number: int) -> Tensor:
            handle = weight.register_hook(lambda gradient: gradient * (1 + share))
            try:
                return self.plain(number)
            finally:
                handle.remove()

        return launch

    def blamed(self, launch: Launch) -> str:
        return find_fault(self.step, self.plain, launch, None) or ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=["din_mha_se_pca", "din_official"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--draws", type=int, default=8)
    given = parser.parse_args()
    for name in given.recipes:
        trial = Trial(name, given.data, given.rows)
        others = [trial.of_other_rounding(1000 + seed) for seed in range(given.draws)]
        with pytest.MonkeyPatch.context() as patch:  # so that no kink is allowed for
            patch.setattr(step_check, "KINKS", KINKS._replace(loss=-1.0))
            strict = [blame for blame in map(trial.blamed, others) if blame]
        checked = [blame for blame in map(trial.blamed, others) if blame]
        weights = [p for p in trial.step.model.parameters() if p.requires_grad]
        some = weights[:: -(-len(weights) // MOST)]
        found = [trial.blamed(trial.wrong_by(0.01, weight)) for weight in some]
        shares = [blame.partition(" by ")[2].partition(" ")[0] for blame in strict]
        print(
            f"{name}, {given.rows} rows: of {given.draws} blamed {len(strict)} with the least "
            f"tolerance (up to {max(shares, key=float, default='-')}), {len(checked)} as checked; "
            f"1 % wrong: {sum(map(bool, found))} of {len(some)} found",
            flush=True,
        )


if __name__ == "__main__":
    main()
