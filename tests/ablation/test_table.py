"""The ablation's table: paired changes with their errors, and claims from enough seeds alone."""

import json
import math
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.ablation.table import Row, Table, tabulate
from mmctr_kit.ablation.variants import BASE, Ablation, plan_ablation
from mmctr_kit.cv.executors.base import Resources
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.model_cost import Latency, Measured
from mmctr_kit.cv.plan import Plan
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import user_folds
from mmctr_kit.files import save_arrays
from mmctr_kit.metrics.auc import auc_difference
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import write_timings
from mmctr_kit.runs.writer import RunWriter
from tests.runs.unsealed import unsealed

FOLDS, SEEDS = 2, (0, 1, 2)
SETTINGS = ("training.epochs=1", "training.batch_size=256", f"folds.count={FOLDS}")
COST = Measured(10, 1e4, (Latency(1, 0.5, 0.9, 200),), 300.0, "process")
ONLY = ("se-on", "interaction-off")


def ablation_of(data: ChallengeData, seeds: tuple[int, ...]) -> Ablation:
    found = load_recipe("din_demo", [*SETTINGS, f"seeds={list(seeds)}"])
    return plan_ablation(found, data, LocalExecutor("cpu", 1), ONLY)


def here(plan: Plan) -> Plan:
    return replace(plan, resources=Resources(("cpu",), 1, 1, "CPU"))


def made(data: ChallengeData, folder: Path, seeds: tuple[int, ...]) -> Table:
    return tabulate(ablation_of(data, seeds), folder, dict.fromkeys((BASE, *ONLY), COST))


