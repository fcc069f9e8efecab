"""Which key an unknown one was meant to be: one of another block, a well-known other word, a slip.

A wrong guess costs more than none, so a name that may mean several keys names them all, or none.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mmctr_kit.errors import closest
from mmctr_kit.yaml_files import label

OTHER_WORDS: Mapping[str, tuple[str, ...]] = {
    "activation": ("model.mlp_activation", "model.activation"),
    "augment": ("augmentation.per_user",),
    "bn": ("model.batch_norm",),
    "bs": ("training.batch_size",),
    "batch": ("training.batch_size",),
    "clip": ("training.clip_norm",),
    "clip_grad": ("training.clip_norm",),
    "grad_clip": ("training.clip_norm",),
    "max_grad_norm": ("training.clip_norm",),
    "dropout": ("model.mlp_dropout", "model.net_dropout", "model.dropout"),
    "net_dropout": ("model.mlp_dropout",),
    "ema": ("training.average",),
    "swa": ("training.average",),
    "emb_dim": ("model.embedding_dim",),
    "embedding_size": ("model.embedding_dim",),
    "epoch": ("training.epochs",),
    "n_epochs": ("training.epochs",),
    "num_epochs": ("training.epochs",),
    "max_epochs": ("training.epochs",),
    "heads": ("model.attention_heads", "model.num_heads", "model.encoder_heads", "model.heads"),
    "num_heads": ("model.attention_heads", "model.num_heads", "model.encoder_heads"),
    "hidden": ("model.mlp_hidden",),
    "hidden_units": ("model.mlp_hidden",),
    "dnn_hidden_units": ("model.mlp_hidden",),
    "attention_hidden_units": ("model.attention_hidden",),
    "k": ("folds.count",),
    "cv": ("folds.count",),
    "kfold": ("folds.count",),
    "n_folds": ("folds.count",),
    "nfolds": ("folds.count",),
    "num_folds": ("folds.count",),
    "n_splits": ("folds.count",),
    "label_smooth": ("training.label_smoothing",),
    "lr": ("training.learning_rate",),
    "eta": ("training.learning_rate",),
    "max_len": ("training.max_history",),
    "max_length": ("training.max_history",),
    "max_seq_len": ("training.max_history",),
    "seq_len": ("training.max_history",),
    "min_child_samples": ("model.leaf_rows",),
    "min_data_in_leaf": ("model.leaf_rows",),
    "num_leaves": ("model.leaves",),
    "feature_fraction": ("model.feature_share",),
    "bagging_fraction": ("model.row_share",),
    "lambda_l2": ("model.l2",),
    "opt": ("training.optimizer",),
    "optim": ("training.optimizer",),
    "scheduler": ("training.schedule",),
    "lr_schedule": ("training.schedule",),
    "lr_scheduler": ("training.schedule",),
    "seed": ("seeds",),
    "random_seed": ("seeds",),
    "random_state": ("seeds",),
    "n_seeds": ("seeds",),
    "smoothing": ("training.label_smoothing",),
    "val_split": ("training.holdout",),
    "valid_share": ("training.holdout",),
    "wd": ("training.weight_decay",),
    "warmup_steps": ("training.warmup",),
    "warmup_ratio": ("training.warmup",),
    "dtype": ("training.precision",),
    "amp": ("training.precision",),
    "bf16": ("training.precision",),
}
"""What libraries and papers call keys, each with the keys that it may mean here, the first best."""

MAIN = {
    "model": "name",
    "items": "embedding",
    "codes": "of",
    "signals": "kinds",
    "augmentation": "per_user",
    "folds": "count",
}
"""The key of a block that is meant if the block itself is given a value."""

_SIMILAR, _ALIKE = 0.6, 0.75
"""How similar a key of the same block must be, and how similar one of any block."""

_MOST = 2
"""If a name may mean more keys than this, none is suggested."""


def similar_keys(unknown: str, known: Iterable[str]) -> list[str]:
    """The keys that an unknown dotted key was probably meant to be, all equally likely.

    ``known`` are the recipe's dotted keys, those of its own such as ``seeds``, and its blocks.
    """
    keys = list(known)
    block, _, name = _plain(unknown).rpartition(".")
    if meant := _called(name, keys):
        return meant if len(meant) <= _MOST else []
    inside = {key.rpartition(".")[2]: key for key in keys if key.startswith(f"{block}.")}
    top = {key: key for key in keys if "." not in key}
    for names in [inside] if inside else [top, {key.rpartition(".")[2]: key for key in keys}]:
        if near := closest(name, names, _SIMILAR if inside else _ALIKE):
            return [names[near]]
    return []


def keys_called(name: str, known: Iterable[str]) -> list[str]:
    """The keys that take a value and have this very name, or are known by it elsewhere.

    A block stands for its main key. Empty if there are none, or too many to guess.
    """
    keys = list(known)
    blocks = {key.rpartition(".")[0] for key in keys}
    found = _called(_plain(name), keys)
    meant = [f"{key}.{MAIN[key]}" if key in MAIN else key for key in found]
    meant = [key for key in meant if key not in blocks]
    return meant if len(meant) <= _MOST else []


def _called(name: str, keys: list[str]) -> list[str]:
    meant = [key for key in OTHER_WORDS.get(name, ()) if key in keys][:1]
    return meant + [key for key in keys if key.rpartition(".")[2] == name and key not in meant]


def did_you_mean_key(unknown: str, known: Iterable[str]) -> str:
    """`` (did you mean training.epochs?)``, to follow an unknown key; empty if none is likely."""
    found = similar_keys(unknown, known)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def write_key(block: str, value: Any, by_settings: bool) -> str:
    """``; write --set folds.count=10``, to follow a block that was given a value for its main key.

    ``by_settings``: --set gave it, not a file.
    """
    key, shown = MAIN[block], label(value)
    written = f"--set {block}.{key}={shown}" if by_settings else f"{key}: {shown} in it"
    return f"; write {written}"


def _plain(key: str) -> str:
    return key.casefold().replace("-", "_")
