"""The blocks of a recipe that say how models are fitted: ``training`` and ``folds``."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mmctr_kit.data.contract import FoldsBy
from mmctr_kit.models.option_types import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Rate,
    Share,
    applies_to,
    applies_unless,
)
from mmctr_kit.recipe.blocks import Block
from mmctr_kit.recipe.unused import NeedsInput

if TYPE_CHECKING:
    from mmctr_kit.data.dataset import Rows
    from mmctr_kit.metrics.ranks import Ints16


UNCOUNTED = ("data_on", "check")
"""The keys of :class:`Training` that do not change the models: they are in no fingerprint."""


class Training(Block):
    """How one model is fitted. The schedule is fixed beforehand; nothing stops it early.

    An ``average`` passes over all weights once more in each step, over whole user tables too;
    running statistics of norms are averaged along. With ``embedding_restart`` it is of each epoch's
    steps. With ``user_updates: rows`` moments decay, and the regulariser and weight decay act, only
    in steps that see the user, and bias is corrected by the number of all steps: torch's SparseAdam
    and TensorFlow's LazyAdam, but with the epsilon of ``dense``.
    """

    optimizer: Literal["adam", "adamw"] = "adam"
    """Adam, or AdamW with decoupled weight decay."""
    learning_rate: PositiveFloat = 1e-3
    """The highest learning rate of the schedule; of trees, the share of each tree that is added."""
    weight_decay: Annotated[NonNegativeFloat, applies_to("optimizer", "adamw")] = 0.0
    """AdamW's decay of all weights in a step, as a share of the learning rate."""
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    """How the learning rate goes from its highest to the end: it stays, or it falls to 0."""
    warmup: Rate = 0.05
    """The share of all steps over which the learning rate rises from 0 to its highest."""
    batch_size: Annotated[int, Field(ge=2)] | Literal["auto"] = "auto"
    """How many rows a step sees; auto is about 200 steps an epoch, of 256 to 8,192 rows."""
    epochs: PositiveInt = 5
    """How many times the training rows are passed through; of trees, how many chunks are grown."""
    min_steps: NonNegativeInt = 0
    """At least so many steps are trained: on few rows the epochs are raised."""
    max_history: PositiveInt = 64
    """Only so many of a user's most recent items are read."""
    clip_norm: PositiveFloat | None = 10.0
    """The gradient's norm is cut to this; null leaves it."""
    embedding_regularizer: NonNegativeFloat = 0.0
    """The weight of the L2 penalty on embedding tables and on the projections of item vectors."""
    net_regularizer: NonNegativeFloat = 0.0
    """The weight of the L2 penalty on all other weight matrices."""
    holdout: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """The share of the training users who are held out to choose the epoch; with 0 all are trained
    on, and snapshot must be last."""
    snapshot: Literal["best", "last"] = "best"
    """The epoch whose weights are used: the best on the held-out users, or the last."""
    stop_at: Share = 1.0
    """Training ends after this share of the epochs, where the learning rate is not at its end."""
    average: Literal["none", "ema", "tail"] = "none"
    """Which weights predict: the last step's (none), an exponential moving average over the steps
    (ema; Polyak and Juditsky 1992), or the plain mean of the last steps (tail; stochastic weight
    averaging, arXiv 1803.05407). It is one network in any case."""
    ema_decay: Annotated[float, Field(gt=0, lt=1), applies_to("average", "ema")] = 0.99
    """The moving average keeps this much of itself at each step; early on it is the plain mean."""
    tail: Annotated[float, Field(gt=0, le=1), applies_to("average", "tail")] = 0.25
    """The share of the steps, the last ones, over which weights are averaged."""
    embedding_restart: Literal["none", "ids", "all"] = "none"
    """Which embedding tables are drawn anew at the start of each epoch but the first (arXiv
    2305.19531): those of items and users (ids), or also of tags, levels and codes (all). It keeps a
    network from recognising rows by their ids; it pays if signals or factors say who took what."""
    label_smoothing: Rate = 0.0
    """Labels 0 and 1 are moved towards 1/2 by this share of the way."""
    teacher: str | None = None
    """For fit alone: the folder of a run whose OOF predictions are mixed into the labels
    (distillation)."""
    teacher_weight: Annotated[Share, applies_unless("teacher", None)] = 0.5
    """The weight of the teacher's predictions beside the labels."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """The number format of the products in training; auto is bf16 if it is faster here. Prediction
    is always in float32."""
    steps: Literal["auto", "plain", "captured", "compiled"] = "auto"
    """How a step is run: eager (plain), with static shapes and one CUDA graph (captured), or also
    through torch.compile (compiled). auto is compiled on a GPU and plain on a CPU."""
    check: Literal["auto", "always", "off"] = "auto"
    """Whether steps are checked before training: that compiled and captured ones train what plain
    ones do, and plain ones what the CPU does. auto does so on a GPU, once for each model and size;
    always does so before each fit, on a CPU too. The models are the same."""
    user_updates: Annotated[Literal["dense", "rows"], NeedsInput("n_users")] = "dense"
    """Which rows of a table of users a step updates: all, as published (dense), or those of the
    batch's users (rows), which costs far less if users are many; as torch's SparseAdam does."""
    data_on: Literal["auto", "device", "host"] = "auto"
    """Where the rows are kept: on the device, or on the host and sent in chunks. auto is the device
    if they take at most half of its free memory. The models are the same."""

    @field_validator("check", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        """Take false for off, since YAML reads the word so."""
        return "off" if value is False else value

    @model_validator(mode="after")
    def _somebody_chooses_the_snapshot(self) -> "Training":
        if self.holdout == 0 and self.snapshot == "best":
            raise ValueError(
                "training.holdout: 0 leaves no users to choose the best snapshot by; set "
                "training.snapshot=last too"
            )
        return self


class Folds(Block):
    """Which rows each fold model is trained on, and which it predicts.

    See :mod:`mmctr_kit.data.folds`.
    """

    by: FoldsBy = "user"
    """What a fold model has not met in the rows that it predicts: the user, the target item (item),
    or anything later (time: rows are cut into count + 1 blocks by time, and each but the first is
    predicted from those before it). time suits data whose valid and test rows come after train."""
    count: Annotated[int, Field(ge=2, le=100)] = 5
    """How many folds, and so how many models for each seed."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63), applies_unless("by", "time")] = 0
    """Another seed puts users into other folds; runs blend only if their folds are equal."""

    def assign(self, rows: "Rows") -> "Ints16":
        """The fold of each train row; see :func:`mmctr_kit.data.folds.assign_folds`."""
        from mmctr_kit.data.folds import assign_folds

        return assign_folds(rows, self.by, self.count, self.seed)

    @property
    def shares(self) -> tuple[float, float]:
        """The mean shares of the train rows that a fold model may be trained on, and predicts."""
        if self.by == "item":  # of users and of items
            return (1 - 1 / self.count) ** 2, 1 / self.count**2
        if self.by == "time":  # of blocks: (1 + 2 + ... + count) / count, and 1, of count + 1
            return 1 / 2, 1 / (self.count + 1)
        return 1 - 1 / self.count, 1 / self.count
