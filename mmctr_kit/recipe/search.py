"""The ``search`` block: which keys of a recipe ``mmctr-kit tune`` may change, and over what.

Each entry is a dotted recipe key and the range of its values:

    search:
      items.embedding: {choice: [text, joint_pca, separate_pca]}
      items.text_dim: {int: [8, 128], log: true, when: {items.embedding: [text, separate_pca]}}
      training.learning_rate: {float: [5.0e-4, 1.0e-2], log: true}
      model.mlp_dropout: {float: [0.0, 0.5], step: 0.1}
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mmctr_kit.errors import did_you_mean
from mmctr_kit.recipe.suggest import did_you_mean_key
from mmctr_kit.recipe.unused import Rules, blockers, explain_unused, selectors
from mmctr_kit.yaml_files import explain_all, label

FIXED = {
    "name": "trials are numbered, not named",
    "seeds": "each trial has one seed; the finalists get new ones",
    "folds": "all trials share their folds",
    "search": "a search ranges over the recipe's other keys",
    "model.name": "models differ in their keys; tune each model separately",
    "items.file": "to choose among files, tune with each of them",
    "items.encoded": "to choose among files, tune with each of them",
    "items.drop_modality": "ablate says what it is worth",
    "training.teacher": "a fold model may have no teacher",
    "training.holdout": "trials are compared on the users that it holds out",
}
"""Keys, or whole blocks, that no search may change, and why."""


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers; list them as a choice")
    return value


_Int = Annotated[int, BeforeValidator(_no_switch)]
_Float = Annotated[float, BeforeValidator(_no_switch)]


class Range(BaseModel):
    """The values of one key: one of ``choice``, or of an ``int`` or ``float`` range [low, high].

    Both ends are included. Values are drawn evenly, on a ``log`` scale, or in steps of ``step``
    from low on. The key is chosen only if it does something with the values chosen before it and,
    with ``when``, if each key of ``when`` has one of the values listed there; otherwise it stays as
    it is in the recipe.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True
    )

    choice: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    whole: Annotated[tuple[_Int, _Int] | None, Field(alias="int")] = None
    real: Annotated[tuple[_Float, _Float] | None, Field(alias="float")] = None
    log: bool = False
    step: _Float | None = None
    when: Mapping[str, tuple[Any, ...]] = {}

    @model_validator(mode="after")
    def _one_kind(self) -> "Range":
        kinds = {"choice": self.choice, "int": self.whole, "float": self.real}
        given = [k for k, v in kinds.items() if v is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected one of choice, int and float, found {' and '.join(given) or 'none'}"
            )
        if self.choice is None:
            self._require_scale(*self.bounds)
        elif self.log or self.step is not None:
            raise ValueError("log and step go with int or float, not with choice")
        elif len({label(v) for v in self.choice}) != len(self.choice):
            raise ValueError("choice holds a value twice")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value of an int or float range."""
        ends = self.whole if self.whole is not None else self.real
        assert ends is not None
        return ends

    @property
    def corners(self) -> tuple[Any, ...]:
        """The choices, or the lowest and the highest value."""
        return self.choice if self.choice is not None else self.bounds

    def holds(self, value: Any) -> bool:
        """Whether ``value`` lies in the range."""
        if self.choice is not None:
            return label(value) in {label(v) for v in self.choice}
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (self.whole is not None and value != int(value)):
            return False
        low, high = self.bounds
        return low <= value <= high and (self.step is None or _whole((value - low) / self.step))

    def as_plain(self) -> dict[str, Any]:
        """The entry as a recipe writes it, without the keys that are not set."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def _require_scale(self, low: float, high: float) -> None:
        if not low < high:
            raise ValueError(f"expected [low, high] with low < high, found [{low}, {high}]")
        if self.log and (low <= 0 or self.step is not None):
            raise ValueError("log needs a lowest value above 0, and no step")
        if self.step is None:
            return
        if self.step <= 0 or (self.whole is not None and not _whole(self.step)):
            kind = "a whole number" if self.whole is not None else "a number"
            raise ValueError(f"step: expected {kind} above 0, found {self.step}")
        if not _whole((high - low) / self.step):
            raise ValueError(f"steps of {self.step} from {low} on miss {high}; change one of them")


RANGE_KEYS = tuple(f.alias or name for name, f in Range.model_fields.items())

Search = Mapping[str, Range]
"""Ranges by dotted recipe key, in the order in which values are chosen."""


