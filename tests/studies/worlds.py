"""What the studies share: generated data sets, and `cv` in this process on one thread."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import Plan, plan_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.datasets.synth.presets import ROWS_PER_USER
from mmctr_kit.recipe import Recipe, load_recipe

DEMO = PRESETS["demo"]


def small_demo(work: Path, users: int, seed: int) -> Path:
    """The folder of the demo data of so many train users (10,000: the demo itself), made once."""
    home = work / f"demo-{users}-{seed}"
    if not home.exists():
        share = users / DEMO.train_users
        preset = replace(
            DEMO,
            train_users=users,
            valid_users=int(DEMO.valid_users * share),
            test_rows=ROWS_PER_USER * int(DEMO.test_rows // ROWS_PER_USER * share),
            n_items=int(DEMO.n_items * share),
        )
        generate(home, preset, seed=seed)
    return home


def short_recipe(name: str, settings: Sequence[str]) -> Recipe:
    """A recipe for small data: its epochs are enough, however few steps they are."""
    recipe = load_recipe(name, settings)
    return recipe.changed({"training.min_steps": 0}) if recipe.training.min_steps else recipe


def quiet_plan(recipe: Recipe, data: ChallengeData) -> Plan:
    """A plan on one thread of this process: on a busy machine two wait for each other."""
    plan = plan_cv(recipe, data, LocalExecutor("cpu", 1))
    return replace(plan, resources=replace(plan.resources, threads=1))
