"""mmctr_kit.ablation.variants: the variants of a recipe, what is left out, runs that go on."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmctr_kit.ablation.variants import (
    BASE,
    Ablation,
    Variant,
    finished_runs,
    plan_ablation,
    run_ablation,
    variants,
)
from mmctr_kit.cv.executors.base import Resources
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.fold import FoldActivity, Progress
from mmctr_kit.cv.model_cost import Measured
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, RunError, UsageError
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import Recipe, load_recipe, shipped_recipes

SETTINGS = ("training.epochs=2", "training.batch_size=256", "folds.count=2")
NARROW = ("items.text_dim=4", "items.image_dim=4")
Events = list[tuple[str, Progress | None]]


def recipe(*settings: str, name: str = "din_mha_demo") -> Recipe:
    return load_recipe(name, (*SETTINGS, *settings))


def names(found: Recipe) -> set[str]:
    return {v.name for v in variants(found)}


def variant(found: Recipe, name: str) -> Variant:
    (chosen,) = [v for v in variants(found) if v.name == name]
    return chosen


def planned(data: ChallengeData, found: Recipe, only: tuple[str, ...] = ()) -> Ablation:
    """An ablation that is worked off in this process."""
    made = plan_ablation(found, data, LocalExecutor("cpu", 1), only)
    resources = Resources(("cpu",), 1, 1, "CPU")
    plans = {name: replace(plan, resources=resources) for name, plan in made.plans.items()}
    return replace(made, base=replace(made.base, resources=resources), plans=plans)


@pytest.mark.parametrize("path", tuple(shipped_recipes()), ids=lambda p: p.stem)
def test_every_variant_of_a_shipped_recipe_is_a_valid_recipe_that_differs(path: Path) -> None:
    base = load_recipe(str(path))
    found = variants(base)
    contents = [base.content(), *(base.changed(v.settings).content() for v in found)]
    assert all(a != b for i, a in enumerate(contents) for b in contents[:i])
    assert found
    assert len({v.name for v in found}) == len(found)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", v.name) for v in found)
    assert BASE not in names(base)


def test_the_shipped_recipes_show_every_model() -> None:
    assert {load_recipe(str(p)).model_name for p in shipped_recipes()} == set(MODELS)


def test_a_variant_changes_what_it_says_and_what_that_entails_alone() -> None:
    base = recipe()
    for each in variants(base):
        varied = base.changed(each.settings)
        before, after = base.resolved(), varied.resolved()
        changed = {
            f"{block}.{key}"
            for block in ("model", "items", "codes", "signals", "augmentation", "training", "folds")
            for key in before[block]
            if before[block][key] != after[block][key]
        }
        assert each.key in changed
        assert changed <= set(each.settings) | set(varied.unused())
        assert before["seeds"] == after["seeds"]


def test_the_papers_recipe_has_a_variant_of_all_that_its_issue_names() -> None:
    given = {"item_info", "v1", "v2", "v3", "e4", "none"}
    made = {"text", "image", "joint_pca", "raw", "factors", "aligned", "blocks"}
    off = {"se-off", "interaction-off", "history-off", "levels-off", "tags-off", "item_id-off"}
    assert names(recipe()) == off | {f"items-{e}" for e in given | made} | {
        "attention-mlp",
        "attention-none",
        "pooling-sum",
        "fusion-sum",
        "fusion-gated",
        "fusion-cross",
        "modality_dropout-on",
        "similarity_histogram-on",
        "codes-text",
        "codes-image",
        "codes-aligned",
        "codes-factors",
        "codes-embedding",
        "signals-all",
        "augmentation-on",
    }


def test_what_is_on_is_switched_off_and_what_is_off_on() -> None:
    found = recipe(
        "signals.kinds=[cosine, ease]", "augmentation.per_user=2", "model.modality_dropout=0.3"
    )
    assert names(found) >= {"signals-none", "augmentation-off", "modality_dropout-off"}
    assert variant(found, "signals-none").what == "signals.kinds: cosine, ease -> none"
    assert "se-on" in names(recipe("model.se=false"))


def test_codes_have_variants_of_what_they_are_made_of_and_how_they_are_used() -> None:
    found = recipe("codes.of=text")
    assert names(found) >= {"codes-none", "codes-image", "code_fusion-concat", "code_prefix-on"}
    assert not {n for n in names(recipe()) if n.startswith("code_")}
    assert variant(found, "codes-none").what == "codes.of: text -> none"
    assert not {n for n in names(load_recipe("qin")) if n.startswith("codes")}


def test_a_switch_that_does_nothing_is_no_variant() -> None:
    assert not {"se-on", "se-off", "signals-all"} & names(load_recipe("qin"))
    assert "max_pool-off" in names(load_recipe("transformer_dcn"))
    assert "batch_norm-off" not in names(load_recipe("transformer_dcn"))
    blind = names(recipe("model.use_history=false"))
    assert not {n for n in blind if n.startswith(("attention", "pooling", "inter", "signals"))}
    assert "pooling-sum" not in names(recipe("model.interaction=false"))
    assert not {n for n in names(load_recipe("din_official")) if n.startswith("fusion")}
    assert names(load_recipe("history_length_only")) == {"augmentation-on"}


def test_a_modality_keeps_its_dimensions_from_one_embedding_to_the_next() -> None:
    apart = recipe("items.text_dim=8", "items.image_dim=4")
    assert variant(apart, "items-joint_pca").settings["items.dim"] == 12
    assert apart.changed(variant(apart, "items-text").settings).items.text_dim == 8
    joint = recipe("items.embedding=joint_pca", "items.dim=12")
    assert joint.changed(variant(joint, "items-separate_pca").settings).items.text_dim == 6
    assert joint.changed(variant(joint, "items-raw").settings).items.whiten is False


def test_blocks_and_factors_are_as_wide_as_the_recipes_own_vectors() -> None:
    apart = recipe("items.text_dim=8", "items.image_dim=4")
    assert variant(apart, "items-factors").settings["items.factors_dim"] == 12
    blocks = apart.changed(variant(apart, "items-blocks").settings)
    items = blocks.items
    assert (items.factors_dim, items.text_dim, items.image_dim) == (6, 4, 2)
    back = blocks.changed(variant(blocks, "items-separate_pca").settings).items
    assert back.text_dim + back.image_dim == 12
    factors = recipe("items.embedding=factors", "items.factors_dim=12")
    assert variant(factors, "items-joint_pca").settings["items.dim"] == 12


def test_an_item_file_of_ones_own_is_left_for_another_embedding() -> None:
    own = recipe("items.embedding=file", "items.file=mine.parquet")
    assert own.changed(variant(own, "items-v1").settings).items.file is None


def test_what_the_folder_does_not_hold_is_left_out_and_says_why(
    tiny_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_root / "data", tmp_path / "data")
    (tmp_path / "data" / "item_emb.parquet").unlink()
    (tmp_path / "data" / "item_feature.parquet").unlink()
    data = load(tmp_path / "data")
    found = plan_ablation(recipe(name="din_demo"), data, LocalExecutor("cpu", 1), ["items-*"])
    assert set(found.plans) == {"items-none", "items-factors"}
    assert "text or image" in found.left_out["items-aligned"]
    assert found.left_out["items-blocks"] == "the data folder lacks image and text"
    assert "item_emb.parquet" in found.left_out["items-v1"]
    assert "item_feature.parquet" in found.left_out["items-text"]
    assert "item_feature.parquet" in found.left_out["items-raw"]
    with pytest.raises(DataError, match="has no text embedding"):
        plan_ablation(recipe(*NARROW), data, LocalExecutor("cpu", 1))


def test_a_variant_is_not_run_without_a_modality_that_it_is_about(
    tiny_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_root / "data", tmp_path / "data")
    path = tmp_path / "data" / "item_feature.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["img_emb_CLIPRN50"]), path)
    data = load(tmp_path / "data")
    found = plan_ablation(recipe(name="din_demo"), data, LocalExecutor("cpu", 1), ["items-*"])
    assert {"items-text", "items-factors", "items-blocks"} <= set(found.plans)
    for name in ("items-joint_pca", "items-separate_pca", "items-raw"):
        assert found.left_out[name] == "the data folder lacks image"
    found = plan_ablation(
        recipe(), data, LocalExecutor("cpu", 1), ["fusion-sum", "se-off", "items-text"]
    )
    assert set(found.plans) == {"se-off"}
    assert found.left_out == {
        "fusion-sum": "the data folder lacks image",
        "items-text": "its item vectors equal those of base",
    }


def test_vectors_that_are_anothers_by_value_are_trained_once(tiny: ChallengeData) -> None:
    found = plan_ablation(recipe(name="din_demo"), tiny, LocalExecutor("cpu", 1), ["items-v*"])
    assert set(found.plans) == {"items-v1", "items-v2"}
    assert found.left_out == {"items-v3": "its item vectors equal those of base"}


def test_options_that_do_not_go_together_are_found_before_any_training(
    tiny: ChallengeData,
) -> None:
    odd = recipe("model.attention_dim=10", *NARROW)
    with pytest.raises(UsageError, match="does not divide the attention's width"):
        plan_ablation(odd, tiny, LocalExecutor("cpu", 1))
    odd = recipe("model.item_emb_dim=10", "model.attention_dim=null", *NARROW)
    found = plan_ablation(odd, tiny, LocalExecutor("cpu", 1), ["attention-*", "fusion-cross"])
    assert set(found.plans) == {"attention-none", "attention-mlp"}
    assert "does not divide" in found.left_out["fusion-cross"]


def test_variants_are_chosen_by_name_or_pattern(tiny: ChallengeData) -> None:
    some = plan_ablation(
        recipe(), tiny, LocalExecutor("cpu", 1), ["se-off", "fusion-*"], ["*-gated"]
    )
    assert [v.name for v in some.variants] == ["fusion-sum", "fusion-cross", "se-off"]
    assert list(some.runs) == [BASE, "fusion-sum", "fusion-cross", "se-off"]


def test_a_name_that_is_no_variant_is_refused_with_a_suggestion(tiny: ChallengeData) -> None:
    for choice in ({"only": ["se-of"]}, {"skip": ["se-of"]}):
        with pytest.raises(UsageError, match=r"no variant 'se-of' \(did you mean se-off\?\)"):
            plan_ablation(recipe(), tiny, LocalExecutor("cpu", 1), **choice)
    with pytest.raises(UsageError, match="no variant is left"):
        plan_ablation(recipe(), tiny, LocalExecutor("cpu", 1), skip=["*"])


@pytest.fixture(scope="module")
def interrupted(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ablation of two runs that was stopped in the second's first fold."""
    folder = tmp_path_factory.mktemp("runs") / "a.ablate"

    def stop(name: str, event: Progress | FoldActivity | None) -> None:
        if name == "se-off" and isinstance(event, Progress) and event.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ablation(planned(tiny, recipe(), ("se-off",)), folder, False, stop)
    return folder


