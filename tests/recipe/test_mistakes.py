"""Every mistake in a recipe is one phrase that names its key."""

from typing import Any

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.recipe import (
    load_recipe,
    parse_recipe,
)
from tests.recipe.test_schema import LEAST, least

NEAR = [
    ("items.embedding=e44", "found 'e44' (did you mean e4?)"),
    ("items.embedding=seperate_pca", "(did you mean separate_pca?)"),
    ("signals.kinds=al", "signals.kinds: expected all, none or a list of cosine, "),
    ("signals.kinds=al", "found 'al' (did you mean all?)"),
    ("signals.kinds=cosine", "(did you mean [cosine]?)"),
    ("signals.kinds=[cosin]", "found 'cosin' (did you mean cosine?)"),
    ("model.name=dinn", "model.name: expected one of din, "),
    ("model.name=dinn", "found 'dinn' (did you mean din?)"),
    ("training.batch_size=aut", "expected a whole number, or auto; found 'aut' (did you mean auto"),
    ("training.snapshot=bst", "expected one of best, last; found 'bst' (did you mean best?)"),
    ("model.attention=multihed", "(did you mean multihead?)"),
]


@pytest.mark.parametrize(("setting", "expected"), NEAR)
def test_a_value_near_a_known_one_is_refused_with_it(setting: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("din_demo", [setting])
    assert expected in str(caught.value)
    assert "{" not in str(caught.value)  # not the whole block


WRONG = [
    ({"name": "a b"}, "name: "),
    ({"name": "../up"}, "name: "),
    ({"name": 3}, "name: "),
    ({"name": "x\n"}, "name: "),
    ({"model": "din"}, "model is a block of keys; write model.name=din, or name: din in it"),
    ({"model": "dinn"}, "model: expected a name: one of din, "),
    ({"model": None}, "model: expected a name: one of din, "),
    ({"model": {}}, "model: expected a name: one of din, "),
    ({"model": {"name": ["din"]}}, "model.name: expected one of din, "),
    ({"model": {"name": {}}}, "model.name: expected one of din, "),
    ({"model": {"name": None}}, "model.name: expected one of din, "),
    (
        {"model": {"name": "din", "mlp_hidden": []}},
        "model.mlp_hidden: expected at least 1 in the list",
    ),
    ({"model": {"name": "din", "mlp_hidden": [8, 0]}}, "model.mlp_hidden.1: "),
    (
        {"model": {"name": "din", "mlp_hidden": 8}},
        "model.mlp_hidden: expected a list; found 8",
    ),
    ({"folds": 2}, "folds is a block of keys; found 2; write count: 2 in it"),
    ({"folds": 1}, "folds is a block of by, count, seed; found 1"),
    ({"training": {"epochs": "abc"}}, "training.epochs: expected a whole number; found"),
    ({"model": {"name": "din", "mlp_dropout": 1}}, "model.mlp_dropout: "),
    ({"model": {"name": "din", "mlp_activation": "rel"}}, "model.mlp_activation: "),
    ({"model": {"name": "din", "batch_norm": 3}}, "model.batch_norm: "),
    ({"items": None}, "items is a block of "),
    ({"items": {"embedding": "v5"}}, "items.embedding: "),
    ({"items": {"embedding": "file"}}, "items.file is missing: "),
    ({"items": {"file": "x.parquet"}}, "items.file: x.parquet does nothing while items.embedding"),
    ({"training": [1]}, "training is a block of "),
    ({"training": {"epochs": 0}}, "training.epochs: "),
    ({"training": {"epochs": 2.5}}, "training.epochs: "),
    ({"training": {"epochs": True}}, "training.epochs: true and false"),
    ({"training": {"epochs": "many"}}, "training.epochs: "),
    ({"training": {"learning_rate": float("nan")}}, "training.learning_rate: "),
    ({"training": {"learning_rate": float("inf")}}, "training.learning_rate: "),
    ({"training": {"learning_rate": 0}}, "training.learning_rate: "),
    ({"training": {"batch_size": -1}}, "training.batch_size: "),
    ({"training": {"batch_size": "big"}}, "training.batch_size: "),
    ({"training": {"clip_norm": 0}}, "training.clip_norm: "),
    ({"training": {"holdout": 0.6}}, "training.holdout: "),
    ({"training": {1: 2}}, "training.1: "),
    ({"folds": {"count": 1}}, "folds.count: "),
    ({"folds": {"seed": 2**63}}, "folds.seed: "),
    ({"seeds": []}, "seeds: "),
    ({"seeds": 3}, "seeds: "),
    ({"seeds": [0, -1]}, "seeds.1: "),
    ({"seeds": [True]}, "seeds: true and false"),
    ({"seeds": [4, 4]}, "seeds holds a seed twice"),
    ({1: 2}, "1: "),
]


@pytest.mark.parametrize(("more", "expected"), WRONG, ids=lambda v: str(v)[:40])
def test_a_wrong_value_is_one_line_that_names_its_key(more: dict[Any, Any], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_recipe({**LEAST, **more}, "r.yaml")
    assert f"r.yaml: {expected}" in str(caught.value) or expected in str(caught.value)
    assert "\n" not in str(caught.value)
    for word in ("union", "constrained", "Input", "valid ", "should", "Value error"):
        assert word not in str(caught.value).removeprefix("r.yaml")


@pytest.mark.parametrize("key", ["name", "model"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(UsageError, match=f"^r: {key} is missing$"):
        parse_recipe({k: v for k, v in LEAST.items() if k != key}, "r")


def test_all_mistakes_are_named_at_once() -> None:
    wrong = least(
        training={"epoch": 1, "warmup": 2}, model={"name": "din", "x": 1}, folds={"count": 0}
    )
    with pytest.raises(UsageError) as caught:
        parse_recipe(wrong, "r")
    for place in ("training.epoch ", "training.warmup", "model.x", "folds.count"):
        assert str(caught.value).count(place) == 1
