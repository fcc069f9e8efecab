"""The search space of a recipe that has no ``search`` block of its own.

It lies around the recipe, so that one default serves a small demo and the whole challenge: rates
and sizes range from a fraction to a multiple of the recipe's values. ``mmctr-kit tune RECIPE
--list`` prints it as YAML, to copy and change.
"""

from typing import Any

from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.search import Range, Search, without_unused

_MADE_HERE = ["text", "image", "joint_pca", "separate_pca", "factors", "aligned", "blocks"]
_BLOCKS = [
    ["factors", "text", "image"],
    ["factors", "aligned"],
    ["factors", "aligned", "text", "image"],
]


def search_of(recipe: Recipe) -> Search:
    """The recipe's ``search`` block, or the default space around the recipe."""
    if recipe.search is not None:
        return recipe.search
    entries = _of_items(recipe) | _of_network(recipe) | _of_trees(recipe) | _of_training(recipe)
    search = {key: Range.model_validate(values) for key, values in entries.items()}
    return without_unused(search, recipe.values(), recipe.rules)


def _of_items(recipe: Recipe) -> dict[str, dict[str, Any]]:
    base = recipe.items.embedding
    fusions = _MADE_HERE if base in (*_MADE_HERE, "file") else [*_MADE_HERE, base]
    return {
        "items.embedding": {"choice": fusions},
        "items.blocks": {"choice": _BLOCKS},
        "items.text_dim": {"int": [4, 128], "log": True},
        "items.image_dim": {"int": [4, 128], "log": True},
        "items.dim": {"int": [8, 256], "log": True},
        "items.factors_dim": {"int": [8, 256], "log": True},
        "items.aligned_dim": {"int": [8, 256], "log": True},
        "items.factors_weight": {"float": [0.3, 3.0], "log": True},
        "items.factors_shrinkage": {"float": [1.0, 100.0], "log": True},
        "items.whiten": {"choice": [False, True]},
    }


def _of_network(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The entries of the options that most networks share, if the model has them."""
    arguments = recipe.model_arguments
    entries: dict[str, dict[str, Any]] = {}
    if "se" in arguments:
        entries["model.se"] = {"choice": [False, True]}
        entries["model.se_ratio"] = {"int": [2, 8]}
    if "attention" in arguments and "attention_heads" in arguments:
        entries["model.attention"] = {"choice": ["mlp", "multihead"]}
        if arguments["attention"] == "multihead":
            # The default size of the attention's MLP is that of a much wider model.
            width = arguments["attention_dim"] or 64
            hidden = [[width, max(width // 2, 1)], [2 * width, width]]
            entries["model.attention_hidden"] = {"choice": hidden}
        entries["model.attention_heads"] = {"choice": [1, 2, 4, 8]}
        # The width of all heads together; a number, since every choice of heads must divide it.
        width = arguments["attention_dim"]
        sizes = [32, 64, 128] if width is None else _around(width)
        entries["model.attention_dim"] = {"choice": sizes}
        dropout = {"float": [0.0, 0.5], "step": 0.1, "when": {"model.attention": ["multihead"]}}
        entries["model.attention_dropout"] = dropout
    if "embedding_dim" in arguments:
        entries["model.embedding_dim"] = {"choice": _around(arguments["embedding_dim"])}
    if "mlp_dropout" in arguments:
        entries["model.mlp_dropout"] = {"float": [0.0, 0.5], "step": 0.1}
    return entries


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
    """Half the size, if it is even, the size itself and twice the size."""
    return [size // 2, size, size * 2] if size % 2 == 0 else [size, size * 2]


def _round(value: float) -> float:
    """The value to two significant figures."""
    return float(f"{value:.2g}")
