"""The recipe: a whole run in one YAML file, as a typed and closed schema.

Unknown keys are refused at every level with a suggestion; ``--set a.b=v`` goes through the same
validation; the resolved recipe holds every value that the run used. Design: section 4.
"""

from collections.abc import Mapping, Sequence
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
from mmctr_kit.models.option_types import NonNegativeInt
from mmctr_kit.models.registry import MODELS, model_inputs, model_options, models_with
from mmctr_kit.recipe.blocks import (
    Augmentation,
    Block,
    Folds,
    Items,
    Signals,
    Training,
)
from mmctr_kit.recipe.explain import explain_all
from mmctr_kit.recipe.search import RANGE_KEYS, Range, require_keys, require_values
from mmctr_kit.recipe.settings import drop_idle

TWO_MODALITIES = ("separate_pca", "e4", "raw")
"""The values of ``items.embedding`` whose columns are text and image, one beside the other."""


@cache
def _model_block(name: str) -> type[Block]:
    fields: dict[str, Any] = {"name": (Literal[name], name)}
    fields |= {k: (o.annotation, o.default) for k, o in model_options(name).items()}
    return create_model(f"{name}_options", __base__=Block, **fields)


def _parse_model(value: Any) -> Block:
    if isinstance(value, Block):
        return value
    if not isinstance(value, Mapping) or "name" not in value:
        found = "none" if isinstance(value, Mapping) else repr(value)
        raise ValueError(f"expected a name: one of {', '.join(MODELS)}; found {found}")
    name = value["name"]
    if not isinstance(name, str) or name not in MODELS:
        told = f"model.name: expected one of {', '.join(MODELS)}; found {name!r}"
        raise ValueError(f"{told}{did_you_mean(str(name), MODELS)}")
    return _model_block(name).model_validate(dict(value))


class Recipe(Block):
    """One run: a model, its items, its training, its folds and seeds."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    model: Annotated[SerializeAsAny[Block], BeforeValidator(_parse_model)]
    items: Items = Items()
    signals: Signals = Signals()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    folds: Folds = Folds()
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    search: Mapping[str, Range] | None = None

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Recipe":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds holds a seed twice")
        return self

    @model_validator(mode="after")
    def _model_takes_signals(self) -> "Recipe":
        if self.signals.kinds and "n_signals" not in model_inputs(self.model_name):
            raise ValueError(
                f"model {self.model_name} takes no signals ({', '.join(models_with('n_signals'))} "
                "do); leave signals.kinds empty"
            )
        return self

    @model_validator(mode="after")
    def _fusion_has_two_to_fuse(self) -> "Recipe":
        fusion = getattr(self.model, "fusion", "concat")
        if fusion in ("gated", "cross") and self.items.embedding not in TWO_MODALITIES:
            raise ValueError(
                f"model.fusion: {fusion} fuses text and image, and items.embedding: "
                f"{self.items.embedding} does not keep them apart; set it to one of "
                f"{', '.join(TWO_MODALITIES)}"
            )
        return self

    @model_validator(mode="after")
    def _learner_reads_training_keys(self) -> "Recipe":
        used = MODELS[self.model_name].learner.training_keys
        if used is None:
            return self
        for key, field in Training.model_fields.items():
            if key not in used and getattr(self.training, key) != field.default:
                raise ValueError(
                    f"training.{key} does nothing with model {self.model_name}, which uses "
                    f"{', '.join(used)}; leave it out"
                )
        return self

    @model_validator(mode="after")
    def _rows_are_of_users(self) -> "Recipe":
        able = models_with("n_users")
        if self.training.user_updates == "rows" and self.model_name not in able:
            raise ValueError(
                f"training.user_updates: rows does nothing with model {self.model_name}, which has "
                f"no table of users; leave it out, or take {' or '.join(able)}"
            )
        return self

    @model_validator(mode="after")
    def _search_is_of_its_keys(self) -> "Recipe":
        search = self.search or {}
        require_keys(search, self.keys())
        parts = {name: getattr(self, name) for name in type(self).model_fields}
        require_values(search, {k: type(v) for k, v in parts.items() if isinstance(v, Block)})
        return self

    @property
    def model_name(self) -> str:
        return str(self.model.name)  # type: ignore[attr-defined]

    @property
    def model_arguments(self) -> dict[str, Any]:
        """The model's options, without its name, as its ``__init__`` takes them."""
        return {k: getattr(self.model, k) for k in model_options(self.model_name)}

    def keys(self) -> list[str]:
        """The dotted keys of its blocks, as --set takes them."""
        blocks = {name: part for name, part in self.resolved().items() if isinstance(part, dict)}
        return [f"{name}.{key}" for name, part in blocks.items() for key in part]

    def changed(self, settings: Mapping[str, Any]) -> "Recipe":
        """The recipe with values of dotted keys changed, as --set would; without its search.

        Raises UsageError where the result is no recipe.
        """
        content = self.resolved()
        for key, value in settings.items():
            block, _, name = key.partition(".")
            content[block][name] = value
        drop_idle(content, settings)
        return parse_recipe(content, "the recipe")

    def resolved(self) -> dict[str, Any]:
        """Every value of the run as plain JSON types; a search is none of them."""
        return self.model_dump(mode="json", exclude={"search"})

    def content(self) -> dict[str, Any]:
        """The resolved recipe for a fingerprint: an item file counts by what it holds, which the
        features' fingerprints cover, and not by where it lies; nor does where the rows lie."""
        content = self.resolved()
        content["items"]["file"] = None
        del content["training"]["data_on"]
        return content

    def to_yaml(self) -> str:
        return str(yaml.safe_dump(self.resolved(), sort_keys=False))

    def __reduce__(self) -> tuple[Any, ...]:
        # The model block's class is made at run time, so pickle cannot name it.
        return parse_recipe, (self.model_dump(mode="json", exclude_unset=True), "the recipe")


def parse_recipe(content: Mapping[str, Any], where: str) -> Recipe:
    """Validate ``content``; ``where`` names it in the one line of an UsageError."""
    problems: list[str] = []
    whole = dict(content)
    keys_at = partial(_keys_at, content)
    if _names_model(whole.get("model")):
        # First and apart: an error in the model's options then has its place and its key names.
        try:
            whole["model"] = _parse_model(whole["model"])
        except ValidationError as e:
            problems += explain_all(e, content, ("model",), keys_at)
    try:
        recipe = Recipe.model_validate(whole)
    except ValidationError as e:
        problems += explain_all(e, content, (), keys_at, without_model=bool(problems))
    if problems:
        raise UsageError(f"{where}: {'; '.join(problems)}")
    return recipe


def _names_model(model: Any) -> bool:
    name = model.get("name") if isinstance(model, dict) else None
    return isinstance(name, str) and name in MODELS


def _keys_at(content: Mapping[str, Any], loc: Sequence[Any]) -> list[str]:
    if not loc:
        return list(Recipe.model_fields)
    if loc[0] == "search":
        return list(RANGE_KEYS)
    if loc[0] == "model":
        return ["name", *model_options(content["model"]["name"])]
    annotation = Recipe.model_fields[loc[0]].annotation
    return list(getattr(annotation, "model_fields", {}))