@pytest.fixture(scope="module")
def resumed(tiny: ChallengeData, interrupted: Path) -> tuple[Path, Events, dict[str, Measured]]:
    """The same ablation gone on with: its folder, what it told, and the costs."""
    events: Events = []
    found = planned(tiny, recipe(), ("se-off",))
    assert finished_runs(found, interrupted, False) == [BASE]

    def hear(name: str, event: Progress | FoldActivity | None) -> None:
        if not isinstance(event, FoldActivity):
            events.append((name, event))

    costs = run_ablation(found, interrupted, False, hear)
    return interrupted, events, costs


@pytest.mark.slow
def test_an_interrupted_ablation_goes_on_where_it_stopped(
    resumed: tuple[Path, Events, dict[str, Measured]],
) -> None:
    folder, events, _ = resumed
    trained = [(name, event) for name, event in events if event is not None]
    assert {name for name, _ in trained} == {"se-off"}
    first = trained[0][1]
    assert (first.fold, first.epoch) == (0, 2)
    assert all((folder / name / "DONE").is_file() for name in (BASE, "se-off"))


@pytest.mark.slow
def test_costs_are_measured_after_all_training(
    resumed: tuple[Path, Events, dict[str, Measured]],
) -> None:
    _, events, costs = resumed
    assert events[-2:] == [(BASE, None), ("se-off", None)]
    assert costs["se-off"].parameters < costs[BASE].parameters


