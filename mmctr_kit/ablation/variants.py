"""Ablations: a recipe against variants with one thing changed, on the same folds and seeds.

Every variant is an ordinary run in the ablation's folder, so finished ones are not run again. Costs
are measured after all training, one model at a time, while nothing else of the ablation runs.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, get_args

from mmctr_kit.ablation.status import BASE as BASE
from mmctr_kit.ablation.status import TABLE, cost_file
from mmctr_kit.cv.executors.base import Executor
from mmctr_kit.cv.fold import Progress
from mmctr_kit.cv.model_cost import Measured, cached_cost, measure_cost
from mmctr_kit.cv.plan import Plan, check_run, manifest_of, plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import DataError, MmctrKitError, RunError, UsageError, did_you_mean
from mmctr_kit.files import locked
from mmctr_kit.items.table import redundant_without
from mmctr_kit.models.registry import model_options
from mmctr_kit.recipe import SIGNAL_KINDS, Items, Recipe
from mmctr_kit.recipe.blocks import CodesOf, ItemBlock
from mmctr_kit.recipe.unused import applies
from mmctr_kit.runs.conflict import require_free
from mmctr_kit.runs.lineage import TIMINGS, begin_lineage, note_begun
from mmctr_kit.runs.seal import SEAL
from mmctr_kit.runs.writer import begin_run

_KINDS = ("attention", "pooling", "fusion", "code_fusion")
_OF_MODALITIES = ("fusion", "modality_dropout")
_DROPOUT = 0.2


@dataclass(frozen=True)
class Variant:
    """One change to a recipe.

    ``settings`` are keys and values as --set takes them: first the change itself, of a key whose
    value is ``before`` in the recipe, then the settings that it entails.
    """

    name: str
    settings: Mapping[str, Any]
    before: Any

    @property
    def key(self) -> str:
        return next(iter(self.settings))

    @property
    def what(self) -> str:
        return f"{self.key}: {shown(self.before)} -> {shown(self.settings[self.key])}"


@dataclass(frozen=True)
class Ablation:
    """The base's plan, the variants with their plans by name, and why others are ``left_out``."""

    base: Plan
    variants: tuple[Variant, ...]
    plans: Mapping[str, Plan]
    left_out: Mapping[str, str]

    @property
    def runs(self) -> dict[str, Plan]:
        """The plans of all runs by name, the base first."""
        return {BASE: self.base, **self.plans}


Listener = Callable[[str, Progress | None], None]
"""Called with a run's name and its progress in training, or None when it is measured."""


