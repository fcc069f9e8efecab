"""The learner of every neural model: builds it, fits it, predicts with it."""

import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmctr_kit.challenge.contract import Split
from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.items.fusion import item_table
from mmctr_kit.learner import Cost, Epoch, State
from mmctr_kit.recipe import Recipe
from mmctr_kit.registry import model_class
from mmctr_kit.training.batches import DeviceData, mix, tensor, to_device
from mmctr_kit.training.fit import Fit, batch_size_for, copy_state, schedule

_TIMED_STEPS = 5


class NeuralLearner:
    """A recipe's model on one device; see :class:`mmctr_kit.learner.Learner`."""

    def __init__(self, recipe: Recipe, data: ChallengeData, device: str) -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        self.data: DeviceData = to_device(data, self.device)
        self._item_tags = tensor(data.item_tags.astype(np.int64), self.device)
        self._item_emb = tensor(item_table(data, recipe.items), self.device)
        self._n_tags = data.n_tags
        self._fit: Fit | None = None

    def build(self, seed: int) -> nn.Module:
        """A fresh model, initialised from the seed."""
        torch.manual_seed(mix(seed, 0))
        model: nn.Module = model_class(self.recipe.model_name)(
            item_tags=self._item_tags,
            item_emb=self._item_emb,
            n_tags=self._n_tags,
            **self.recipe.model_arguments,
        )
        return model.to(self.device)

    def fit(
        self,
        train: NDArray[np.int64],
        holdout: NDArray[np.int64],
        seed: int,
        resume: State | None = None,
    ) -> Iterator[Epoch]:
        self._fit = Fit(self.build(seed), self.data, self.recipe.training, seed)
        return self._fit.run(train, holdout, resume)

    def predict(self, split: Split, index: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        return self._fitted().predict(split, index)

    def weights(self) -> State:
        return copy_state(self._fitted().model.state_dict())

    def load(self, weights: State) -> None:
        model = self.build(0)
        model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()})
        self._fit = Fit(model, self.data, self.recipe.training, 0)

    def cost(self, train_rows: int) -> Cost:
        options = self.recipe.training
        fit = Fit(self.build(0), self.data, options, 0)
        size = batch_size_for(train_rows, options)
        rows = np.arange(min(size, len(self.data.rows["train"])))
        index = torch.from_numpy(rows).to(self.device)
        per_step = self._seconds(lambda: fit.step(index))
        per_prediction = self._seconds(lambda: fit.predict("train", rows))
        steps, epochs = schedule(train_rows, options)
        return Cost(
            parameters=sum(p.numel() for p in fit.model.parameters()),
            batch_size=size,
            epochs=epochs,
            steps=steps * epochs,
            seconds_per_step=per_step,
            seconds_per_row=per_prediction / len(rows),
        )

    def _fitted(self) -> Fit:
        if self._fit is None:
            raise ValueError("nothing was fitted or loaded yet")
        return self._fit

    def _seconds(self, work: object) -> float:
        assert callable(work)
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(_TIMED_STEPS):
            work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / _TIMED_STEPS
