"""The learner of every neural model: builds it, fits it, predicts with it."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmctr_kit.challenge.contract import Split
from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.items.fusion import item_table
from mmctr_kit.items.levels import item_levels
from mmctr_kit.learner import Cost, Epoch, State
from mmctr_kit.models.published import load_published, published_sizes
from mmctr_kit.recipe import Recipe
from mmctr_kit.registry import model_class, model_supplies
from mmctr_kit.training.batches import DeviceData, mix, tensor, to_device, with_raw_users
from mmctr_kit.training.fit import Fit, batch_size_for, copy_state, schedule

_TIMED_STEPS = 5
KNOWN_USER = "known_user"
"""Beside the model's own weights: which users it was trained on, as in make_batch."""


class NeuralLearner:
    """A recipe's model on one device; see :class:`mmctr_kit.learner.Learner`."""

    def __init__(self, recipe: Recipe, data: ChallengeData, device: str) -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        self._challenge = data
        self.data: DeviceData = to_device(data, self.device)
        likes, views = item_levels(data)
        self._supplies: dict[str, Any] = {
            "item_tags": tensor(data.item_tags.astype(np.int64), self.device),
            "item_emb": tensor(item_table(data, recipe.items), self.device),
            "item_likes_level": tensor(likes, self.device),
            "item_views_level": tensor(views, self.device),
            "n_tags": data.n_tags,
            "n_users": self.data.n_users,
        }
        self._fit: Fit | None = None

    def build(self, seed: int) -> nn.Module:
        """A fresh model, initialised from the seed."""
        torch.manual_seed(mix(seed, 0))
        model: nn.Module = self._model(self._supplies)
        return model

    def _model(self, supplies: Mapping[str, Any]) -> Any:
        name = self.recipe.model_name
        supplied = {k: supplies[k] for k in model_supplies(name)}
        return model_class(name)(**supplied, **self.recipe.model_arguments).to(self.device)

    def fit(
        self,
        train: NDArray[np.int64],
        holdout: NDArray[np.int64],
        seed: int,
        resume: State | None = None,
    ) -> Iterator[Epoch]:
        try:
            self._fit = Fit(self.build(seed), self.data, self.recipe.training, seed)
            yield from self._fit.run(train, holdout, resume)
        except torch.OutOfMemoryError as e:
            raise MmctrKitError(
                "the GPU's memory is full; lower training.batch_size, or use --device cpu"
            ) from e

    def predict(self, split: Split, index: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        return self._fitted().predict(split, index)

    def weights(self) -> State:
        fit = self._fitted()
        return copy_state({**fit.model.state_dict(), KNOWN_USER: fit.known_user})

    def load(self, weights: State) -> None:
        model = self.build(0)
        tensors = {k: tensor(v, self.device) for k, v in weights.items()}
        known_user = tensors.pop(KNOWN_USER)
        model.load_state_dict(tensors)
        self._fit = Fit(model, self.data, self.recipe.training, 0)
        self._fit.known_user = known_user

    def load_published(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become a published model, from its state dict under the published names.

        Its vocabularies are the checkpoint's: more tags than the data has are kept, and a raw user
        id is its row of the user table, 0 (unseen) where it is beyond it. Raises DataError that
        names a parameter which is missing, unknown or misshapen.
        """
        tensors = {k: tensor(np.asarray(v), self.device) for k, v in state.items()}
        sizes = published_sizes(tensors)
        supplies = dict(self._supplies)
        supplies["n_tags"] = max(supplies["n_tags"], sizes.tags)
        supplies["n_users"] = sizes.users if sizes.users is not None else supplies["n_users"]
        model = self._model(supplies)
        load_published(model, tensors)
        self.data = with_raw_users(self.data, self._challenge, int(supplies["n_users"]))
        self._fit = Fit(model, self.data, self.recipe.training, 0)
        self._fit.known_user[:] = True

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
