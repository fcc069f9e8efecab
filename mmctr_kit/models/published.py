"""Translates the parameter names of published checkpoints to ours.

The released state dicts number the layers of an MLP with its activations and dropouts counted, so
their numbers move with the hyper-parameters; here layers are matched by their order instead.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mmctr_kit.errors import DataError, UsageError

State = Mapping[str, Tensor]
Names = dict[str, str]

_EMBEDDINGS = "embedding_layer.embedding_layer"
ITEM_NAMES: Names = {
    f"{_EMBEDDINGS}.embedding_layers.item_id.weight": "items.item_id.weight",
    f"{_EMBEDDINGS}.embedding_layers.item_tags.weight": "items.item_tags.weight",
    f"{_EMBEDDINGS}.feature_encoders.item_emb_d128.weight": "items.project.weight",
    f"{_EMBEDDINGS}.embedding_layers.likes_level.weight": "likes_level.weight",
    f"{_EMBEDDINGS}.embedding_layers.views_level.weight": "views_level.weight",
}


def published_sizes(state: State) -> dict[str, int]:
    """The ``n_tags`` and ``n_users`` of a published state dict, if it has such tables."""
    tables = (("n_tags", "item_tags", 0), ("n_users", "user_id", 1))
    return {
        size: len(state[weight]) - unseen
        for size, field, unseen in tables
        if (weight := f"{_EMBEDDINGS}.embedding_layers.{field}.weight") in state
    }


def load_published(model: nn.Module, state: State) -> None:
    """Load a published state dict into ``model``, every parameter by name and shape.

    The model's ``published_names(state)`` maps each published name that ``state`` should hold to
    the model's own name of the parameter. Raises UsageError if no checkpoint of this model was
    published, and DataError that names a parameter which is missing, extra or misshapen, or no
    finite float although ours is a float.
    """
    published_names: Any = getattr(model, "published_names", None)
    if published_names is None:
        raise UsageError(f"no checkpoint of {type(model).__name__} was published; none can be read")
    load_named(model, state, published_names(state))


def load_named(model: nn.Module, state: State, names: Names) -> None:
    """Load a state dict whose names are the keys of ``names``, the model's own their values.

    Raises DataError as :func:`load_published` does.
    """
    ours = model.state_dict()
    _require(not (missing := sorted(set(names) - set(state))), f"lacks {', '.join(missing)}")
    _require(not (extra := sorted(set(state) - set(names))), f"holds unknown {', '.join(extra)}")
    unset = sorted(set(ours) - set(names.values()))
    _require(not unset, f"has no parameter for the model's {', '.join(unset)}")
    for theirs, mine in names.items():
        expected, shape = tuple(ours[mine].shape), tuple(state[theirs].shape)
        _require(expected == shape, f"has {theirs} of shape {shape}; expected {expected}")
        _require_numbers(theirs, state[theirs], ours[mine])
    model.load_state_dict({mine: state[theirs] for theirs, mine in names.items()})


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise DataError(f"the checkpoint {message}; is it of another model, recipe or data set?")


def _require_numbers(name: str, theirs: Tensor, ours: Tensor) -> None:
    if not ours.is_floating_point():
        return
    if not theirs.is_floating_point():
        raise DataError(
            f"the checkpoint has {name} of {theirs.dtype}; expected floats: save it unquantized"
        )
    if not theirs.isfinite().all():
        raise DataError(
            f"the checkpoint's {name} holds NaN or infinity; take one of before its training broke"
        )


def numbered(name: str, layers: nn.Module) -> dict[str, nn.Module]:
    """The layers of a list called ``name`` that hold parameters, by ``name``.NUMBER."""
    return {f"{name}.{i}": m for i, m in layers.named_children() if list(m.parameters())}


def in_order(state: State, prefix: str, ours: Mapping[str, nn.Module]) -> Names:
    """Names under ``prefix``.NUMBER of the state, matched to our layers by order."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    numbers = sorted({int(m.group(1)) for name in state if (m := pattern.match(name))})
    _require(
        len(numbers) == len(ours), f"has {len(numbers)} layers in {prefix}; expected {len(ours)}"
    )
    return {
        f"{prefix}.{number}.{name}": f"{mine}.{name}"
        for number, (mine, layer) in zip(numbers, ours.items(), strict=True)
        for name in layer.state_dict()
    }


def attention_names(state: State, attention: nn.Module) -> Names:
    """The names of a model's ``attention``, a TargetAttention."""
    first, rest = attention.get_submodule("first"), attention.get_submodule("rest")
    layers = {"attention.first": first} | numbered("attention.rest", rest)
    return in_order(state, "attention_layers.attention_layer.mlp", layers)
