"""The learner: the interface to anything that cross-validation trains."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import Split
from mmctr_kit.items import Floats64, Ints

Location = Literal["device", "host"]
"""Where rows are stored: on the device, or on the host, from which they go there in chunks."""

State = Mapping[str, NDArray[Any]]
"""Arrays by name: all that a resume needs, or a model's weights."""


@dataclass(frozen=True)
class Trained:
    """How the steps of a network's training were run.

    ``steps`` is "plain", "compiled", "captured" or "compiled + captured", ``precision`` "float32"
    or "bf16". ``check`` says whether they were checked (``training.check``), ``fallbacks`` in a
    line each what they went without and why, and ``details``, line by line, all that is known of
    the causes.
    """

    steps: str
    precision: str
    check: str
    fallbacks: Sequence[str]
    details: Sequence[str]

    def __str__(self) -> str:
        # Plain steps on a CPU are what others are checked against.
        checked = self.steps != "plain" or self.check == "checked"
        return ", ".join([self.steps, self.precision, *([self.check] if checked else [])])


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch.

    ``epoch`` counts from 1 to ``epochs``, each of ``steps`` steps. The AUC and logloss of the
    holdout are NaN if nobody is held out. ``best`` says that this epoch is
    the snapshot so far; ``state()`` is all that a resume needs: if it is ``live``, it has to be
    saved before the next epoch begins, since it is no copy. Of its ``seconds``,
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
    live: bool = False


@dataclass(frozen=True)
class Cost:
    """What one fit will cost.

    It trains ``parameters`` in ``steps``, of all its ``epochs`` together, of ``batch_size`` rows.
    ``seconds_per_step``, the ``seconds_per_row`` of prediction and the ``seconds_to_prepare`` the
    signals, extra rows and learned item vectors of a fold, or the features of trees, are measured,
    with the rows stored on ``data_on``. ``trained`` is how the steps of a network were run; a model
    of trees has ``trees`` of them, and grows a chunk in a step.
    """

    parameters: int
    batch_size: int
    epochs: int
    steps: int
    seconds_per_step: float
    seconds_per_row: float
    data_on: Location
    seconds_to_prepare: float
    trained: Trained | None = None
    trees: int | None = None


class Learner(Protocol):
    """One recipe on one data set: fits a model at a time, and predicts its float64 logits."""

    def fit(
        self, train: Ints, holdout: Ints, seed: int, resume: State | None = None
    ) -> Iterator[Epoch]:
        """Train a fresh model on rows of the train split, yielding each epoch as it ends.

        ``holdout`` rows, of other users, choose the snapshot; both parts hold both labels, or the
        holdout is empty and the last snapshot is taken.
        ``resume`` is an earlier epoch's state. The result is a function of rows, seed and recipe.
        """

    def predict(self, split: Split, index: Ints | None = None) -> Floats64:
        """The logits (rows,) of the given rows, or of the whole split."""

    def importance(self) -> State | None:
        """What the fitted model's predictions rest on, feature by feature, for the fold folder.

        As :func:`mmctr_kit.runs.importance.pack_importance` makes it; None if the model's inputs
        have no names.
        """

    @property
    def data_on(self) -> Location:
        """Where the rows of the fitted model are stored."""

    def trained(self) -> Trained | None:
        """How the steps of the fit were run; None if there were none, or for trees."""

    def weights(self) -> State:
        """The fitted model's weights, as :meth:`load` takes them."""

    def load(self, weights: State) -> None:
        """Become the model with these weights."""

    def cost(self, train_rows: int) -> Cost:
        """Measure a few steps, and say what a fit on ``train_rows`` rows will cost."""


def derive_seed(*parts: int) -> int:
    """One 63-bit seed from several integers; different parts give unrelated seeds."""
    state = np.random.SeedSequence([p & 0xFFFFFFFFFFFFFFFF for p in parts])
    return int(state.generate_state(1, np.uint64)[0] >> np.uint64(1))
