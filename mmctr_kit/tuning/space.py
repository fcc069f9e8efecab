"""The search space of a study: what fits the data and the recipe, and what a trial is asked.

A key is asked in a trial only if it does something with the values chosen before it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from mmctr_kit.data.contract import Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.modalities import COLUMNS
from mmctr_kit.embed.content import Content
from mmctr_kit.errors import DataError, MmctrKitError, UsageError
from mmctr_kit.items.table import item_table, item_vectors, redundant_without
from mmctr_kit.recipe import Items, Recipe
from mmctr_kit.recipe.blocks import ITEM_FILES
from mmctr_kit.recipe.search import Range, Search, holds, without_unused
from mmctr_kit.recipe.unused import applies, blockers
from mmctr_kit.yaml_files import label

if TYPE_CHECKING:
    from optuna.trial import Trial

Settings = dict[str, Any]
"""Values by dotted recipe key, as --set takes them."""


def suggest(trial: "Trial", search: Search, recipe: Recipe) -> Settings:
    """The point that the study's sampler proposes for this trial."""
    return _point(search, recipe, lambda key, values: _ask(trial, key, values))


def own_point(search: Search, recipe: Recipe) -> dict[str, Any]:
    """The recipe's own values as a trial's parameters, but for those outside of their range."""
    values = recipe.values()
    point = _point(search, recipe, lambda key, _: values[key])
    return {k: _asked(search[k], v) for k, v in point.items() if search[k].holds(v)}


def changes(settings: Settings, recipe: Recipe) -> Settings:
    """The settings that are not the recipe's own values."""
    base = recipe.values()
    return {k: v for k, v in settings.items() if k not in base or not _equal(base[k], v)}


def _point(search: Search, recipe: Recipe, choose: Callable[[str, Range], Any]) -> Settings:
    """The chosen values of all keys that do something with those chosen before them."""
    rules, values_now, point = recipe.rules, recipe.values(), Settings()
    for key, values in search.items():
        known = {k: [v] for k, v in values_now.items()}
        if holds(values.when, values_now) and not blockers(key, rules, known):
            values_now[key] = point[key] = choose(key, values)
    return point


def _equal(a: Any, b: Any) -> bool:
    """Whether the values are equal, a list and a tuple of equal values included."""
    return bool(a == b) or label(a) == label(b)


def _ask(trial: "Trial", key: str, values: Range) -> Any:
    if values.choice is not None:
        asked = trial.suggest_categorical(key, [_asked(values, v) for v in values.choice])
        return next(v for v in values.choice if label(v) == label(asked))
    if values.whole is not None:
        step = 1 if values.step is None else round(values.step)
        return trial.suggest_int(key, *values.whole, step=step, log=values.log)
    low, high = values.bounds
    # Four figures are enough of a rate, and what people can read and type.
    drawn = trial.suggest_float(key, low, high, step=values.step, log=values.log)
    return float(f"{drawn:.4g}")


def _asked(values: Range, value: Any) -> Any:
    """A value as a parameter of Optuna: a list as text, a number as its range's int or float."""
    if values.choice is not None:
        return label(value) if isinstance(value, list | tuple) else value
    return int(value) if values.whole is not None else float(value)


_TRIES = 200
"""Random points that are tried before a value is called infeasible."""
_EMBEDDING = "items.embedding"
_DIMS: dict[str, tuple[Modality, ...]] = {
    "text_dim": ("text",),
    "image_dim": ("image",),
    "dim": ("text", "image"),
}


