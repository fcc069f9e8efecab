"""What ``cv`` needs of anything it trains, and nothing of how it is done."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import Split

if TYPE_CHECKING:
    pass


State = Mapping[str, NDArray[Any]]
"""Arrays by name: what an epoch leaves behind, or a model's weights."""

LARGE_STATE = 1 << 29
"""Bytes beyond which an epoch's state may be what is trained itself, not a copy of it: it must be
written before the next epoch begins."""


@dataclass(frozen=True)
class Epoch:
    """What an epoch showed.

    ``epoch`` counts from 1 to ``epochs``, each of ``steps`` steps. ``best`` marks the snapshot
    kept so far; ``state()`` is all that the rest of the fit depends on. Of its ``seconds``,
    ``compile_seconds`` went to compiling and capturing and ``evaluate_seconds`` to the holdout.
    """

    epoch: int
    epochs: int
    steps: int
    train_loss: float
    holdout_auc: float
    holdout_logloss: float
    best: bool
    seconds: float
    compile_seconds: float
    evaluate_seconds: float
    state: Callable[[], State]


@dataclass(frozen=True)
class Cost:
    """What one fit will take: ``parameters`` trained, ``batch_size``, ``steps`` in all its
    ``epochs``, and measured ``seconds_per_step`` and ``seconds_per_row`` of prediction, with the
    rows ``data_on`` the "device" or the "host"."""

    parameters: int
    batch_size: int
    epochs: int
    steps: int
    seconds_per_step: float
    seconds_per_row: float
    data_on: Literal["device", "host"]


class Learner(Protocol):
    """One recipe on one data set: fits one model at a time and predicts with it.

    Row numbers are positions in ChallengeData's rows of a split; logits are float64.
    """

    def fit(
        self,
        train: NDArray[np.int64],
        holdout: NDArray[np.int64],
        seed: int,
        resume: State | None = None,
    ) -> Iterator[Epoch]:
        """Train a fresh model on rows of the train split, yielding each epoch as it ends.

        ``holdout`` rows, of other users, choose the snapshot that remains. ``resume`` is an
        earlier epoch's state. The result is a function of the rows, the seed and the recipe.
        """
        ...

    def predict(self, split: Split, index: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """(rows,) logits of the given rows, or of the whole split."""
        ...

    @property
    def data_on(self) -> Literal["device", "host"]:
        """Where the rows lie that the fitted model was shown: on its device, or on the host, from
        where they go there in chunks."""
        ...

    def weights(self) -> State:
        """The fitted model, enough for :meth:`load`."""
        ...

    def load(self, weights: State) -> None:
        """Become the model of these weights."""
        ...

    def cost(self, train_rows: int) -> Cost:
        """Measure a few steps, to say what a fit on so many rows will take."""
        ...
