"""A key that is unknown where it stands is suggested where it belongs, and no other is."""

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.models.registry import SHIPPED
from mmctr_kit.recipe import load_recipe, parse_recipe
from mmctr_kit.recipe.suggest import MAIN, OTHER_WORDS, did_you_mean_key, keys_called, similar_keys

KNOWN = [
    "name",
    "seeds",
    "training",
    "folds",
    "training.epochs",
    "training.average",
    "training.learning_rate",
    "folds.count",
    "folds.seed",
    "model.name",
    "model.mlp_dropout",
]


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("epochs=3", "unknown key epochs (did you mean training.epochs?)"),
        ("epoch=3", "(did you mean training.epochs?)"),
        ("epcohs=3", "(did you mean training.epochs?)"),
        ("model.epochs=3", "(did you mean training.epochs?)"),
        ("lr=0.1", "unknown key lr (did you mean training.learning_rate?)"),
        ("training.lr=0.1", "(did you mean training.learning_rate?)"),
        ("Learning-Rate=0.1", "(did you mean training.learning_rate?)"),
        ("average=ema", "(did you mean training.average?)"),
        ("dropout=0.1", "(did you mean model.mlp_dropout?)"),
        ("seed=1", "(did you mean seeds or folds.seed?)"),
        ("n_folds=3", "(did you mean folds.count?)"),
        ("fold.count=3", "unknown key fold (did you mean folds?)"),
        ("folds=10", "folds is a block of keys; found 10; write --set folds.count=10"),
        ("items=e4", "items is a block of keys; found 'e4'; write --set items.embedding=e4"),
        ("augmentation=1", "write --set augmentation.per_user=1"),
        ("model=qin", "model is a block of keys; write model.name=qin, or name: qin in it"),
        ("training.steps=captued", "found 'captued' (did you mean captured?)"),
        (
            "seeds=3",
            "seeds: expected a list; found 3; for 3 seeds write [0,1,2], for the one seed 3 "
            "write [3]",
        ),
        ("seeds=3.0", "seeds: expected a list; found 3.0; write [3.0]"),
        ("seeds=1", "seeds: expected a list; found 1; write [1]"),
        ("seeds=2024", "seeds: expected a list; found 2024; write [2024]"),
        ("seeds=abc", "seeds: expected a list; found 'abc'; write [abc]"),
        ("search={lr: {float: [1, 2]}}", "no key lr (did you mean training.learning_rate?)"),
    ],
)
def test_what_was_meant_is_said(setting: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("din_official", [setting])
    assert str(caught.value).endswith(hint)


def test_a_recipe_file_is_told_the_same_but_not_of_set() -> None:
    content = {"name": "x", "model": {"name": "din"}, "epochs": 3, "folds": 10}
    with pytest.raises(UsageError) as caught:
        parse_recipe(content, "mine.yaml")
    assert "unknown key epochs (did you mean training.epochs?)" in str(caught.value)
    assert "folds is a block of keys; found 10; write count: 10 in it" in str(caught.value)


@pytest.mark.parametrize(
    "unknown", ["blah", "x", "foo.bar", "mode", "training.zzz", "gpu", "verbose"]
)
def test_no_guess_rather_than_a_wrong_one(unknown: str) -> None:
    assert similar_keys(unknown, KNOWN) == []
    assert did_you_mean_key(unknown, KNOWN) == ""


def test_a_value_that_the_main_key_does_not_take_is_no_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("din_official", ["folds=many"])
    assert "--set folds.count" not in str(caught.value)


def test_every_other_word_leads_to_a_key_of_some_recipe() -> None:
    every = {"seeds"}
    for model in SHIPPED:
        every |= set(parse_recipe({"name": "x", "model": {"name": model}}, "r").values())
    for word, keys in OTHER_WORDS.items():
        assert set(keys) & every, word
        assert set(keys) <= every, word
    assert {f"{block}.{key}" for block, key in MAIN.items()} <= every


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("epochs", ["training.epochs"]),
        ("learning-rate", ["training.learning_rate"]),
        ("lr", ["training.learning_rate"]),
        ("folds", ["folds.count"]),
        ("seed", ["seeds", "folds.seed"]),
        ("epcohs", []),
        ("training", []),
    ],
)
def test_a_name_alone_means_the_keys_that_have_it_and_nothing_alike(
    name: str, keys: list[str]
) -> None:
    assert keys_called(name, KNOWN) == keys
