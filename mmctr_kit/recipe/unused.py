"""Keys of a recipe that do nothing because of what its other keys say.

A key's annotation names the values of other keys with which it does something: ``applies_to`` and
``applies_unless`` of :mod:`mmctr_kit.models.option_types`, in a model's signature and in the
recipe's blocks alike, and :class:`NeedsInput`. Of ``training``, a learner names the keys that it
reads. A key that depends on an unused key is unused too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mmctr_kit.models.option_types import AppliesTo, Condition
from mmctr_kit.models.registry import MODELS, SHIPPED, model_inputs
from mmctr_kit.yaml_files import label

MODEL = "model.name"

Rules = Mapping[str, tuple[AppliesTo, ...]]
"""The conditions of keys, by dotted key; they name dotted keys."""

Values = Mapping[str, Sequence[Any]]
"""The values that a dotted key has or, in a search, may have."""

_OFF: tuple[Any, ...] = (False, 0, None, (), [], "none")
"""Values that switch off what their key is about. They are true of an unused key."""


@dataclass(frozen=True)
class NeedsInput:
    """Says in a key's annotation that it does something only with models that take this input."""

    name: str


def rules_of(model: str, blocks: Mapping[str, type[BaseModel]]) -> Rules:
    """The rules of all keys of a recipe of this model, of which these are the ``blocks``.

    What depends on the model names the shipped ones beside it: others need not be looked for.
    """
    models = list(dict.fromkeys([*SHIPPED, model]))
    rules = {
        f"{block}.{key}": (
            *_declared(block, field.metadata),
            *_of_model(block, key, field.metadata, models),
        )
        for block, fields in blocks.items()
        for key, field in fields.model_fields.items()
    }
    return {key: of_key for key, of_key in rules.items() if of_key}


def applies(block: type[BaseModel], key: str, **others: Any) -> bool:
    """Whether ``key`` does something in a block with these values of its other keys, else defaults.

    Keys of other blocks have their defaults: what only they could switch on does nothing.
    """
    rules = {f".{k}": tuple(_own(f.metadata)) for k, f in block.model_fields.items()}
    values = {k: f.get_default() for k, f in block.model_fields.items()} | others
    return not blockers(f".{key}", rules, {f".{k}": [v] for k, v in values.items()})


def _own(metadata: Iterable[Any]) -> Iterator[AppliesTo]:
    """The declared conditions on keys of the same block."""
    for rule in _declared("", metadata):
        if conditions := tuple(c for c in rule.conditions if c.key.startswith(".")):
            yield AppliesTo(conditions)


def blockers(key: str, rules: Rules, values: Values) -> tuple[Condition, ...]:
    """The conditions of which one would have to hold for ``key`` to do something.

    Empty if it does something. A condition on a key that the model lacks binds nobody.
    """
    for rule in rules.get(key, ()):
        failed: list[Condition] = []
        for condition in rule.conditions:
            if condition.key not in values:
                break
            if above := blockers(condition.key, rules, values):
                failed += above
            elif any(condition.holds(value) for value in values[condition.key]):
                break
            else:
                failed.append(condition)
        else:
            return tuple(dict.fromkeys(failed))
    return ()


def selectors(key: str, rules: Rules) -> set[str]:
    """The keys on which it depends whether ``key`` does something."""
    direct = {c.key for rule in rules.get(key, ()) for c in rule.conditions}
    return direct.union(*(selectors(other, rules) for other in direct))


def is_off(value: Any) -> bool:
    """Whether the value asks for nothing, so that it is true of a key that does nothing."""
    return value in _OFF


def explain_unused(subject: str, failed: Sequence[Condition], values: Values) -> str:
    """One line: ``subject`` does nothing, because of which values, and what to do."""
    now: dict[str, str] = {c.key: one_of(map(label, values[c.key])) for c in failed}
    because = " and ".join(f"{key} is {value}" for key, value in now.items())
    remedy = ", or ".join(_remedy(condition) for condition in failed)
    return f"{subject} does nothing while {because}; leave it out, or set {remedy}"


def _declared(block: str, metadata: Iterable[Any]) -> Iterator[AppliesTo]:
    for entry in metadata:
        if isinstance(entry, AppliesTo):
            yield AppliesTo(
                tuple(
                    c if "." in c.key else Condition(f"{block}.{c.key}", c.values, c.negated)
                    for c in entry.conditions
                )
            )


def _of_model(
    block: str, key: str, metadata: Iterable[Any], models: Sequence[str]
) -> Iterator[AppliesTo]:
    """The inputs that the model must take, and its learner that must read the key."""
    able = [
        [name for name in models if entry.name in model_inputs(name)]
        for entry in metadata
        if isinstance(entry, NeedsInput)
    ]
    if block == "training":
        read = {name: MODELS[name].learner.training_keys for name in models}
        able.append([name for name, keys in read.items() if keys is None or key in keys])
    yield from (AppliesTo((Condition(MODEL, tuple(a)),)) for a in able if a != models)


def _remedy(condition: Condition) -> str:
    if condition.negated:
        return f"{condition.key} to another value"
    first, *others = (label(value) for value in condition.values)
    if not others:
        return f"{condition.key}={first}"
    return f"{condition.key} to {one_of([first, *others])}"


def one_of(labels: Iterable[str]) -> str:
    """Texts joined as in ``a, b or c``."""
    *most, last = labels
    return f"{', '.join(most)} or {last}" if most else last
