"""The search block of a recipe: what it may say, and what is refused."""

import copy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.errors import UsageError
from mmctr_kit.recipe import Recipe, load_recipe, parse_recipe, shipped_recipes
from mmctr_kit.recipe.search import Range
from mmctr_kit.recipe.space import search_of

BASE = load_recipe("din_mha_demo").resolved()


def with_search(search: dict[str, Any]) -> Recipe:
    return parse_recipe({**copy.deepcopy(BASE), "search": search}, "mine")


def refusal(search: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as refused:
        with_search(search)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_search_is_read_with_its_ranges_and_conditions() -> None:
    search = {
        "items.embedding": {"choice": ["text", "separate_pca"]},
        "items.text_dim": {"int": [4, 64], "log": True},
        "model.mlp_dropout": {"float": [0.0, 0.5], "step": 0.25, "when": {"model.se": [True]}},
    }
    found = with_search(search).search
    assert found is not None
    assert {key: values.as_plain() for key, values in found.items()} == search


def test_a_search_makes_no_other_run() -> None:
    plain = parse_recipe(BASE, "x")
    searched = with_search({"training.epochs": {"int": [1, 3]}})
    assert searched.content() == plain.content()
    assert searched.to_yaml() == plain.to_yaml()


@pytest.mark.parametrize(
    ("key", "values", "told"),
    [
        ("model.se_ration", {"int": [1, 2]}, "did you mean model.se_ratio?"),
        ("training.epochs", {"ints": [1, 2]}, "unknown key search.training.epochs.ints"),
        ("training.epochs", {"ints": [1, 2]}, "did you mean int?"),
        ("training.epochs", {}, "expected one of choice, int and float, found none"),
        ("training.epochs", {"int": [1, 2], "choice": [1]}, "found choice and int"),
        ("training.epochs", {"int": [3, 1]}, "low < high"),
        ("training.epochs", {"int": [1, 4], "step": 2}, "miss 4"),
        ("training.clip_norm", {"float": [0.0, 1.7e308], "step": 1e-300}, "miss 1.7e"),
        ("training.epochs", {"int": [1, 4], "step": 1.5}, "a whole number"),
        ("training.epochs", {"int": [0, 4], "log": True}, "above 0"),
        ("training.epochs", {"int": [False, True]}, "true and false are no numbers"),
        ("training.epochs", {"choice": [1, 1]}, "twice"),
        ("training.epochs", {"choice": [1, 2], "log": True}, "go with int or float"),
        ("folds.count", {"int": [2, 3]}, "all trials share their folds"),
        ("seeds", {"choice": [[0], [1]]}, "finalists get new ones"),
        ("training.holdout", {"float": [0.1, 0.2]}, "compared on the users"),
        ("model.name", {"choice": ["din", "qin"]}, "tune each model separately"),
    ],
)
def test_a_faulty_entry_is_refused_in_one_line(key: str, values: Any, told: str) -> None:
    message = refusal({key: values})
    assert told in message
    assert f"search.{key}" in message


@pytest.mark.parametrize(
    ("key", "values", "told"),
    [
        (
            "training.epochs",
            {"int": [0, 3]},
            "search.training.epochs: expected more than 0; found 0",
        ),
        ("training.epochs", {"choice": [1, 2.5]}, "expected a whole number; found 2.5"),
        (
            "training.epochs",
            {"float": [1, 4]},
            "search.training.epochs: expected a whole number; found float: [1.0, 4.0]",
        ),
        ("training.batch_size", {"int": [1, 64]}, "expected at least 2, or auto; found 1"),
        ("training.warmup", {"float": [0.0, 1.0]}, "search.training.warmup: expected less than 1"),
        (
            "training.optimizer",
            {"choice": ["adam", "adamv"]},
            "search.training.optimizer: expected one of adam, adamw; found 'adamv' (did you mean",
        ),
        ("training.epochs", {"choice": [True]}, "no values of this key; found true"),
        # YAML's own reading of a date
        ("training.epochs", {"choice": [date(2024, 1, 1)]}, "expected a whole number; found"),
        (
            "model.se",
            {"choice": [True, "perhaps"]},
            "search.model.se: expected true or false; found",
        ),
        (
            "model.mlp_hidden",
            {"choice": [[64, 0]]},
            "search.model.mlp_hidden.1: expected more than 0",
        ),
        ("model.mlp_hidden", {"int": [8, 64]}, "search.model.mlp_hidden: expected a list; found 8"),
        ("items.embedding", {"choice": ["text", "txt"]}, "found 'txt' (did you mean text?)"),
        ("signals.kinds", {"choice": ["most"]}, "expected all, none or a list of cosine"),
        (
            "training.epochs",
            {"int": [1, 3], "when": {"model.attention": ["multi"]}},
            "search.training.epochs.when.model.attention: expected one of",
        ),
    ],
)
def test_a_value_that_its_key_never_takes_is_refused_when_the_recipe_is_read(
    key: str, values: Any, told: str
) -> None:
    assert told in refusal({key: values})


def test_every_faulty_value_of_a_search_is_named_at_once() -> None:
    message = refusal({"training.epochs": {"choice": [0, -1]}, "model.se": {"choice": ["x"]}})
    assert message.count("; found") == 3


def test_what_only_other_values_forbid_is_no_fault_of_a_key() -> None:
    search = {
        "training.optimizer": {"choice": ["adam", "adamw"]},
        "training.weight_decay": {"float": [0.0, 0.1], "step": 0.05},
        "items.embedding": {"choice": ["text", "joint_pca"]},
        "items.dim": {"int": [2, 8], "when": {"items.embedding": ["joint_pca"]}},
        "training.clip_norm": {"choice": [None, 1.0]},
        "training.batch_size": {"choice": ["auto", 128]},
        "training.epochs": {"float": [1, 5], "step": 2},
    }
    assert with_search(search).search is not None


@pytest.mark.parametrize("path", list(shipped_recipes()), ids=lambda p: p.stem)
def test_the_space_around_a_shipped_recipe_is_a_search_that_it_takes(path: Path) -> None:
    recipe = load_recipe(str(path))
    search = {key: values.as_plain() for key, values in search_of(recipe).items()}
    assert parse_recipe({**recipe.resolved(), "search": search}, "own").search is not None


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ({"model.sse": [True]}, "did you mean model.se?"),
        ({"items.embedding": ["seperate_pca"]}, "did you mean separate_pca?"),
        ({"training.epochs": [1]}, "must stand before it"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(when: Any, told: str) -> None:
    message = refusal(
        {
            "items.embedding": {"choice": ["text", "separate_pca"]},
            "items.text_dim": {"int": [1, 4], "when": when},
            "training.epochs": {"int": [1, 2]},
        }
    )
    assert told in message


@given(
    low=st.integers(1, 50),
    steps=st.integers(1, 20),
    step=st.integers(1, 9),
    value=st.integers(0, 300),
)
def test_a_stepped_range_holds_its_steps_and_nothing_else(
    low: int, steps: int, step: int, value: int
) -> None:
    high = low + steps * step
    values = Range.model_validate({"int": [low, high], "step": step})
    assert values.holds(value) == (value in range(low, high + 1, step))
    assert not values.holds(low + 0.5)
    assert not values.holds(True)


def test_a_changed_recipe_is_that_of_set() -> None:
    base = load_recipe("din_mha_demo")
    changed = base.changed({"items.embedding": "joint_pca", "items.dim": 7, "model.se": False})
    sets = ("items.embedding=joint_pca", "items.dim=7", "model.se=false")
    assert changed == load_recipe("din_mha_demo", sets)


def test_an_unused_key_is_refused_as_by_set() -> None:
    with pytest.raises(UsageError, match="text_dim: 7 does nothing"):
        load_recipe("din_mha_demo").changed({"items.embedding": "joint_pca", "items.text_dim": 7})
