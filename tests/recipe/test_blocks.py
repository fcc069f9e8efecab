"""The blocks of a recipe: what each key takes, and which keys do something."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mmctr_kit.errors import UsageError
from mmctr_kit.recipe import SIGNAL_KINDS, Folds, Items, Recipe, Signals, Training, parse_recipe

FACTORS = {"factors_dim", "factors_shrinkage", "factors_from"}
USED = {
    "text": {"text_dim", "whiten", "normalize"},
    "image": {"image_dim", "whiten", "normalize"},
    "joint_pca": {"dim", "whiten", "normalize"},
    "separate_pca": {"text_dim", "image_dim", "whiten", "normalize"},
    "raw": {"normalize"},
    "factors": FACTORS,
    "blocks": FACTORS | {"text_dim", "image_dim", "whiten", "normalize"},
    **{name: set[str]() for name in ("item_info", "v1", "v2", "v3", "e4", "none", "file")},
}
OTHER: dict[str, Any] = {
    "text_dim": 5,
    "image_dim": 6,
    "dim": 7,
    "whiten": True,
    "normalize": "l2",
    "factors_dim": 8,
    "factors_shrinkage": 2.0,
    "factors_from": "histories",
}


def with_items(items: dict[str, Any]) -> Recipe:
    if items["embedding"] == "file":
        items = items | {"file": "x.parquet"}
    return parse_recipe({"name": "x", "model": {"name": "din"}, "items": items}, "r")


@pytest.mark.parametrize("key", OTHER)
@pytest.mark.parametrize("embedding", USED)
def test_a_key_is_taken_where_it_does_something_and_refused_where_not(
    embedding: str, key: str
) -> None:
    content = {"embedding": embedding, key: OTHER[key]}
    if key in USED[embedding]:
        assert getattr(with_items(content).items, key) == OTHER[key]
        return
    with pytest.raises(UsageError) as caught:
        with_items(content)
    message = str(caught.value)
    assert message.startswith(f"r: items.{key}: ")
    because = f"items.embedding is {embedding}" + " and codes.of is none" * (key in FACTORS)
    assert f"does nothing while {because}; leave it out, or set" in message
    assert "\n" not in message


@pytest.mark.parametrize("embedding", USED)
def test_a_resolved_recipe_lists_every_key_and_parses_to_itself(embedding: str) -> None:
    used = {key: OTHER[key] for key in USED[embedding]}
    recipe = with_items({"embedding": embedding, **used})
    resolved = yaml.safe_load(recipe.to_yaml())
    assert set(resolved["items"]) == set(Items.model_fields)
    assert parse_recipe(resolved, "again") == recipe


@pytest.mark.parametrize(
    ("key", "value"),
    [("text_dim", 0), ("dim", -1), ("image_dim", True), ("whiten", 2), ("normalize", "l1")],
)
def test_a_value_out_of_range_is_one_line_that_names_its_key(key: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^r: items\.{key}: [^\n]*$"):
        with_items({"embedding": "joint_pca", key: value})


@pytest.mark.parametrize(
    ("given", "kinds"), [("all", SIGNAL_KINDS), ("none", ()), (["pmi", "near"], ("pmi", "near"))]
)
def test_kinds_of_signals_are_all_none_or_a_list(given: Any, kinds: tuple[str, ...]) -> None:
    assert Signals(kinds=given).kinds == kinds


def test_the_widths_are_those_of_the_blocks_and_one_block_needs_no_list() -> None:
    items = Items.model_validate({"embedding": "blocks", "blocks": "aligned", "aligned_dim": 7})
    assert items.dims == {"aligned_dim": 7}
    assert Items(embedding="separate_pca").dims == {"text_dim": 64, "image_dim": 64}
    assert Items().dims == {}


@pytest.mark.parametrize(
    ("block", "values", "fault"),
    [
        (Signals, {"kinds": "some"}, "expected all, none or a list of cosine"),
        (Signals, {"kinds": ["pmi", "pmi"]}, "holds a kind twice"),
        (Items, {"embedding": "file"}, "items.file is missing"),
        (Items, {"embedding": "blocks", "blocks": ["text", "text"]}, "holds a block twice"),
        (Items, {"embedding": "blocks", "blocks": []}, "at least 1"),
        (Training, {"epochs": True}, "true and false are no values of this key"),
        (Folds, {"count": 1}, "greater than or equal to 2"),
        (Folds, {"counts": 5}, "Extra inputs are not permitted"),
    ],
)
def test_a_block_refuses_what_it_cannot_use(
    block: type[Any], values: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValidationError, match=fault):
        block(**values)
