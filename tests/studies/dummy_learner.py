"""A learner that learns nothing, for studies of executors: a job is as short as it can be."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.training.learner import Cost, Epoch, State

KILLS = "DUMMY_KILLS"
"""The environment variable that names a folder: each job with a file there, by its seed, is killed
once, and the file is gone."""


class Dummy:
    """A model without options."""

    def __init__(self) -> None:
        pass


class DummyLearner:
    """Predicts noise of its seed. A job may kill its own process, once."""

    data_on = "host"

    def __init__(self, recipe: Any, data: Any, items: Any, device: str, cache: Any) -> None:
        del recipe, items, device, cache
        self.rows = {split: len(rows) for split, rows in data.rows.items()}
        self.seed = 0

    @classmethod
    def check(cls, recipe: Any, data: Any, items: Any) -> None:
        """Nothing clashes."""

    def fit(
        self, train: NDArray[Any], holdout: NDArray[Any], seed: int, resume: State | None = None
    ) -> Iterator[Epoch]:
        del train, holdout, resume
        self.seed = seed
        if KILLS in os.environ:
            doomed = Path(os.environ[KILLS]) / str(seed)
            if doomed.exists():
                doomed.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        state = {"epochs_done": np.int64(1)}
        yield Epoch(1, 1, 1, 0.7, 0.5, 0.7, True, 0.0, 0.0, 0.0, lambda: state)

    def predict(self, split: str, index: NDArray[Any] | None = None) -> NDArray[np.float64]:
        random = np.random.default_rng(self.seed)
        noise = random.standard_normal(self.rows[split])
        return noise if index is None else noise[index]

    def trained(self) -> None:
        """None, since it has no steps."""

    def weights(self) -> State:
        return {"seed": np.int64(self.seed)}

    def importance(self) -> None:
        """None, since it has no features."""

    def load(self, weights: State) -> None:
        self.seed = int(weights["seed"])

    def cost(self, train_rows: int) -> Cost:
        return Cost(0, train_rows, 1, 1, 0.0, 0.0, "host", 0.0)
