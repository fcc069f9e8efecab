"""The recipe: a whole run in one YAML file, as a typed and closed schema.

Unknown keys are refused at every level with a suggestion; ``--set a.b=v`` goes through the same
validation; the resolved recipe holds every value that the run used.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache, partial
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    create_model,
    model_validator,
)

from mmctr_kit.errors import UsageError, did_you_mean
from mmctr_kit.models.option_types import Condition, NonNegativeInt
from mmctr_kit.models.registry import MODELS, Entry, model_options
from mmctr_kit.recipe.blocks import (
    ITEM_FILES,
    Augmentation,
    Block,
    Codes,
    Items,
    Signals,
)
from mmctr_kit.recipe.fitting import UNCOUNTED, Folds, Training
from mmctr_kit.recipe.search import RANGE_KEYS, Range, require_keys, require_used, require_values
from mmctr_kit.recipe.suggest import MAIN, did_you_mean_key, keys_called, write_key
from mmctr_kit.recipe.unused import Rules, blockers, explain_unused, is_off, rules_of
from mmctr_kit.yaml_files import Hints, KeyPath, explain_all, label


@cache
def _model_block(name: str) -> type[Block]:
    meaning = "The model; its options are the block's other keys."
    fields: dict[str, Any] = {"name": (Literal[name], Field(name, description=meaning))}
    fields |= {k: (o.annotation, o.default) for k, o in model_options(name).items()}
    return create_model(f"{name}_options", __base__=Block, **fields)


@cache
def _rules(model: str) -> Rules:
    blocks = {name: field.annotation for name, field in Recipe.model_fields.items()}
    shared = {n: b for n, b in blocks.items() if isinstance(b, type) and issubclass(b, Block)}
    return rules_of(model, {**shared, "model": _model_block(model)})


def _parse_model(value: Any) -> Block:
    if isinstance(value, Block):
        return value
    if isinstance(value, str) and value in MODELS:
        raise ValueError(
            f"model is a block of keys; write model.name={value}, or name: {value} in it"
        )
    if not isinstance(value, Mapping) or "name" not in value:
        given = "none" if isinstance(value, Mapping) else repr(value)
        raise ValueError(f"expected a name: one of {', '.join(MODELS)}; found {given}")
    name = value["name"]
    if not isinstance(name, str) or name not in MODELS:
        fault = f"model.name: expected one of {', '.join(MODELS)}; found {name!r}"
        raise ValueError(f"{fault}{did_you_mean(str(name), MODELS)}")
    return _model_block(name).model_validate(dict(value))


class Recipe(Block):
    """One run: a model, its items, its training, its folds and seeds."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """The recipe's name, which its run gets unless --name says otherwise."""
    model: Annotated[SerializeAsAny[Block], BeforeValidator(_parse_model)]
    items: Items = Items()
    codes: Codes = Codes()
    signals: Signals = Signals()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    folds: Folds = Folds()
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    """Each fold is trained once with each of these random seeds; three or more make a claim."""
    search: Mapping[str, Range] | None = None
    """Which keys tune may change, and over what; without it tune searches around the recipe."""

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Recipe":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds holds a seed twice")
        return self

    @model_validator(mode="after")
    def _codes_have_a_vector(self) -> "Recipe":
        if self.codes.of == "embedding" and self.items.embedding == "none":
            raise ValueError(
                "codes.of is embedding, but items.embedding is none; set codes.of to text, image "
                "or factors, or items.embedding to another value"
            )
        return self

    @model_validator(mode="after")
    def _search_is_of_its_keys(self) -> "Recipe":
        search, values = self.search or {}, self.values()
        require_keys(search, list(values), self.rules)
        require_values(search, {name: type(block) for name, block in self.blocks.items()})
        require_used(search, values, self.rules)
        return self

    @property
    def blocks(self) -> dict[str, Block]:
        """The recipe's blocks of keys by name, ``model`` among them."""
        parts = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: part for name, part in parts.items() if isinstance(part, Block)}

    @property
    def model_name(self) -> str:
        return str(self.model.name)  # type: ignore[attr-defined]

    @property
    def model_arguments(self) -> dict[str, Any]:
        """The model's options, without its name, as its ``__init__`` takes them."""
        return {k: getattr(self.model, k) for k in model_options(self.model_name)}

    @property
    def rules(self) -> Rules:
        """With which values of other keys each key does something."""
        return _rules(self.model_name)

    def values(self) -> dict[str, Any]:
        """The values of all keys of its blocks, as plain JSON types, by dotted key."""
        content = self.resolved()
        return {f"{name}.{key}": v for name in self.blocks for key, v in content[name].items()}

    def unused(self) -> dict[str, tuple[Condition, ...]]:
        """The keys that do nothing, each with the conditions of which one would have to hold."""
        values = {key: [value] for key, value in self.values().items()}
        return {k: failed for k in values if (failed := blockers(k, self.rules, values))}

    def has_default(self, key: str) -> bool:
        """Whether a dotted key has its default value."""
        block, _, name = key.partition(".")
        part = self.blocks[block]
        return bool(getattr(part, name) == type(part).model_fields[name].default)

    def changed(self, settings: Mapping[str, Any]) -> "Recipe":
        """The recipe with values of dotted keys changed, as --set would; without its search.

        Raises UsageError if the result is no recipe.
        """
        content = self.resolved()
        for key, value in settings.items():
            block, _, name = key.partition(".")
            content[block][name] = value
        return parse_recipe(content, "the recipe", settings)

    def resolved(self) -> dict[str, Any]:
        """Every value of the run as plain JSON types, without the search."""
        return self.model_dump(mode="json", exclude={"search"})

    def content(self) -> dict[str, Any]:
        """The resolved recipe for a fingerprint, without where files, a teacher and rows are.

        Item files count by their content, which the features' fingerprints cover, and a teacher by
        its predictions. Whether steps are checked does not count.
        """
        content = self.resolved()
        content["items"] |= dict.fromkeys(ITEM_FILES)
        content["training"]["teacher"] = None
        for key in UNCOUNTED:
            del content["training"][key]
        return content

    def to_yaml(self) -> str:
        return str(yaml.safe_dump(self.resolved(), sort_keys=False))

    def __reduce__(self) -> tuple[Any, ...]:
        # The model block's class is made at run time, so pickle cannot name it; and another process
        # may not have registered the model.
        content = self.model_dump(mode="json", exclude_unset=True)
        return _unpickled, (content, MODELS[self.model_name])


