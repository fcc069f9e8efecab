"""The types of a model's options, as used in the signatures of the model files.

A model's keyword-only arguments with defaults *are* its recipe keys: the recipe schema is read off
the signature (see :mod:`mmctr_kit.models.registry`). So a default, its range and the values of
other keys with which it does something live in one place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field


@dataclass(frozen=True)
class Condition:
    """Holds if key ``key`` has one of ``values``, or with ``negated`` if it has none of them.

    A list has each of its members. ``key`` is an option of the same model (``attention``) or a
    dotted recipe key (``items.embedding``).
    """

    key: str
    values: tuple[Any, ...]
    negated: bool = False

    def holds(self, value: Any) -> bool:
        members = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        return any(member in self.values for member in members) != self.negated


@dataclass(frozen=True)
class AppliesTo:
    """Says in an option's annotation when the option does something: if a condition holds.

    With several in one annotation each of them must have a condition that holds.
    """

    conditions: tuple[Condition, ...]

    def __or__(self, other: "AppliesTo") -> "AppliesTo":
        return AppliesTo(self.conditions + other.conditions)


@dataclass(frozen=True)
class Means:
    """Says in an option's annotation what it means; ``mmctr-kit recipes NAME --keys`` prints it."""

    text: str


def applies_to(key: str, *values: Any) -> AppliesTo:
    """The option does something only if ``key`` has one of ``values``."""
    return AppliesTo((Condition(key, values),))


def applies_unless(key: str, *values: Any) -> AppliesTo:
    """The option does something only if ``key`` has none of ``values``."""
    return AppliesTo((Condition(key, values, negated=True),))


PositiveInt = Annotated[int, Field(gt=0)]
TwoOrMore = Annotated[int, Field(ge=2)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]
"""A share or a dropout probability."""

Share = Annotated[float, Field(gt=0, le=1)]
"""A part of something, or all of it."""

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
"""Hidden widths of an MLP, first layer first."""

Activation = Literal["relu", "prelu", "gelu", "silu", "sigmoid", "tanh"]
"""Pointwise, so that no row or history position depends on another."""

FusionKind = Literal["concat", "sum", "gated", "cross"]
"""How a model fuses an item's modalities; see :mod:`mmctr_kit.models.layers.fusion`."""

MODALITIES_APART = ("separate_pca", "blocks", "e4", "raw")
"""The values of ``items.embedding`` whose columns are several modalities side by side."""

EmbeddingDim = Annotated[PositiveInt, Means("The width of the embeddings of ids, tags and levels.")]

ItemEmbDim = Annotated[
    PositiveInt | None,
    applies_unless("items.embedding", "none"),
    Means("The width that the item's vector is projected to; null is its own width."),
]

Fusion = Annotated[
    FusionKind,
    applies_to("items.embedding", *MODALITIES_APART),
    Means("How an item's modalities, such as text and image, become one vector."),
]

FusionHeads = Annotated[
    PositiveInt,
    applies_to("fusion", "cross"),
    Means("The heads of the attention between modalities."),
]

ModalityDropout = Annotated[
    Rate,
    applies_to("items.embedding", *MODALITIES_APART, "text", "image", "factors", "aligned"),
    Means(
        "How often a modality is hidden in training, which teaches the vector that stands in if an "
        "item lacks it."
    ),
]

MaxLength = Annotated[
    PositiveInt, Means("The model reads only so many of a history's most recent items.")
]

MlpHidden = Annotated[
    Widths, Means("The widths of the hidden layers of the head, the first layer first.")
]

MlpActivation = Annotated[Activation, Means("The activation of the head's hidden layers.")]

MlpDropout = Annotated[Rate, Means("The dropout after each hidden layer of the head.")]

BatchNorm = Annotated[bool, Means("Batch normalisation in the head.")]
