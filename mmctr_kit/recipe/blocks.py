"""The blocks of a recipe that say what a model is shown: items, codes, signals, extra rows."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from mmctr_kit.errors import did_you_mean
from mmctr_kit.models.option_types import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    applies_to,
    applies_unless,
)
from mmctr_kit.recipe.unused import NeedsInput

ItemEmbedding = Literal[
    "item_info", "v1", "v2", "v3", "e4", "file", "none",
    "text", "image", "joint_pca", "separate_pca", "raw", "factors", "aligned", "blocks",
]  # fmt: skip

CodesOf = Literal["none", "text", "image", "aligned", "factors", "embedding"]

SignalKind = Literal["cosine", "pmi", "near", "next", "recent", "ease"]
SIGNAL_KINDS: tuple[SignalKind, ...] = get_args(SignalKind)
_GROUPS: Mapping[str, tuple[SignalKind, ...]] = {"all": SIGNAL_KINDS, "none": ()}


class Block(BaseModel):
    """A part of a recipe: immutable, and it refuses unknown keys.

    The text below a key is its meaning, which ``mmctr-kit recipes NAME --keys`` prints.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

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

    Factors (:mod:`mmctr_kit.embed.factors`) and aligned vectors (:mod:`mmctr_kit.embed.align`) are
    learned for each fold model from its own training users.
    """

    embedding: Annotated[ItemEmbedding, NeedsInput("item_emb")] = "item_info"
    """The vector: that of item_info.parquet, v1 to e4 of item_emb.parquet, a file of your own, or
    none. Made from item_feature.parquet: a PCA of text or image, of each side by side
    (separate_pca), of both as one (joint_pca), or both as they are (raw). Learned from users:
    factors, aligned. blocks is several of these side by side."""
    file: Annotated[str | None, applies_to("embedding", "file")] = None
    """A parquet file of your own with the columns item_id and vector."""
    encoded: Annotated[str | None, _READS_CONTENT] = None
    """A file of 'items encode', whose text and image replace those of item_feature.parquet."""
    drop_modality: Annotated[str | None, _READS_CONTENT] = None
    """A CSV of 'items quality --drop': items whose text or image counts as missing."""
    blocks: Annotated[
        tuple[ItemBlock, ...], Field(min_length=1), applies_to("embedding", "blocks")
    ] = ("factors", "text", "image")
    """What stands side by side, each scaled to a mean length of 1 and then by its weight."""
    text_dim: Annotated[PositiveInt, _TEXT] = 64
    """How many values the PCA of the text has."""
    image_dim: Annotated[PositiveInt, _IMAGE] = 64
    """How many values the PCA of the image has."""
    dim: Annotated[PositiveInt, applies_to("embedding", "joint_pca")] = 128
    """How many values the PCA of text and image as one has."""
    factors_dim: Annotated[PositiveInt, _FACTORS] = 64
    """How many factors of who took what an item has."""
    factors_shrinkage: Annotated[NonNegativeFloat, _FACTORS] = 10.0
    """Pulls pairs that few users have to zero: the weight of n users is multiplied by
    n / (n + factors_shrinkage)."""
    factors_from: Annotated[Literal["histories", "positives"], _FACTORS | _ALIGNED] = "positives"
    """What factors and alignment learn from: histories alone, or the users' positives too."""
    aligned_dim: Annotated[PositiveInt, _ALIGNED] = 64
    """How many values text and image are projected to, so that items taken by the same users are
    near each other."""
    aligned_window: Annotated[PositiveInt, _ALIGNED] = 8
    """How many positions apart two items of a history still are a pair to learn from."""
    factors_weight: Annotated[PositiveFloat, applies_to("blocks", "factors")] = 1.0
    """The weight of the factors beside the other blocks."""
    aligned_weight: Annotated[PositiveFloat, applies_to("blocks", "aligned")] = 1.0
    """The weight of the aligned vectors beside the other blocks."""
    text_weight: Annotated[PositiveFloat, applies_to("blocks", "text")] = 1.0
    """The weight of the text beside the other blocks."""
    image_weight: Annotated[PositiveFloat, applies_to("blocks", "image")] = 1.0
    """The weight of the image beside the other blocks."""
    whiten: Annotated[bool, applies_to("embedding", *_PCA, "blocks")] = False
    """Give the columns of a PCA unit variance."""
    normalize: Annotated[Literal["none", "l2"], applies_to("embedding", *_PCA, "raw", "blocks")] = (
        "none"
    )
    """l2 gives each part of an item's vector unit length, after whiten."""

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

    An item has a code of 1 to ``size`` at each of ``levels``, or none at all if it lacks what is
    quantised; see :mod:`mmctr_kit.embed.codes`. Vectors learned from users are quantised for each
    fold model anew.
    """

    of: Annotated[CodesOf, NeedsInput("item_codes")] = "none"
    """What is quantised: the raw text or image, the aligned vectors or factors of items (whether or
    not its embedding has them), or the whole embedding of items."""
    levels: Annotated[int, Field(ge=1, le=8), applies_unless("of", "none")] = 3
    """How many codes an item has, each finer than the one before."""
    size: Annotated[int, Field(ge=2, le=4096), applies_unless("of", "none")] = 64
    """How many values a code has."""


class Signals(Block):
    """Similarities between the target and each item of the history.

    They are counted from what the fold's training users took; see
    :mod:`mmctr_kit.items.similarity`.
    """

    kinds: Annotated[
        tuple[SignalKind, ...], NeedsInput("n_signals"), applies_to("model.use_history", True)
    ] = ()
    """Which similarities the model is shown: a list of kinds, all or none."""
    window: Annotated[PositiveInt, applies_to("kinds", "near", "next", "all")] = 3
    """How many positions apart two items still count as near or next."""
    half_life: Annotated[PositiveFloat, applies_to("kinds", *SIGNAL_KINDS, "all")] = 8.0
    """After so many positions an item of the history weighs half."""
    shrinkage: Annotated[NonNegativeFloat, _COUNTED] = 10.0
    """Pulls similarities of rare items to zero: one counted from n users is multiplied by
    n / (n + shrinkage)."""
    neighbours: Annotated[PositiveInt, _COUNTED] = 500
    """Only so many of an item's strongest similarities are used."""
    ease_items: Annotated[int, Field(ge=1, le=20_000), applies_to("kinds", "ease", "all")] = 5_000
    """EASE is fitted on so many of the most frequent items."""
    ease_l2: Annotated[PositiveFloat, applies_to("kinds", "ease", "all")] = 200.0
    """EASE's L2 penalty."""

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

    A later history item becomes a target with label 1; its history is the items before it.
    """

    per_user: NonNegativeInt = 0
    """How many of a user's later history items become further rows; 0 makes none."""
    negatives: Annotated[PositiveInt, _AUGMENTED] = 3
    """How many rows with label 0 are drawn for each of them."""
    min_history: Annotated[PositiveInt, _AUGMENTED] = 2
    """At least so many items must stand before an item that becomes a row."""
    sampling: Annotated[Literal["rows", "histories", "uniform"], _AUGMENTED] = "rows"
    """How negatives are drawn: in proportion to the training rows with label 0, as the data set
    does, to the items of the histories, or evenly from the catalogue."""
