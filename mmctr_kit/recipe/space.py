"""The search space of a recipe that has no ``search`` block of its own.

It lies around the recipe, so that one default serves a small demo and the whole challenge: rates
and sizes reach some times as high and as low as the recipe's own. Every entry can be had as YAML
from ``mmctr-kit tune RECIPE --list``, to be changed.
"""

from typing import Any

from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.search import Range, Search, without_unused

_MADE_HERE = ["text", "image", "joint_pca", "separate_pca"]


def search_of(recipe: Recipe) -> Search:
    """The recipe's own search, or the default one around it."""
    if recipe.search is not None:
        return recipe.search
    entries = _of_items(recipe) | _of_network(recipe) | _of_trees(recipe) | _of_training(recipe)
    search = {key: Range.model_validate(values) for key, values in entries.items()}
    return without_unused(search, recipe.values(), recipe.rules)


def _of_items(recipe: Recipe) -> dict[str, dict[str, Any]]:
    own = recipe.items.embedding
    fusions = _MADE_HERE if own in (*_MADE_HERE, "file") else [*_MADE_HERE, own]
    return {
        "items.embedding": {"choice": fusions},
        "items.text_dim": {"int": [4, 128], "log": True},
        "items.image_dim": {"int": [4, 128], "log": True},
        "items.dim": {"int": [8, 256], "log": True},
        "items.whiten": {"choice": [False, True]},
    }


def _of_network(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The options that the model has, of those that most networks here share."""
    arguments = recipe.model_arguments
    found: dict[str, dict[str, Any]] = {}
    if "se" in arguments:
        found["model.se"] = {"choice": [False, True]}
        found["model.se_ratio"] = {"int": [2, 8]}
    if "attention" in arguments and "attention_heads" in arguments:
        found["model.attention"] = {"choice": ["mlp", "multihead"]}
        if arguments["attention"] == "multihead":
            # Its MLP has a default size that is another model's.
            width = arguments["attention_dim"] or 64
            hidden = [[width, max(width // 2, 1)], [2 * width, width]]
            found["model.attention_hidden"] = {"choice": hidden}
        found["model.attention_heads"] = {"choice": [1, 2, 4, 8]}
        # Of all heads together: a width of its own, since heads must divide it.
        own = arguments["attention_dim"]
        sizes = [32, 64, 128] if own is None else _around(own)
        found["model.attention_dim"] = {"choice": sizes}
        dropout = {"float": [0.0, 0.5], "step": 0.1, "when": {"model.attention": ["multihead"]}}
        found["model.attention_dropout"] = dropout
    if "embedding_dim" in arguments:
        found["model.embedding_dim"] = {"choice": _around(arguments["embedding_dim"])}
    if "mlp_dropout" in arguments:
        found["model.mlp_dropout"] = {"float": [0.0, 0.5], "step": 0.1}
    return found


def _of_trees(recipe: Recipe) -> dict[str, dict[str, Any]]:
    arguments = recipe.model_arguments
    if "leaves" not in arguments:
        return {}
    leaves, rows = arguments["leaves"], arguments["leaf_rows"]
    return {
        "model.leaves": {"int": [max(leaves // 2, 2), leaves * 4], "log": True},
        "model.leaf_rows": {"int": [max(rows // 4, 1), rows * 4], "log": True},
        "model.feature_share": {"float": [0.2, 1.0], "step": 0.1},
        "model.l2": {"float": [0.1, 100.0], "log": True},
    }


def _of_training(recipe: Recipe) -> dict[str, dict[str, Any]]:
    training = recipe.training
    rate, epochs = training.learning_rate, training.epochs
    return {
        "training.learning_rate": _rate(rate / 4, rate * 4),
        "training.embedding_regularizer": _regularizer(training.embedding_regularizer),
        "training.net_regularizer": _regularizer(training.net_regularizer),
        "training.epochs": {"int": [max(epochs // 2, 1), epochs + max(epochs // 2, 1)]},
    }


def _regularizer(own: float) -> dict[str, Any]:
    return _rate(own / 30, own * 10) if own else {"choice": [0.0, 1e-6, 1e-5, 1e-4]}


def _rate(low: float, high: float) -> dict[str, Any]:
    return {"float": [_round(low), _round(high)], "log": True}


def _around(size: int) -> list[int]:
    """Half of it, itself and twice of it."""
    return [size // 2, size, size * 2] if size % 2 == 0 else [size, size * 2]


def _round(value: float) -> float:
    """To two figures."""
    return float(f"{value:.2g}")