def fit_to_data(
    search: Search, recipe: Recipe, data: ChallengeData
) -> tuple[dict[str, Range], dict[str, str]]:
    """The search without what the data folder can't serve, and why, by what was left out.

    An item embedding is left out if the folder lacks its files, or if it would equal another one
    without them, and codes of a modality that the folder lacks; numbers of dimensions end at the
    width of the folder's vectors. Entries that no remaining choice gives an effect are left out
    too. PCAs are fitted here, so that no trial has to. Raises DataError if no embedding, or nothing
    to make codes of, is left.
    """
    fitted, gone = dict(search), dict[str, str]()
    content = Content.of(data, recipe.items)
    absences: dict[str, Callable[[str], str]] = {
        _EMBEDDING: partial(_absent, data, recipe.items),
        "codes.of": partial(_absent_codes, content),
    }
    for key, absence in absences.items():
        chosen = fitted[key].choice if key in fitted else None
        if chosen is None:
            continue
        absent = {choice: absence(choice) for choice in map(str, chosen)}
        missing = {f"{key} {choice}": why for choice, why in absent.items() if why}
        held = tuple(c for c in chosen if not absent[str(c)])
        if not held:
            raise DataError(f"nothing is left of search.{key}: {'; '.join(missing.values())}")
        gone |= missing
        fitted[key] = fitted[key].model_copy(update={"choice": held})
    for name, modalities in _DIMS.items():
        key = f"items.{name}"
        if len(modalities) == 1 and key in fitted and modalities[0] not in content.held:
            del fitted[key]  # blocks go without it
        elif key in fitted and set(modalities) <= set(content.held):
            width = sum(x.shape[1] for x in item_vectors(content, modalities))
            fitted[key] = _at_most(fitted[key], width, key)
    return _without_unasked(fitted, recipe), gone


def require_feasible(search: Search, recipe: Recipe) -> None:
    """Raise UsageError for an infeasible search before the first trial, not amid the study.

    That is if a value never makes a recipe, whatever the others are, or an entry is never asked.
    """
    dice = Random(0)
    for key, values in search.items():
        for value in values.corners:
            _require_value(key, value, search, recipe, dice)


def _absent(data: ChallengeData, items: Items, embedding: str) -> str:
    """Why the folder can't serve the embedding; empty if it can."""
    dims = {k: 1 for k in _DIMS if applies(Items, k, embedding=embedding)}
    files = {k: getattr(items, k) for k in ITEM_FILES if applies(Items, k, embedding=embedding)}
    try:
        items = Items.model_validate({"embedding": embedding, **dims, **files})
    except ValueError:
        return ""  # require_feasible tells what is wrong with it
    try:
        item_table(data, items)
    except DataError as e:
        return str(e)
    missing = redundant_without(data, items)
    return f"the folder does not hold {' and '.join(missing)}" if missing else ""


def _absent_codes(content: Content, of: str) -> str:
    """Why the folder can't serve codes of this kind; empty if it can."""
    if of in COLUMNS and of not in content.held:
        return f"the folder does not hold {of}"
    return "the folder holds no text or image" if of == "aligned" and not content.held else ""


def _at_most(values: Range, highest: int, key: str) -> Range:
    """The range without its values above ``highest``."""
    if values.choice is not None:
        fitting = tuple(v for v in values.choice if not isinstance(v, int) or v <= highest)
        if not fitting:
            raise DataError(f"search.{key}: the folder's vectors have only {highest} values")
        return values.model_copy(update={"choice": fitting})
    low, high = values.bounds
    if high <= highest:
        return values
    if low > highest:
        raise DataError(f"search.{key}: the folder's vectors have only {highest} values")
    end = highest if values.step is None else low + (highest - low) // values.step * values.step
    if end == low:
        plain = {"choice": (int(low),), "whole": None, "log": False, "step": None}
        return values.model_copy(update=plain)
    return values.model_copy(update={"whole": (int(low), int(end))})


def _without_unasked(search: Mapping[str, Range], recipe: Recipe) -> dict[str, Range]:
    """The search without conditions on values that were left out, and without unused entries."""
    left: dict[str, Range] = {}
    for key, values in search.items():
        when: dict[str, Sequence[Any]] = {
            other: tuple(v for v in wanted if other not in left or left[other].holds(v))
            for other, wanted in values.when.items()
        }
        if all(when.values()):
            left[key] = values.model_copy(update={"when": when})
    return without_unused(left, recipe.values(), recipe.rules)


def _require_value(key: str, value: Any, search: Search, recipe: Recipe, dice: Random) -> None:
    reasons: Counter[str] = Counter()
    for _ in range(_TRIES):
        point = _point(
            search, recipe, lambda k, values: value if k == key else dice.choice(values.corners)
        )
        if key not in point:
            continue
        try:
            recipe.changed(point)
        except MmctrKitError as e:
            reasons[str(e)] += 1
        else:
            return
    if not reasons:
        raise UsageError(f"search.{key} is never asked: its conditions never hold; leave it out")
    why = reasons.most_common(1)[0][0].removeprefix("the recipe: ")
    raise UsageError(f"search.{key}: {label(value)} is infeasible ({why})")