@pytest.mark.slow
def test_a_finished_ablation_trains_and_measures_nothing(
    tiny: ChallengeData, resumed: tuple[Path, Events, dict[str, Measured]]
) -> None:
    folder, _, costs = resumed
    found = planned(tiny, recipe(), ("se-off",))
    assert finished_runs(found, folder, False) == [BASE, "se-off"]
    again = run_ablation(found, folder, False, lambda *event: pytest.fail(f"told {event}"))
    assert again == costs


@pytest.mark.slow
def test_another_recipe_is_refused_unless_forced(
    tiny: ChallengeData, resumed: tuple[Path, Events, dict[str, Measured]]
) -> None:
    other = planned(tiny, recipe("training.learning_rate=0.5"), ("se-off",))
    with pytest.raises(RunError, match="run 'base' exists but differs in recipe"):
        finished_runs(other, resumed[0], False)
    assert finished_runs(other, resumed[0], True) == []


@pytest.mark.slow
def test_a_forced_ablation_that_was_stopped_goes_on_without_force(
    tiny: ChallengeData, resumed: tuple[Path, Events, dict[str, Measured]], tmp_path: Path
) -> None:
    folder = tmp_path / "a.ablate"
    shutil.copytree(resumed[0], folder)
    other = planned(tiny, recipe("training.learning_rate=0.01"), ("se-off",))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ablation(other, folder, True, stop)
    assert not list((folder / "costs").iterdir())
    assert finished_runs(other, folder, False) == []
    with pytest.raises(RunError, match="differs in recipe"):
        finished_runs(planned(tiny, recipe(), ("se-off",)), folder, False)


@pytest.mark.slow
def test_a_run_is_no_folder_for_an_ablation(
    tiny: ChallengeData, resumed: tuple[Path, Events, dict[str, Measured]]
) -> None:
    found = planned(tiny, recipe(), ("se-off",))
    with pytest.raises(RunError, match="is a run; choose another --name"):
        finished_runs(found, resumed[0] / BASE, False)
