"""The keys of a recipe in words: what each takes, what it means, and when it does something.

All of it is read off the schema: the recipe's blocks and the signature of its model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pydantic.fields import FieldInfo

from mmctr_kit.errors import UsageError, did_you_mean
from mmctr_kit.models.option_types import Condition, Means
from mmctr_kit.recipe.blocks import Block
from mmctr_kit.recipe.schema import Recipe
from mmctr_kit.recipe.unused import MODEL, one_of
from mmctr_kit.yaml_files import label

_NO_LIMIT = 2**53
"""A limit this far away is not worth a word."""

_FEW = 3
"""So many models that read a key are named."""

_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "null": "null",
    "object": "a block of keys",
}


@dataclass(frozen=True)
class Key:
    """One key of a recipe.

    key: dotted, as --set takes it; value: the recipe's; default: what it is if the recipe does not
    say, None if the recipe must say it. takes: the type and the range of its values, in words.
    meaning: one or a few sentences; empty for an option of somebody's model that says none.
    applies_to: the values of other keys with which it does something, empty if it always does;
    used: whether it does something in this recipe.
    """

    key: str
    value: Any
    default: Any
    takes: str
    meaning: str
    applies_to: str
    used: bool


def recipe_keys(recipe: Recipe, only: Sequence[str] = ()) -> list[Key]:
    """Every key of the recipe, its own first, then block by block.

    ``only``: blocks, keys or patterns like ``model.*dim`` to choose among them. Raises UsageError
    for one that is like no key.
    """
    keys = _every_key(recipe)
    chosen = set[str]()
    for pattern in only:
        names = {key.key for key in keys}
        like = {n for n in names if fnmatchcase(n, pattern) or n.startswith(f"{pattern}.")}
        if not like:
            near = did_you_mean(pattern, [*recipe.blocks, *names])
            raise UsageError(f"{recipe.name} has no key like '{pattern}'{near}")
        chosen |= like
    return [key for key in keys if not only or key.key in chosen]


def _every_key(recipe: Recipe) -> list[Key]:
    values, unused = recipe.values(), recipe.unused()
    of_recipe = [n for n in type(recipe).model_fields if n not in recipe.blocks]
    plain = recipe.model_dump(mode="json", include={*of_recipe})
    rows: list[tuple[str, type[Block], str, Any]]
    rows = [("", type(recipe), name, plain[name]) for name in of_recipe]
    for block, part in recipe.blocks.items():
        names = type(part).model_fields
        rows += [(f"{block}.", type(part), name, values[f"{block}.{name}"]) for name in names]
    keys = []
    for prefix, model, name, value in rows:
        field, key = model.model_fields[name], f"{prefix}{name}"
        properties = model.model_json_schema()["properties"]
        default = None if field.is_required() else field.get_default()
        keys.append(
            Key(
                key,
                value,
                list(default) if isinstance(default, tuple) else default,
                "ranges by dotted key" if key == "search" else _takes(properties[name]),
                _meaning(field),
                _applies_to(recipe, key, values),
                key not in unused,
            )
        )
    return keys


def _meaning(field: FieldInfo) -> str:
    """The text below a block's key, or what a model's signature says of its option."""
    said = [each.text for each in field.metadata if isinstance(each, Means)]
    return " ".join((field.description or " ".join(said)).split())


def _takes(schema: Mapping[str, Any]) -> str:
    """The values that a JSON schema lets through, in words."""
    if "anyOf" in schema:
        return ", or ".join(map(_takes, schema["anyOf"]))
    if "const" in schema:
        return label(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(map(label, schema['enum']))}"
    if schema["type"] == "array":
        least = ", at least one" if schema.get("minItems") else ""
        return f"a list{least}; each {_takes(schema['items'])}"
    limits = [
        f"{words} {schema[name]:,}"
        for name, words in (
            ("exclusiveMinimum", "more than"),
            ("minimum", "at least"),
            ("exclusiveMaximum", "less than"),
            ("maximum", "at most"),
        )
        if abs(schema.get(name, _NO_LIMIT)) < _NO_LIMIT
    ]
    return ", ".join([_KINDS[schema["type"]], *limits])


def _applies_to(recipe: Recipe, key: str, values: Mapping[str, Any]) -> str:
    """When a key does something with this model; a condition on a key that it lacks is none."""
    parts = []
    for rule in recipe.rules.get(key, ()):
        if of_model := [c for c in rule.conditions if c.key == MODEL]:
            if not any(c.holds(recipe.model_name) for c in of_model):
                able = [name for c in of_model for name in c.values]
                few = one_of(able) if len(able) <= _FEW else f"another than {recipe.model_name}"
                return f"{MODEL} is {few}"
        elif all(c.key in values for c in rule.conditions):
            parts.append(", or ".join(map(_condition, _merged(rule.conditions))))
    return "; and ".join(parts)


def _merged(conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions, those on the same key as one."""
    merged: dict[tuple[str, bool], tuple[Any, ...]] = {}
    for c in conditions:
        merged[c.key, c.negated] = merged.get((c.key, c.negated), ()) + c.values
    return [Condition(key, values, negated) for (key, negated), values in merged.items()]


def _condition(condition: Condition) -> str:
    values = one_of([label(value) for value in condition.values])
    return f"{condition.key} is {'not ' if condition.negated else ''}{values}"
