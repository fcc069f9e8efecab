"""The types of a model's options, as used in the signatures of the model files.

A model's keyword-only arguments with defaults *are* its recipe keys: the recipe schema is read off
the signature (see :mod:`mmctr_kit.models.registry`), so a default and its range live in one place.
"""

from typing import Annotated, Literal

from pydantic import Field

PositiveInt = Annotated[int, Field(gt=0)]
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

__all__ = [
    "Activation",
    "Annotated",
    "Field",
    "FusionKind",
    "Literal",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "Rate",
    "Share",
    "Widths",
]
