"""The members of a family as recipes that suit one data set."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import load_recipe
from mmctr_kit.api.progress import Listener, ProgressEvent
from mmctr_kit.errors import DataError, UsageError

if TYPE_CHECKING:
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.recipe import Recipe

HOLDOUTS = (0.1, 0.2, 0.3, 0.5)
"""The shares of users to hold out instead if a recipe's own leaves nobody to choose by."""


def load_members(
    names: Sequence[str], settings: Sequence[str], listen: Listener
) -> dict[str, "Recipe"]:
    """Each shipped recipe with the settings (KEY=VALUE) whose keys it has and uses.

    Notes say which recipes those are, if not all. Raises UsageError for a key that all lack,
    for a value that a key does not take, and for seeds.
    """
    from mmctr_kit.recipe.suggest import did_you_mean_key

    plain = {name: load_recipe(name) for name in names}
    given: dict[str, list[str]] = {name: [] for name in plain}
    for setting in settings:
        key = _key_of(setting)
        if key == "seeds":
            raise UsageError("seeds: a family chooses its members' seeds; leave it out")
        have = [name for name, recipe in plain.items() if key in _keys(recipe)]
        if not have and "=" in setting:
            every = [each for recipe in plain.values() for each in _keys(recipe)]
            hint = did_you_mean_key(key, dict.fromkeys(every))
            raise UsageError(f"--set {setting}: no member of the family has the key {key}{hint}")
        have = [name for name in have if key not in plain[name].unused()] or have
        for name in have or plain:  # what is no KEY=VALUE is refused when the first is loaded
            given[name].append(setting)
        if have and len(have) < len(plain):
            lack = ", ".join(name for name in plain if name not in have)
            only = f"--set {setting} is for {', '.join(have)}; not for {lack}"
            listen(ProgressEvent("note", only))
    return {name: load_recipe(name, lines) for name, lines in given.items()}


def _key_of(setting: str) -> str:
    """The dotted key of a setting."""
    return setting.partition("=")[0].strip()


def _keys(recipe: "Recipe") -> list[str]:
    return [*recipe.values(), *type(recipe).model_fields]


def suit(
    recipes: Mapping[str, "Recipe"], data: "ChallengeData", settings: Sequence[str]
) -> dict[str, tuple["Recipe", list[str]]]:
    """Each recipe as the data allow it, and the keys that were changed, with their values.

    The keys of ``settings`` decide about folds and holdout themselves.
    """
    from mmctr_kit.items.adapt import adapted

    changes = _fit_folds(recipes, data, {_key_of(setting) for setting in settings})
    return {name: adapted(recipe, data, changes[name]) for name, recipe in recipes.items()}


def _fit_folds(
    recipes: Mapping[str, "Recipe"], data: "ChallengeData", fixed: Collection[str]
) -> dict[str, dict[str, object]]:
    """What to change by recipe, so that all parts of all folds have both labels; mostly nothing.

    First more users are held out, then there are fewer folds, the same for all: runs of different
    folds cannot be blended. The ``fixed`` keys stay. If nothing helps, nothing is changed.
    """
    alike = {(recipe.folds, recipe.training.holdout): recipe for recipe in recipes.values()}
    largest = max(folds.count for folds, _ in alike)
    counts = (largest,) if {"folds", "folds.count"} & {*fixed} else range(largest, 1, -1)
    for count in counts:
        found = {key: _fit_holdout(r, data, count, fixed) for key, r in alike.items()}
        if all(changes is not None for changes in found.values()):
            return {n: found[r.folds, r.training.holdout] or {} for n, r in recipes.items()}
    return {name: {} for name in recipes}


def _fit_holdout(
    recipe: "Recipe", data: "ChallengeData", count: int, fixed: Collection[str]
) -> dict[str, object] | None:
    """What to change so that up to ``count`` folds have both labels in all parts; None if vain."""
    from mmctr_kit.cv.plan import require_classes

    own, folds = recipe.training.holdout, min(count, recipe.folds.count)
    kept = not own or {"training", "training.holdout"} & {*fixed}
    for holdout in (own, *(() if kept else (h for h in HOLDOUTS if h > own))):
        changes: dict[str, object] = {}
        if folds < recipe.folds.count:
            changes["folds.count"] = folds
        if holdout != own:
            changes["training.holdout"] = holdout
        try:
            require_classes(recipe.changed(changes) if changes else recipe, data, range(folds))
        except DataError:
            continue
        return changes
    return None