def shown(value: Any) -> str:
    """A value of a recipe, written as --set takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def variants(recipe: Recipe) -> list[Variant]:
    """Every change of a switch, kind, item vector, code, signal or extra row with an effect."""
    unused = recipe.unused()
    changes = list(_model_variants(recipe, unused))
    if "items.embedding" not in unused:
        changes += _item_variants(recipe.items)
    if "codes.of" not in unused:
        now = recipe.codes.of
        others = (of for of in get_args(CodesOf) if of != now)
        changes += [Variant(f"codes-{of}", {"codes.of": of}, now) for of in others]
    if "signals.kinds" not in unused:
        kinds = recipe.signals.kinds
        before = "all" if set(kinds) == set(SIGNAL_KINDS) else ", ".join(kinds) or "none"
        after = "none" if kinds else "all"
        changes.append(Variant(f"signals-{after}", {"signals.kinds": after}, before))
    per_user = recipe.augmentation.per_user
    name = "augmentation-off" if per_user else "augmentation-on"
    changes.append(Variant(name, {"augmentation.per_user": 0 if per_user else 1}, per_user))
    return changes


def plan_ablation(
    recipe: Recipe,
    data: ChallengeData,
    executor: Executor,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> Ablation:
    """Plan the base and its variants, those whose names match ``only`` and not ``skip``.

    A variant is left out if it cannot run on this data folder or model, or if its item vectors
    equal those of another one. Raises as plan_cv does if the base cannot run, and UsageError if no
    variant is left.
    """
    base = plan_cv(recipe, data, executor)
    chosen = choose_variants(recipe, only, skip)
    plans: dict[str, Plan] = {}
    left_out: dict[str, str] = {}
    known = {_content(base): BASE}
    for variant in chosen:
        try:
            plan = plan_cv(recipe.changed(variant.settings), data, executor)
            _require_modalities(variant, plan)
        except MmctrKitError as e:
            left_out[variant.name] = str(e)
            continue
        same = known.setdefault(_content(plan), variant.name)
        if same == variant.name:
            plans[same] = plan
        else:
            left_out[variant.name] = f"its item vectors equal those of {same}"
    if not plans:
        raise _none_left("; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
    return Ablation(base, tuple(v for v in chosen if v.name in plans), plans, left_out)


def choose_variants(recipe: Recipe, only: Sequence[str], skip: Sequence[str]) -> list[Variant]:
    """The variants whose names match ``only`` and not ``skip``; UsageError if there is none."""
    changes = variants(recipe)
    names = [v.name for v in changes]
    for pattern in (*only, *skip):
        if not any(fnmatchcase(name, pattern) for name in names):
            groups = {f"{name.partition('-')[0]}-*" for name in names}
            hint = did_you_mean(pattern, [*names, *groups])
            raise UsageError(f"this recipe has no variant '{pattern}'{hint}; --list shows them")
    chosen = [
        v
        for v in changes
        if (not only or any(fnmatchcase(v.name, p) for p in only))
        and not any(fnmatchcase(v.name, p) for p in skip)
    ]
    if not chosen:
        raise _none_left("--skip")
    return chosen


def require_ablation(recipe: Recipe, folder: Path, force: bool) -> None:
    """Raise RunError if ``folder`` is itself a run, or if its base has other settings."""
    if (folder / "manifest.json").exists():
        raise RunError(f"{folder} is a run; choose another --name")
    require_free(folder / BASE, {"kind": "cv"}, force, recipe.to_yaml())


def finished_runs(ablation: Ablation, folder: Path, force: bool) -> list[str]:
    """The names of the runs that are finished; RunError if one would be refused."""
    require_ablation(ablation.base.recipe, folder, force)
    return [
        n
        for n, plan in ablation.runs.items()
        if check_run(plan.recipe, plan.data, plan.items, folder / n, force)
    ]


def run_ablation(
    ablation: Ablation, folder: Path, force: bool, listen: Listener
) -> dict[str, Measured]:
    """Train every run that is not finished, then measure the unknown costs; returns all costs."""
    costs = {name: folder / cost_file(name) for name in ablation.runs}
    base = ablation.base
    with locked(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if force:
            for name in (SEAL, TIMINGS):
                (folder / name).unlink(missing_ok=True)
        lineage = begin_lineage(base.data.folder, base.resources.hardware, len(ablation.runs))
        note_begun(folder, lineage, made_anew=(TABLE,))
        if force:
            # All before any training, so that the command can be resumed without force.
            for name, plan in ablation.runs.items():
                costs[name].unlink(missing_ok=True)
                with locked(folder / name):
                    text, data = plan.recipe.to_yaml(), plan.data.folder
                    begin_run(folder / name, manifest_of(plan), text, force, data)
        for name, plan in ablation.runs.items():
            run_cv(plan, folder / name, False, partial(listen, name), begun=force)
        measured = {}
        for name, plan in ablation.runs.items():
            cached = cached_cost(plan, costs[name])
            if cached is None:
                listen(name, None)
            measured[name] = cached or measure_cost(plan, folder / name, costs[name])
    return measured


def _model_variants(recipe: Recipe, unused: Collection[str]) -> Iterator[Variant]:
    arguments = recipe.model_arguments
    for key, option in model_options(recipe.model_name).items():
        before = arguments[key]
        if f"model.{key}" in unused:
            continue
        if option.type is bool and key != "batch_norm":
            name = f"{key.removeprefix('use_')}-{'off' if before else 'on'}"
            yield Variant(name, {f"model.{key}": not before}, before)
        elif key == "modality_dropout":
            after, name = (0.0, f"{key}-off") if before else (_DROPOUT, f"{key}-on")
            yield Variant(name, {f"model.{key}": after}, before)
        elif key in _KINDS:
            for value in get_args(option.type):
                if value != before:
                    yield Variant(f"{key}-{value}", {f"model.{key}": value}, before)


def _item_variants(items: Items) -> Iterator[Variant]:
    """The table without each of its blocks, files or modalities, and every other embedding.

    Another embedding has each modality in as many dimensions as ``items``, or is as wide as its
    whole table. ``blocks`` has half of a modality's dimensions, and as many factors.
    """
    if items.embedding == "blocks":
        yield from _block_variants(items)
    for key, name in (("drop_modality", "filter-off"), ("encoded", "encoded-off")):
        if (before := getattr(items, key)) is not None:
            yield Variant(name, {f"items.{key}": None}, before)
    text = items.image_dim if items.embedding == "image" else items.text_dim
    image = items.text_dim if items.embedding == "text" else items.image_dim
    if items.embedding in ("joint_pca", "factors", "aligned", "blocks"):
        wide = sum(items.dims.values())
        image = max(wide // 2, 1)
        text = max(wide - image, 1)
    whole = text + image
    sizes = {"text_dim": text, "image_dim": image}
    sizes |= dict.fromkeys(("dim", "factors_dim", "aligned_dim"), whole)
    half = {"text_dim": max(text // 2, 1), "image_dim": max(image // 2, 1)}
    blocks = half | {"factors_dim": max(whole - sum(half.values()), 1)}
    for value in get_args(Items.model_fields["embedding"].annotation):
        if value not in (items.embedding, "file"):
            of_value = blocks if value == "blocks" else sizes
            read = [key for key in of_value if applies(Items, key, embedding=value)]
            entailed = {f"items.{key}": of_value[key] for key in read}
            settings = {"items.embedding": value, **entailed}
            yield Variant(f"items-{value}", settings, items.embedding)


def _block_variants(items: Items) -> Iterator[Variant]:
    """The table without each of its blocks, and with each other block."""
    for name in get_args(ItemBlock):
        others = [block for block in items.blocks if block != name]
        if len(others) == len(items.blocks):
            yield Variant(f"with-{name}", {"items.blocks": [*others, name]}, items.blocks)
        elif others:
            yield Variant(f"without-{name}", {"items.blocks": others}, items.blocks)


def _none_left(why: str) -> UsageError:
    return UsageError(f"no variant is left ({why}); --list shows them all")


def _require_modalities(variant: Variant, plan: Plan) -> None:
    """Raise DataError if a variant about modalities lacks one that its name promises."""
    missing = redundant_without(plan.data, plan.recipe.items)
    about = variant.key.startswith("items.") or variant.key.partition(".")[2] in _OF_MODALITIES
    if missing and about:
        raise DataError(f"the data folder lacks {' and '.join(missing)}")


def _content(plan: Plan) -> str:
    """A text that is equal for equal models; item vectors count by value, not by name."""
    content = plan.recipe.content()
    del content["items"]
    return json.dumps([content, plan.items.fingerprints], sort_keys=True)
