"""Every option of every network does something exactly if its conditions hold.

An option that does nothing and does not say so fails here, for a new model too.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from mmctr_kit.errors import UsageError
from mmctr_kit.models.option_types import MODALITIES_APART, applies_to, applies_unless
from mmctr_kit.models.registry import MODELS, NEURAL, model_class, model_options, model_supplies
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.recipe.unused import selectors
from mmctr_kit.testing import example_batch, model_inputs_example, training_loss

BATCH = example_batch(rows=8)
NETWORKS = [name for name, entry in MODELS.items() if entry.learner == NEURAL]


def inputs(name: str, embedding: str, codes: str) -> dict[str, Any]:
    """A made-up item table whose columns are those of ``items.embedding`` and ``codes.of``."""
    width = 0 if embedding == "none" else 12
    found = model_inputs_example(name, width)
    if "item_present" in found and embedding not in MODALITIES_APART:
        found["item_emb_widths"] = (width,)
        found["item_present"] = found["item_present"][:, :1]
        if embedding not in ("text", "image"):
            found["item_present"] = torch.ones_like(found["item_present"])
    if "item_codes" in found and codes == "none":
        found |= {"item_codes": found["item_codes"][:, :0], "n_codes": 1}
    return found


@cache
def effect(recipe: Recipe, **changed: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The weights of the recipe's model from a fixed seed, with some options ``changed``, and its
    logits and loss in training, in which dropout shows."""
    name = recipe.model_name
    torch.default_generator.manual_seed(0)
    arguments = recipe.model_arguments | changed
    model = model_class(name)(**inputs(name, recipe.items.embedding, recipe.codes.of), **arguments)
    weights = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        for p in model.parameters():  # N(0, 1e-4) embeddings would hide differences
            p.mul_(1e3 if p.dim() > 1 and p.abs().max() < 1e-3 else 1.0)
        torch.default_generator.manual_seed(1)
        return weights, [model.train()(BATCH), training_loss(model, BATCH)]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def others(name: str, key: str, value: Any) -> Iterator[Any]:
    """Values of the option beside ``value``; all of them if it is a choice."""
    option = model_options(name)[key]
    if option.type is bool:
        yield not value
    elif get_origin(option.type) is Literal:
        yield from (v for v in get_args(option.type) if v != value)
    else:
        for candidate in (0.3, 1, 2, 3, 4, 8, 24, (5,), (8, 3)):
            try:
                taken = TypeAdapter(option.annotation).validate_python(candidate, strict=True)
            except ValidationError:
                continue
            if taken != value:
                yield taken


def is_choice(name: str, key: str) -> bool:
    kind = model_options(name)[key].type
    return kind is bool or get_origin(kind) is Literal


def base_of(name: str) -> Recipe:
    """The model at its defaults but for narrow layers, on text and image."""
    narrow = {k: [8, 4] for k, o in model_options(name).items() if isinstance(o.default, tuple)}
    sized = {"embedding_dim": 4} if "embedding_dim" in model_options(name) else {}
    model = {"name": name, **narrow, **sized}
    takes = "item_emb" in model_supplies(name)
    items = {"embedding": "separate_pca" if takes else "none"}
    return parse_recipe({"name": "x", "model": model, "items": items}, name)


def settings_of(name: str) -> list[dict[str, Any]]:
    """No change, and each choice of the model and each kind of item vectors by itself."""
    base = base_of(name)
    keys = [key for key in model_options(name) if is_choice(name, key)]
    found = [
        {f"model.{k}": v}
        for k in keys
        if not k.endswith("activation")  # pointwise: whatever it is, the same keys are used
        for v in others(name, k, base.model_arguments[k])
    ]
    if "item_emb" in model_supplies(name):
        found += [{"items.embedding": e} for e in ("none", "item_info", "text")]
    if "item_codes" in model_supplies(name):
        found += [{"codes.of": "text"}]
    return [{}, *found]


def using(recipe: Recipe, key: str) -> Recipe:
    """The recipe with the conditions of ``key`` met."""
    while failed := recipe.unused().get(key, ()):
        condition = failed[0]
        value = condition.values[0]
        if condition.negated:
            value = {"items.embedding": "separate_pca", "codes.of": "text"}[condition.key]
        recipe = recipe.changed({condition.key: value})
    return recipe


def require_as_declared(recipe: Recipe, key: str) -> None:
    """Each other value of a choice, or some other value of a number, must change the weights or the
    logits if ``key`` is used; if it is not, none may change the logits."""
    weights, logits = effect(recipe)
    used, choice = f"model.{key}" not in recipe.unused(), is_choice(recipe.model_name, key)
    tried = 0
    for value in others(recipe.model_name, key, recipe.model_arguments[key]):
        try:
            other_weights, other_logits = effect(recipe, **{key: value})
        except UsageError:
            continue  # a size that does not go with another one
        changed = not same(logits, other_logits)
        assert used or not changed, f"{key}: {value} does something with {recipe.model}"
        changed = changed or not same(weights, other_weights)
        assert changed or not (used and choice), f"{key}: {value} does nothing with {recipe.model}"
        tried += 1
        if changed or (not used and tried == 2):
            if choice:
                continue
            return
    assert tried, f"no other value of {key} goes with {recipe.model}"
    assert not used or choice, f"{key} does nothing with {recipe.model}"


CASES = [(name, key) for name in NETWORKS for key in model_options(name)]


@pytest.mark.parametrize(("name", "key"), CASES)
def test_an_option_does_something_exactly_if_its_conditions_hold(name: str, key: str) -> None:
    for settings in settings_of(name):
        if f"model.{key}" in settings:
            continue
        recipe = base_of(name)
        if any(k in recipe.unused() for k in settings):
            recipe = using(recipe, next(iter(settings)))
        try:
            recipe = recipe.changed(settings)
            effect(recipe)
        except UsageError:
            continue  # nothing is left of an item
        require_as_declared(recipe, key)


@pytest.mark.parametrize(
    ("name", "key"), [(n, k) for n, k in CASES if f"model.{k}" in base_of(n).rules]
)
def test_a_conditional_option_does_something_if_it_is_used_and_nothing_else(
    name: str, key: str
) -> None:
    recipe = using(base_of(name), f"model.{key}")
    assert f"model.{key}" not in recipe.unused()
    require_as_declared(recipe, key)
    for selector in selectors(f"model.{key}", recipe.rules):
        block, _, option = selector.partition(".")
        if block == "model" and option != "name":
            values = list(others(name, option, recipe.model_arguments[option]))
        else:
            values = ["none", "item_info"] * (selector == "items.embedding")
        for value in values:
            require_as_declared(recipe.changed({selector: value}), key)


def test_a_condition_holds_by_value_and_a_list_by_its_members() -> None:
    (near,) = applies_to("kinds", "near", "next").conditions
    assert [near.holds(v) for v in ("near", "ease", ("ease", "next"), [], None)] == [
        True,
        False,
        True,
        False,
        False,
    ]
    (unless,) = applies_unless("per_user", 0).conditions
    assert [unless.holds(v) for v in (0, 1)] == [False, True]
    assert len((applies_to("a", 1) | applies_to("b", 2)).conditions) == 2