def require_keys(search: Search, known: Sequence[str], rules: Rules) -> None:
    """ValueError if a key of the search is none of ``known``, fixed, or in the wrong place.

    It stands after the keys on which it depends; its conditions must be able to hold.
    """
    seen: list[str] = []
    for key, values in search.items():
        for fixed, why in FIXED.items():
            if key == fixed or key.startswith(f"{fixed}."):
                raise ValueError(f"search.{key} can't be searched: {why}")
        _require_known(key, known, f"search.{key}")
        for other, wanted in values.when.items():
            _require_known(other, known, f"search.{key}.when")
            if other in search and other not in seen:
                raise ValueError(f"search.{key}.when names {other}, which must stand before it")
            if other in search:
                _require_values(search[other], wanted, f"search.{key}.when: {other}")
        for other in search:
            if other in selectors(key, rules) and other not in seen:
                raise ValueError(f"search.{key} depends on {other}, which must stand before it")
        seen.append(key)


def require_values(search: Search, blocks: Mapping[str, type[BaseModel]]) -> None:
    """ValueError if a key never takes one of the values that the search gives it.

    The values are its choices, the ends of its range and those in conditions, whatever the other
    keys are. ``blocks`` are the recipe's.
    """
    faults: list[str] = []
    for key, values in search.items():
        where = f"search.{key}"
        at_ends = _faults(where, key, values.corners, blocks)
        inside = [] if at_ends else _faults(where, key, _between(values), blocks)
        faults += at_ends
        expected = [phrase.partition("; found")[0] for phrase in inside]
        faults += [f"{phrase}; found float: {list(values.bounds)}" for phrase in expected]
        for other, wanted in values.when.items():
            faults += _faults(f"{where}.when.{other}", other, wanted, blocks)
    if faults:
        raise ValueError("; ".join(faults))


def require_used(search: Search, values: Mapping[str, Any], rules: Rules) -> None:
    """ValueError if a key of the search does nothing whatever the search chooses for the others.

    ``values`` are the recipe's.
    """
    possible = possible_values(search, values, rules)
    for key in search:
        if failed := blockers(key, rules, possible):
            raise ValueError(explain_unused(f"search.{key}", failed, possible))


def without_unused(search: Search, values: Mapping[str, Any], rules: Rules) -> dict[str, Range]:
    """The entries that do something with some of the values that the search may choose."""
    possible = possible_values(search, values, rules)
    return {key: entry for key, entry in search.items() if not blockers(key, rules, possible)}


def possible_values(
    search: Search, values: Mapping[str, Any], rules: Rules
) -> dict[str, Sequence[Any]]:
    """The values that each key may have in a search of a recipe with these ``values``.

    A range is represented by its ends. A key that the search does not always choose may also have
    the recipe's value.
    """
    possible: dict[str, Sequence[Any]] = {key: [value] for key, value in values.items()}
    for key, entry in search.items():
        sometimes = bool(entry.when) or not selectors(key, rules).isdisjoint(search)
        possible[key] = [*entry.corners, values[key]] if sometimes else entry.corners
    return possible


def holds(when: Mapping[str, Sequence[Any]], value_of: Mapping[str, Any]) -> bool:
    """Whether every key of ``when`` has one of its values."""
    return all(label(value_of[key]) in {label(v) for v in values} for key, values in when.items())


def _faults(
    where: str, key: str, values: Iterable[Any], blocks: Mapping[str, type[BaseModel]]
) -> list[str]:
    """One phrase for each of ``values`` that ``key`` does not take."""
    block, _, name = key.partition(".")
    above = where.removesuffix(f".{name}")
    faults: list[str] = []
    for value in values:
        try:
            blocks[block].model_validate({name: value})
        except ValidationError as e:
            if not any(error["loc"] for error in e.errors()):
                continue  # it needs another key, which the search or the recipe may give
            phrases = explain_all(e, {above: {name: value}}, (above,), lambda _: [])
            faults += [p if "; found" in p else f"{p}; found {label(value)}" for p in phrases]
    return faults


def _between(values: Range) -> tuple[float, ...]:
    """A value inside of a float range, a fraction if it has any.

    The ends may be whole by chance, and would pass for a key that takes no fractions.
    """
    if values.real is None:
        return ()
    low, high = values.real
    return (low + values.step,) if values.step is not None else (low + (high - low) / math.pi,)


def _require_known(key: str, known: Iterable[str], where: str) -> None:
    if key not in (keys := list(known)):
        raise ValueError(f"{where}: the recipe has no key {key}{did_you_mean_key(key, keys)}")


def _require_values(searched: Range, wanted: Sequence[Any], where: str) -> None:
    """ValueError if the search never chooses one of the condition's values."""
    for value in wanted:
        if not searched.holds(value):
            labels = [label(v) for v in searched.choice or ()]
            hint = did_you_mean(label(value), labels)
            raise ValueError(f"{where} is never {label(value)} in this search{hint}")


def _whole(number: float) -> bool:
    return math.isfinite(number) and math.isclose(number, round(number), abs_tol=1e-6)
