"""The blocks of a recipe that every model shares."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from mmctr_kit.data.contract import FoldsBy
from mmctr_kit.errors import did_you_mean
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
from mmctr_kit.recipe.unused import NeedsInput

if TYPE_CHECKING:
    from mmctr_kit.data.dataset import Rows
    from mmctr_kit.metrics.ranks import Ints16

ItemEmbedding = Literal[
    "item_info", "v1", "v2", "v3", "e4", "file", "none",
    "text", "image", "joint_pca", "separate_pca", "raw", "factors", "aligned", "blocks",
]  # fmt: skip

CodesOf = Literal["none", "text", "image", "aligned", "factors", "embedding"]

SignalKind = Literal["cosine", "pmi", "near", "next", "recent", "ease"]
SIGNAL_KINDS: tuple[SignalKind, ...] = get_args(SignalKind)
_GROUPS: Mapping[str, tuple[SignalKind, ...]] = {"all": SIGNAL_KINDS, "none": ()}


class Block(BaseModel):
    """A part of a recipe: immutable, and it refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false as numbers: pydantic would read true as 1."""
        assert info.field_name is not None
        values = value if isinstance(value, list | tuple) else (value,)
        switch = cls.model_fields[info.field_name].annotation is bool
        if not switch and any(isinstance(v, bool) for v in values):
            raise ValueError("true and false are no values of this key")
        return value


ItemBlock = Literal["factors", "aligned", "text", "image"]
_PCA = ("text", "image", "separate_pca", "joint_pca")
_CONTENT = (*_PCA, "raw", "factors", "aligned", "blocks")
_FACTORS = (
    applies_to("embedding", "factors")
    | applies_to("blocks", "factors")
    | applies_to("codes.of", "factors")
)
_ALIGNED = (
    applies_to("embedding", "aligned")
    | applies_to("blocks", "aligned")
    | applies_to("codes.of", "aligned")
)
_READS_CONTENT = applies_to("embedding", *_CONTENT) | applies_to(
    "codes.of", "text", "image", "factors", "aligned"
)
_TEXT = applies_to("embedding", "text", "separate_pca") | applies_to("blocks", "text")
_IMAGE = applies_to("embedding", "image", "separate_pca") | applies_to("blocks", "image")
_AUGMENTED = applies_unless("per_user", 0)
_COUNTED = applies_to("kinds", "cosine", "pmi", "near", "next", "recent", "all")


ITEM_FILES = ("file", "encoded", "drop_modality")
"""The keys of :class:`Items` that name a file."""


class Items(Block):
    """The vector that a model gets for an item, beside the item's id and tags.

    ``item_info`` is the vector in item_info.parquet, ``v1`` to ``e4`` are the vectors in
    item_emb.parquet, ``file`` is a parquet file of your own (item_id, vector), ``none`` is no
    vector. The others are made of item_feature.parquet: ``text`` is a PCA to ``text_dim``,
    ``image`` a PCA to ``image_dim``, ``separate_pca`` these two side by side, ``joint_pca`` one
    PCA of both modalities side by side to ``dim``, ``raw`` both as they are. ``whiten`` gives PCA
    columns unit variance; ``normalize: l2`` then gives each part unit length.

    Text and image are taken from the file ``encoded``, written by ``items encode``, as far as it
    has them. The items in the file ``drop_modality``, written by ``items quality``, are missing the
    modality that it names beside them.

    ``factors`` are ``factors_dim`` factors of who took what, counted for each fold model from its
    own training users; see :mod:`mmctr_kit.embed.factors`. ``factors_shrinkage`` pulls the weight
    of pairs that few users have to zero: that of n users is multiplied by n / (n +
    factors_shrinkage). ``factors_from``: what factors and alignment learn from, ``histories``
    alone or the users' ``positives`` too.

    ``aligned`` projects text and image to ``aligned_dim`` values in which items that the same users
    took are near each other, learned for each fold model from its own training users; see
    :mod:`mmctr_kit.embed.align`. Pairs are at most ``aligned_window`` positions apart.

    ``embedding: blocks`` is several of these side by side: those in ``blocks``, each in as many
    values as its key says, scaled to a mean length of 1 and then by its weight.
    """

    embedding: Annotated[ItemEmbedding, NeedsInput("item_emb")] = "item_info"
    file: Annotated[str | None, applies_to("embedding", "file")] = None
    encoded: Annotated[str | None, _READS_CONTENT] = None
    drop_modality: Annotated[str | None, _READS_CONTENT] = None
    blocks: Annotated[
        tuple[ItemBlock, ...], Field(min_length=1), applies_to("embedding", "blocks")
    ] = ("factors", "text", "image")
    text_dim: Annotated[PositiveInt, _TEXT] = 64
    image_dim: Annotated[PositiveInt, _IMAGE] = 64
    dim: Annotated[PositiveInt, applies_to("embedding", "joint_pca")] = 128
    factors_dim: Annotated[PositiveInt, _FACTORS] = 64
    factors_shrinkage: Annotated[NonNegativeFloat, _FACTORS] = 10.0
    factors_from: Annotated[Literal["histories", "positives"], _FACTORS | _ALIGNED] = "positives"
    aligned_dim: Annotated[PositiveInt, _ALIGNED] = 64
    aligned_window: Annotated[PositiveInt, _ALIGNED] = 8
    factors_weight: Annotated[PositiveFloat, applies_to("blocks", "factors")] = 1.0
    aligned_weight: Annotated[PositiveFloat, applies_to("blocks", "aligned")] = 1.0
    text_weight: Annotated[PositiveFloat, applies_to("blocks", "text")] = 1.0
    image_weight: Annotated[PositiveFloat, applies_to("blocks", "image")] = 1.0
    whiten: Annotated[bool, applies_to("embedding", *_PCA, "blocks")] = False
    normalize: Annotated[Literal["none", "l2"], applies_to("embedding", *_PCA, "raw", "blocks")] = (
        "none"
    )

    @property
    def dims(self) -> dict[str, int]:
        """The keys that say how wide the vector is, with their values; empty if none does."""
        keys = {
            **{name: (f"{name}_dim",) for name in get_args(ItemBlock)},
            "joint_pca": ("dim",),
            "separate_pca": ("text_dim", "image_dim"),
            "blocks": tuple(f"{name}_dim" for name in self.blocks),
        }
        return {key: getattr(self, key) for key in keys.get(self.embedding, ())}

    @property
    def files(self) -> dict[str, str]:
        """The files that keys name, by key."""
        return {k: v for k in ITEM_FILES if (v := getattr(self, k)) is not None}

    @field_validator("blocks", mode="before")
    @classmethod
    def _one_block(cls, blocks: Any) -> Any:
        return [blocks] if isinstance(blocks, str) else blocks

    @field_validator("blocks", mode="after")
    @classmethod
    def _each_block_once(cls, blocks: tuple[ItemBlock, ...]) -> tuple[ItemBlock, ...]:
        if len(set(blocks)) != len(blocks):
            raise ValueError("items.blocks holds a block twice")
        return blocks

    @model_validator(mode="after")
    def _file_is_named(self) -> "Items":
        if self.embedding == "file" and self.file is None:
            raise ValueError("items.file is missing: items.embedding is file, so name one")
        return self


class Codes(Block):
    """Codes of the items: their vectors quantised, to be used as further ids.

    ``of``: what is quantised. ``text`` and ``image`` are the raw vectors that ``items`` reads;
    ``aligned`` and ``factors`` are those of ``items``, whether or not its embedding has them;
    ``embedding`` is the whole vector of ``items``. An item has a code of 1 to ``size`` at each of
    ``levels``, or none at all if it lacks what is quantised; see :mod:`mmctr_kit.embed.codes`.
    Vectors learned from users are quantised for each fold model anew.
    """

    of: Annotated[CodesOf, NeedsInput("item_codes")] = "none"
    levels: Annotated[int, Field(ge=1, le=8), applies_unless("of", "none")] = 3
    size: Annotated[int, Field(ge=2, le=4096), applies_unless("of", "none")] = 64


class Signals(Block):
    """Similarities between the target and each item of the history.

    They are counted from what the fold's training users took; see
    :mod:`mmctr_kit.items.similarity`. ``kinds``: a list of kinds, ``all`` or ``none``. ``window``:
    how many positions apart two items still count as ``near`` or ``next``. ``half_life``: of the
    recency weights, in positions. ``shrinkage`` pulls the similarities of rare items to zero: one
    counted from n users is multiplied by n / (n + shrinkage). Of each item only the ``neighbours``
    strongest similarities are used. ``ease`` is fitted on the ``ease_items`` most frequent items,
    with the penalty ``ease_l2``.
    """

    kinds: Annotated[
        tuple[SignalKind, ...], NeedsInput("n_signals"), applies_to("model.use_history", True)
    ] = ()
    window: Annotated[PositiveInt, applies_to("kinds", "near", "next", "all")] = 3
    half_life: Annotated[PositiveFloat, applies_to("kinds", *SIGNAL_KINDS, "all")] = 8.0
    shrinkage: Annotated[NonNegativeFloat, _COUNTED] = 10.0
    neighbours: Annotated[PositiveInt, _COUNTED] = 500
    ease_items: Annotated[int, Field(ge=1, le=20_000), applies_to("kinds", "ease", "all")] = 5_000
    ease_l2: Annotated[PositiveFloat, applies_to("kinds", "ease", "all")] = 200.0

    @field_validator("kinds", mode="before")
    @classmethod
    def _all_or_none(cls, kinds: Any) -> Any:
        if not isinstance(kinds, str):
            return kinds
        if kinds not in _GROUPS:
            known = ", ".join(SIGNAL_KINDS)
            near = did_you_mean(kinds, (*_GROUPS, *(f"[{kind}]" for kind in SIGNAL_KINDS)))
            raise ValueError(f"expected all, none or a list of {known}; found {kinds!r}{near}")
        return _GROUPS[kinds]

    @field_validator("kinds", mode="after")
    @classmethod
    def _each_once(cls, kinds: tuple[SignalKind, ...]) -> tuple[SignalKind, ...]:
        if len(set(kinds)) != len(kinds):
            raise ValueError("signals.kinds holds a kind twice")
        return kinds


class Augmentation(Block):
    """Extra training rows, made of training users' histories; see :mod:`mmctr_kit.items.augment`.

    ``per_user`` of a user's later history items become targets with label 1; their history is the
    items before them, at least ``min_history`` many. Each gets ``negatives`` targets with label 0.
    ``sampling`` draws them in proportion to the training ``rows`` with label 0 (as the data set
    does), to the items of the ``histories``, or ``uniform`` from the catalogue.
    """

    per_user: NonNegativeInt = 0
    negatives: Annotated[PositiveInt, _AUGMENTED] = 3
    min_history: Annotated[PositiveInt, _AUGMENTED] = 2
    sampling: Annotated[Literal["rows", "histories", "uniform"], _AUGMENTED] = "rows"


class Training(Block):
    """How one model is fitted. The schedule is fixed beforehand; nothing stops it early.

    ``snapshot``: the epoch whose weights are used, the ``last`` or the ``best`` on held-out
    training users, who are a share ``holdout`` of all; with 0 all users are trained on, and the
    snapshot is the last. ``stop_at`` this share of the schedule, in whole epochs, training ends,
    the learning rate being where the schedule of all epochs has it then. ``steps``: how a step is
    run. ``captured`` has static shapes and, on a GPU, replays one CUDA graph; ``compiled`` adds
    torch.compile; ``plain`` is eager; ``auto`` is compiled on a GPU and plain on a CPU.

    ``average``: the weights that predict. ``none``: the last step's. ``ema``: an exponential moving
    average over the steps, with ``ema_decay`` (Polyak and Juditsky 1992); while fewer steps are
    behind it, their plain mean. ``tail``: the plain mean over the last share ``tail`` of the
    steps, as in stochastic weight averaging (arXiv 1803.05407). Either is one network, and running
    statistics of norms are averaged along. Each step then passes over all weights once more, over
    whole user tables too. ``label_smoothing`` moves the labels 0 and 1 towards
    1/2 by this share of the way. ``teacher``, for ``fit`` alone, is the folder of a run whose OOF
    predictions are mixed into the labels with ``teacher_weight``: distillation.

    ``embedding_restart``: embedding tables that are drawn anew at the start of each epoch but the
    first, while all other weights go on (arXiv 2305.19531). From the second epoch on a network
    otherwise recognises rows by their ids, and its AUC on new users falls. ``ids`` are the tables
    of items and users, ``all`` also those of tags, levels and codes. It pays if signals or factors
    say who took what; if ids alone do, it costs. An ``average`` is then of each epoch's steps.

    ``user_updates``: how a table of users is trained. With ``dense``, as published, each step
    updates all its rows; users who are not in the batch move by their moments and the regulariser
    alone. With ``rows`` a step updates only the batch's users, which costs far less if users are
    many; moments decay, and the regulariser and weight decay act, only in steps that see the user,
    and bias is corrected by the number of all steps. That is torch's SparseAdam and TensorFlow's
    LazyAdam, but with the epsilon of ``dense``.

    ``data_on``: where the rows with their histories and signals are. On the ``host`` they go to
    the device in chunks; the models are the same. ``auto`` is the ``device`` if they take at most
    half of its free memory, which on a CPU they always do.
    """

    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    weight_decay: Annotated[NonNegativeFloat, applies_to("optimizer", "adamw")] = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: Rate = 0.05
    batch_size: Annotated[int, Field(ge=2)] | Literal["auto"] = "auto"
    epochs: PositiveInt = 5
    min_steps: NonNegativeInt = 0
    max_history: PositiveInt = 64
    clip_norm: PositiveFloat | None = 10.0
    embedding_regularizer: NonNegativeFloat = 0.0
    net_regularizer: NonNegativeFloat = 0.0
    holdout: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    snapshot: Literal["best", "last"] = "best"
    stop_at: Share = 1.0
    average: Literal["none", "ema", "tail"] = "none"
    ema_decay: Annotated[float, Field(gt=0, lt=1), applies_to("average", "ema")] = 0.99
    tail: Annotated[float, Field(gt=0, le=1), applies_to("average", "tail")] = 0.25
    embedding_restart: Literal["none", "ids", "all"] = "none"
    label_smoothing: Rate = 0.0
    teacher: str | None = None
    teacher_weight: Annotated[Share, applies_unless("teacher", None)] = 0.5
    precision: Literal["auto", "float32", "bf16"] = "auto"
    steps: Literal["auto", "plain", "captured", "compiled"] = "auto"
    user_updates: Annotated[Literal["dense", "rows"], NeedsInput("n_users")] = "dense"
    data_on: Literal["auto", "device", "host"] = "auto"

    @model_validator(mode="after")
    def _somebody_chooses_the_snapshot(self) -> "Training":
        if self.holdout == 0 and self.snapshot == "best":
            raise ValueError(
                "training.holdout: 0 leaves no users to choose the best snapshot by; set "
                "training.snapshot=last too"
            )
        return self


class Folds(Block):
    """``count`` folds; what each fold model is asked, ``by`` says.

    ``user``: rows of users whom it has not met; a user's fold is a hash of the user and ``seed``.
    ``item``: rows of users whom it has not met, whose target is no target of its training rows; one
    row in ``count``. ``time``: rows later than all its training rows. They are cut into
    ``count`` + 1 blocks by time, and each but the first is predicted by a model of the blocks
    before it. It suits data whose valid and test rows come after train; see
    :mod:`mmctr_kit.data.folds`.
    """

    by: FoldsBy = "user"
    count: Annotated[int, Field(ge=2, le=100)] = 5
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63), applies_unless("by", "time")] = 0

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