def _unpickled(content: Mapping[str, Any], entry: Entry) -> Recipe:
    MODELS.register(content["model"]["name"], entry)
    return parse_recipe(content, "the recipe")


def parse_recipe(content: Mapping[str, Any], where: str, settings: Collection[str] = ()) -> Recipe:
    """Validate ``content``; ``where`` names it in the one line of an UsageError.

    ``settings`` are the dotted keys in it that --set gave. Keys that only a setting makes unused
    are dropped, so that they return to their defaults; any other unused key is refused. A file may
    give an unused key its default value, since every resolved recipe does; a setting may not.
    """
    recipe = _validate(content, where, settings)
    unused = recipe.unused()
    dropped = [
        key
        for key, failed in unused.items()
        if key not in settings and any(condition.key in settings for condition in failed)
    ]
    if dropped:
        rest = dict(content)
        for block, _, name in (key.partition(".") for key in dropped):
            if block in rest:
                rest[block] = {k: v for k, v in rest[block].items() if k != name}
        recipe = _validate(rest, where)
    values = recipe.values()
    shown = {key: [value] for key, value in values.items()}
    faults = [
        explain_unused(f"{key}: {label(values[key])}", failed, shown)
        for key, failed in unused.items()
        if not is_off(values[key]) and (key in settings or not recipe.has_default(key))
    ]
    if faults:
        raise UsageError(f"{where}: {'; '.join(faults)}")
    return recipe


_MANY_SEEDS = 10
"""A single number given as seeds is taken for how many are meant only up to this."""


class _KeyHints(Hints):
    """Hints that know the recipe's keys in all blocks, and what others call them."""

    def __init__(self, content: Mapping[str, Any], settings: Collection[str]) -> None:
        super().__init__(partial(_keys_at, content))
        self.settings = settings

    def unknown_key(self, path: KeyPath) -> str:
        if path[0] == "search":  # within a range
            return super().unknown_key(path)
        return did_you_mean_key(".".join(map(str, path)), self.known())

    def known(self) -> list[str]:
        """The blocks, the keys outside of them, and the dotted keys in them."""
        blocks = list(Recipe.model_fields)
        return [*blocks, *(f"{block}.{key}" for block in blocks for key in self._keys(block))]

    def no_block(self, block: str, value: Any) -> str:
        if block not in MAIN:
            return ""
        try:
            of_block: Any = Recipe.model_fields[block].annotation
            of_block.model_validate({MAIN[block]: value})
        except ValidationError:
            return ""
        return write_key(block, value, block in self.settings)

    def no_list(self, key: str, value: Any) -> str:
        if key == "seeds" and isinstance(value, int) and 2 <= value <= _MANY_SEEDS:
            several = str([*range(value)]).replace(" ", "")
            return f"; for {value} seeds write {several}, for the one seed {value} write [{value}]"
        return super().no_list(key, value)

    def _keys(self, block: str) -> list[str]:
        try:
            return [] if block == "search" else self.keys_at((block,))
        except (KeyError, TypeError):  # the model is not named, or wrongly
            return []


def keys_meant(name: str) -> list[str]:
    """The dotted keys, of any recipe, that an option ``name`` may mean; a model's are not known."""
    return keys_called(name, _KeyHints({}, ()).known())


def _validate(content: Mapping[str, Any], where: str, settings: Collection[str] = ()) -> Recipe:
    problems: list[str] = []
    hints = _KeyHints(content, settings)
    whole, model = dict(content), content.get("model")
    keys_at = partial(_keys_at, content)
    name = model.get("name") if isinstance(model, dict) else None
    if isinstance(name, str) and name in MODELS:
        # First and apart: an error in the model's options then has its place and its key names.
        try:
            whole["model"] = _parse_model(model)
        except ValidationError as e:
            problems += explain_all(e, content, ("model",), keys_at, hints=hints)
    try:
        recipe = Recipe.model_validate(whole)
    except ValidationError as e:
        problems += explain_all(e, content, (), keys_at, bool(problems), hints)
    if problems:
        raise UsageError(f"{where}: {'; '.join(problems)}")
    return recipe


def _keys_at(content: Mapping[str, Any], loc: Sequence[Any]) -> list[str]:
    if not loc:
        return list(Recipe.model_fields)
    if loc[0] == "search":
        return list(RANGE_KEYS)
    if loc[0] == "model":
        return ["name", *model_options(content["model"]["name"])]
    annotation = Recipe.model_fields[loc[0]].annotation
    return list(getattr(annotation, "model_fields", {}))