@pytest.fixture(scope="module")
def folder(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of an ablation with three seeds; se-on is a copy of the base's folds."""
    root = tmp_path_factory.mktemp("runs") / "a.ablate"
    found = ablation_of(tiny, SEEDS)
    for name in (BASE, "interaction-off"):
        assert run_cv(here(found.runs[name]), root / name, False, lambda _: None) is not None
    shutil.copytree(root / BASE, root / "se-on")
    write_timings(root, {})
    return root


def row(table: Table, name: str) -> Row:
    (found,) = [r for r in table.rows if r.name == name]
    return found


def logits(folder: Path, data: ChallengeData, seed: int) -> tuple[np.ndarray, np.ndarray]:
    fold = user_folds(data.train.user_id, FOLDS, 0)
    oof = np.empty(len(fold))
    each = [RunWriter(folder).fold(f, seed).logits() for f in range(FOLDS)]
    for f, found in enumerate(each):
        oof[fold == f] = found["oof"]
    return oof, np.mean([found["valid"] for found in each], axis=0)


def test_cold_and_warm_rows_are_compared_by_themselves(tiny: ChallengeData, folder: Path) -> None:
    changed = row(made(tiny, folder, (0,)), "interaction-off")
    fold = user_folds(tiny.train.user_id, FOLDS, 0)
    item = tiny.train.item_id.tolist()
    count = Counter(item)
    edge = sorted(count[i] for i in item)[len(item) // 4]
    seen = [set(tiny.train.item_id[fold != f].tolist()) for f in range(FOLDS)]
    rare = np.array([count[i] < edge or i not in seen[f] for i, f in zip(item, fold, strict=True)])
    pair = (logits(folder / "interaction-off", tiny, 0)[0], logits(folder / BASE, tiny, 0)[0])
    for found, rows in ((changed.cold, rare), (changed.warm, ~rare)):
        label, user = tiny.train.labels()[rows], tiny.train.user_id[rows]
        assert found == auc_difference(label, *(x[rows] for x in pair), user, fold[rows])
    assert rare.mean() == pytest.approx(0.25, abs=0.1)


def test_a_variant_that_predicts_as_the_base_has_a_change_of_exactly_zero(
    tiny: ChallengeData, folder: Path
) -> None:
    for seeds in ((0,), SEEDS):
        same = row(made(tiny, folder, seeds), "se-on")
        assert (same.oof.value, same.oof.se) == (0.0, 0.0)
        assert (same.valid.value, same.valid.se) == (0.0, 0.0)
        assert same.z == 0.0
        assert not same.claim


def test_a_change_of_one_seed_is_the_paired_difference_and_claims_nothing(
    tiny: ChallengeData, folder: Path
) -> None:
    table = made(tiny, folder, (1,))
    found = row(table, "interaction-off")
    oof, valid = logits(folder / "interaction-off", tiny, 1)
    base_oof, base_valid = logits(folder / BASE, tiny, 1)
    user, fold = tiny.train.user_id, user_folds(tiny.train.user_id, FOLDS, 0)
    assert found.oof == auc_difference(tiny.train.labels(), oof, base_oof, user, fold)
    assert found.valid == auc_difference(tiny.valid.labels(), valid, base_valid, tiny.valid.user_id)
    assert found.oof.se > 0
    assert {r.claim for r in table.rows} == {None}
    assert not table.claims


def test_with_several_seeds_the_standard_error_counts_how_far_their_changes_differ(
    tiny: ChallengeData, folder: Path
) -> None:
    each = [row(made(tiny, folder, (s,)), "interaction-off") for s in SEEDS]
    found = row(made(tiny, folder, SEEDS), "interaction-off")
    for mean, parts in (
        (found.oof, [e.oof for e in each]),
        (found.valid, [e.valid for e in each]),
    ):
        values = [p.value for p in parts]
        sampling = np.mean([p.se for p in parts])
        assert mean.value == pytest.approx(np.mean(values))
        assert mean.se == pytest.approx(math.hypot(sampling, np.std(values, ddof=1) / 3**0.5))


def test_the_base_shows_its_own_aucs_as_its_run_does(tiny: ChallengeData, folder: Path) -> None:
    table = made(tiny, folder, SEEDS)
    metrics = Run(folder / BASE).metrics
    base = table.rows[0]
    assert base.is_base
    assert base.z is None
    for found, name in ((base.oof, "recipe_oof"), (base.valid, "recipe_valid")):
        stored = Estimate.from_json(metrics[name])
        assert (found.value, found.se) == pytest.approx((stored.value, stored.se))


def shifted(folder: Path, name: str, data: ChallengeData, size: float) -> None:
    """Give a run the base's logits, those of OOF moved by ``size`` where the label is 1."""
    fold = user_folds(data.train.user_id, FOLDS, 0)
    unsealed(folder / name)
    for path in (folder / BASE / "folds").iterdir():
        job = tuple(map(int, path.name.split("-")))
        found = RunWriter(folder / BASE).fold(*job).logits()
        moved = found["oof"] + size * data.train.labels()[fold == job[0]]
        save_arrays(
            folder / name / "folds" / path.name / "logits.safetensors", {**found, "oof": moved}
        )


def test_a_change_beyond_the_needed_standard_errors_is_claimed_with_three_seeds(
    tiny: ChallengeData, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "a")
    shifted(tmp_path / "a", "se-on", tiny, 2.0)
    shifted(tmp_path / "a", "interaction-off", tiny, -2.0)
    table = made(tiny, tmp_path / "a", SEEDS)
    assert [(r.name, r.claim) for r in table.rows] == [
        (BASE, None),
        ("se-on", "better"),
        ("interaction-off", "worse"),
    ]
    better = row(table, "se-on")
    assert better.z is not None
    assert better.z > table.needed > 2.0
    assert {r.claim for r in made(tiny, tmp_path / "a", SEEDS[:2]).rows} == {None}


def test_the_whole_table_is_in_the_ablations_folder(tiny: ChallengeData, folder: Path) -> None:
    table = made(tiny, folder, SEEDS)
    content = json.loads((folder / "ablation.json").read_text(), parse_constant=pytest.fail)
    assert content == json.loads(json.dumps(table.as_json()))
    assert set(content) == {
        "recipe", "seeds", "folds", "device", "threads", "needed", "rows", "left_out",
    }  # fmt: skip
    for each in content["rows"]:
        assert set(each) == {
            "name", "what", "before", "settings", "oof", "valid", "cold", "warm", "claim", "errors",
            "cost",
        }  # fmt: skip
        assert set(each["oof"]) == {"value", "error", "n"}
        assert each["cost"]["latency"][0] == {
            "candidates": 1, "p50_ms": 0.5, "p99_ms": 0.9, "requests": 200,
        }  # fmt: skip
    assert content["rows"][0]["name"] == BASE
    changes = [each["oof"]["value"] for each in content["rows"][1:]]
    assert changes == sorted(changes, reverse=True)


def test_the_settings_of_a_row_make_its_run_by_cv(tiny: ChallengeData, folder: Path) -> None:
    found = ablation_of(tiny, SEEDS)
    for each in made(tiny, folder, SEEDS).rows[1:]:
        by_hand: Recipe = load_recipe(
            "din_demo", [*SETTINGS, f"seeds={list(SEEDS)}", *each.settings]
        )
        assert by_hand == found.plans[each.name].recipe


@pytest.mark.parametrize("by", ["time", "item"])
def test_the_oof_rows_of_other_folds_are_compared_by_themselves(
    timed: ChallengeData, tmp_path: Path, by: str
) -> None:
    recipe = load_recipe("din_demo", [*SETTINGS, "seeds=[0]", f"folds.by={by}"])
    ablation = plan_ablation(recipe, timed, LocalExecutor("cpu", 1), ONLY)
    run = run_cv(here(ablation.base), tmp_path / BASE, False, lambda _: None)
    assert run is not None
    for name in ONLY:
        shutil.copytree(tmp_path / BASE, tmp_path / name)
    table = tabulate(ablation, tmp_path, dict.fromkeys((BASE, *ONLY), COST))
    base = row(table, BASE)
    assert base.oof.value == run.metrics["oof"]["value"]
    assert (base.warm is None) == (by == "item")  # whose OOF rows are all cold
    assert row(table, "se-on").oof.value == 0
