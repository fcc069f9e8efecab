"""Every key of every recipe is explained, in words that the schema holds to."""

from typing import Any

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.models.registry import SHIPPED
from mmctr_kit.recipe import load_recipe, parse_recipe, shipped_recipes
from mmctr_kit.recipe.keys import Key, recipe_keys

HIDDEN = [512, 256]


def keys_of(model: str, **blocks: Any) -> dict[str, Key]:
    recipe = parse_recipe({"name": "x", "model": {"name": model}, **blocks}, "r")
    return {key.key: key for key in recipe_keys(recipe)}


@pytest.mark.parametrize("model", SHIPPED)
def test_no_key_is_without_a_meaning_in_whole_sentences(model: str) -> None:
    for key in keys_of(model).values():
        assert key.meaning, key.key
        assert key.meaning[0].isupper() or key.meaning.startswith("l2"), key.key
        assert key.meaning.endswith("."), key.key
        assert "`" not in key.meaning
        assert key.takes


@pytest.mark.parametrize("path", list(shipped_recipes()), ids=lambda path: path.stem)
def test_the_keys_are_those_of_the_resolved_recipe_and_say_which_do_nothing(path: Any) -> None:
    recipe = load_recipe(str(path))
    keys = {key.key: key for key in recipe_keys(recipe)}
    assert set(keys) == {"name", "seeds", "search", *recipe.values()}
    assert {name: keys[name].value for name in recipe.values()} == recipe.values()
    assert {name for name, key in keys.items() if not key.used} == set(recipe.unused())
    for name, key in keys.items():
        if not key.used:
            assert key.applies_to, name


@pytest.mark.parametrize(
    ("key", "takes", "default"),
    [
        ("training.epochs", "a whole number, more than 0", 5),
        ("training.holdout", "a number, at least 0, at most 0.5", 0.05),
        ("training.batch_size", "a whole number, at least 2, or auto", "auto"),
        ("training.clip_norm", "a number, more than 0, or null", 10.0),
        ("model.mlp_dropout", "a number, at least 0, less than 1", 0.0),
        ("model.se", "true or false", False),
        (
            "model.mlp_hidden",
            "a list, at least one; each a whole number, more than 0",
            [1024, 512, 256],
        ),
        ("items.normalize", "one of none, l2", "none"),
        ("items.file", "a text, or null", None),
        ("folds.seed", "a whole number", 0),
        ("name", "a text", None),
        ("search", "ranges by dotted key", None),
    ],
)
def test_what_a_key_takes_is_said_in_words(key: str, takes: str, default: Any) -> None:
    found = keys_of("din")[key]
    assert (found.takes, found.default) == (takes, default)


def test_when_a_key_does_something_is_said_for_this_model() -> None:
    din, gbdt = keys_of("din"), keys_of("gbdt")
    assert din["training.ema_decay"].applies_to == "training.average is ema"
    assert gbdt["training.ema_decay"].applies_to == "model.name is another than gbdt"
    assert not gbdt["training.ema_decay"].used
    assert din["training.epochs"].applies_to == gbdt["training.epochs"].applies_to == ""
    assert din["folds.seed"].applies_to == "folds.by is not time"
    assert din["training.user_updates"].applies_to == "model.name is din_target_encoder"
    assert din["items.text_dim"].applies_to == (
        "items.embedding is text or separate_pca, or items.blocks is text"
    )
    assert din["model.similarity_buckets"].applies_to == (
        "model.similarity_histogram is true; and items.embedding is not none"
    )
    # A condition on a key that the model lacks binds nobody.
    assert "use_history" not in keys_of("target_transformer")["signals.kinds"].applies_to


OFF: tuple[Any, ...] = (
    "maybe",
    -1,
    0.5,
    True,
    None,
    [],
    ["x"],
    {"a": 1},
    1e300,
    -(10**30),
    "1,5",
    [True],
)


def refusal(content: dict[str, Any]) -> str | None:
    try:
        parse_recipe(content, "r")
    except UsageError as e:
        return str(e)
    return None


@pytest.mark.parametrize("model", ["din", "gbdt"])
def test_a_wrong_value_of_any_key_is_refused_in_the_house_s_words(model: str) -> None:
    refused = 0
    for key in keys_of(model):
        block, _, name = key.partition(".")
        for value in OFF:
            given = {"name": model, name: value} if block == "model" else {name: value}
            content = {"name": "x", "model": {"name": model}, block: given if name else value}
            message = refusal(content)
            if message is not None:
                refused += 1
                assert message.startswith("r: ")
                assert "\n" not in message
                for voice in ("Input should", "Field required", "validation error", "valid "):
                    assert voice not in message, f"{key}={value!r}: {message}"
    assert refused > 500
