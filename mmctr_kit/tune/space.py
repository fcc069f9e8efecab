"""The search space as Optuna has it: what a trial is asked, and what point the answers make."""

from typing import TYPE_CHECKING, Any

from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.search import Range, Search, holds, label

if TYPE_CHECKING:
    from optuna.trial import Trial

Settings = dict[str, Any]
"""Values by dotted recipe key, as --set takes them."""


def suggest(trial: "Trial", search: Search, recipe: Recipe) -> Settings:
    """The point that the study's sampler proposes for this trial."""
    value_of, found = values_of(recipe), Settings()
    for key, values in search.items():
        if holds(values.when, value_of):
            value_of[key] = found[key] = _ask(trial, key, values)
    return found


def own_point(search: Search, recipe: Recipe) -> dict[str, Any]:
    """The recipe's own values as a trial's parameters; what lies outside of its range is left to
    the sampler."""
    value_of = values_of(recipe)
    return {
        key: _asked(values, value_of[key])
        for key, values in search.items()
        if holds(values.when, value_of) and values.holds(value_of[key])
    }


def values_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe's values by dotted key."""
    blocks = {name: part for name, part in recipe.resolved().items() if isinstance(part, dict)}
    return {f"{name}.{key}": v for name, part in blocks.items() for key, v in part.items()}


def changes(settings: Settings, recipe: Recipe) -> Settings:
    """Those of the settings that are not the recipe's own values."""
    own = values_of(recipe)
    return {k: v for k, v in settings.items() if k not in own or not _equal(own[k], v)}


def _equal(a: Any, b: Any) -> bool:
    """Also where one is a list as JSON has it, and the other a tuple."""
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
    found = trial.suggest_float(key, low, high, step=values.step, log=values.log)
    return float(f"{found:.4g}")


def _asked(values: Range, value: Any) -> Any:
    """A value as Optuna's parameters take it: a list as text, a number of its range's kind."""
    if values.choice is not None:
        return label(value) if isinstance(value, list | tuple) else value
    return int(value) if values.whole is not None else float(value)
