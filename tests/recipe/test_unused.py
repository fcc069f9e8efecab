"""No key is silently ignored: what does nothing is refused, with the key that it depends on."""

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner

from mmctr_kit.cli.app import app
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import UsageError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.items.signals import fold_signals
from mmctr_kit.recipe import (
    SIGNAL_KINDS,
    Items,
    Signals,
    load_recipe,
    parse_recipe,
    shipped_recipes,
)
from mmctr_kit.recipe.blocks import ITEM_FILES, ItemEmbedding
from mmctr_kit.recipe.unused import applies, is_off

UNUSED = [
    # recipe, settings beside, the key and its value, the condition
    ("din_official", (), "model.attention_heads=8", "model.attention is mlp", "multihead"),
    ("din_official", (), "model.se_ratio=2", "model.se is false", "model.se=true"),
    ("din_mha_se_pca", (), "model.fusion_heads=2", "model.fusion is concat", "model.fusion=cross"),
    (
        "din_official",
        ("model.use_history=false",),
        "signals.kinds=all",
        "model.use_history is false",
        "model.use_history=true",
    ),
    ("din_mha_se_pca", (), "model.attention_hidden=[8]", "model.attention is multihead", "mlp"),
    ("din_mha_se_pca", (), "model.pooling=mean", "model.interaction is false", "mlp or none"),
    ("din_official", (), "model.attention_dim=32", "model.attention is mlp", "multihead"),
    ("din_official", (), "model.se_fields=item", "model.se is false", "model.se=true"),
    ("target_only", (), "model.attention=multihead", "model.use_history is false", "=true"),
    ("target_only", (), "model.attention_hidden=[8]", "model.use_history is false", "=true"),
    ("target_only", (), "model.interaction=true", "model.use_history is false", "=true"),
    ("din_official", (), "model.fusion=gated", "items.embedding is item_info", "e4 or raw"),
    ("din_official", (), "model.modality_dropout=0.1", "items.embedding is item_info", "raw"),
    ("qin", ("items.embedding=none",), "model.item_emb_dim=8", "is none", "another value"),
    ("qin", (), "signals.kinds=[cosine]", "model.name is qin", "din, gbdt or target"),
    ("history_length_only", (), "items.embedding=text", "model.name is history_length_only", "din"),
    ("history_length_only", (), "items.text_dim=8", "model.name is history_length_only", "din"),
    ("din_official", (), "items.whiten=true", "items.embedding is item_info", "separate_pca"),
    ("din_official", (), "items.dim=8", "items.embedding is item_info", "=joint_pca"),
    ("din_official", (), "items.file=x.parquet", "items.embedding is item_info", "=file"),
    ("gbdt", ("signals.kinds=[cosine]",), "signals.window=5", 'is ["cosine"]', "near, next or all"),
    ("din_official", (), "signals.half_life=3.0", "signals.kinds is []", "ease or all"),
    ("din_official", (), "augmentation.negatives=1", "augmentation.per_user is 0", "another value"),
    ("din_official", (), "training.weight_decay=0.1", "training.optimizer is adam", "=adamw"),
    ("qin", (), "codes.of=text", "model.name is qin", "din or gbdt"),
    ("din_official", (), "codes.size=16", "codes.of is none", "codes.of to another value"),
    ("din_official", (), "model.code_prefix=true", "codes.of is none", "another value"),
    ("din_official", (), "items.factors_dim=8", "codes.of is none", "codes.of=factors"),
    (
        "din_official",
        ("items.embedding=none",),
        "model.similarity_histogram=true",
        "items.embedding is none and codes.of is none",
        "another value",
    ),
    ("gbdt", (), "model.similarity_buckets=5", "histogram is false", "model.similarity_hist"),
    ("din_official", (), "training.user_updates=rows", "model.name is din", "din_target_encoder"),
    ("gbdt", (), "training.batch_size=64", "model.name is gbdt", "din_target_encoder, "),
]
NAMES = ("recipe", "beside", "setting", "because", "remedy")
KEYS = pytest.mark.parametrize(NAMES, UNUSED, ids=str)
SEARCHED = [case for case in UNUSED if not case[2].startswith("items.file")]  # no search may


def expected(setting: str, because: str, remedy: str) -> str:
    key, _, value = setting.partition("=")
    shown = "[" if key == "signals.kinds" else value
    start = re.escape(f"{key}: {shown}") + r".* does nothing while .*"
    return rf"{start}{re.escape(because)}.*; leave it out, or set .*{re.escape(remedy)}"


@KEYS
def test_an_unused_key_of_set_is_refused_with_its_condition(
    recipe: str, beside: tuple[str, ...], setting: str, because: str, remedy: str
) -> None:
    with pytest.raises(UsageError, match=expected(setting, because, remedy)) as refused:
        load_recipe(recipe, (*beside, setting))
    assert "\n" not in str(refused.value)


@KEYS
def test_an_unused_key_of_a_file_is_refused_with_its_condition(
    recipe: str, beside: tuple[str, ...], setting: str, because: str, remedy: str
) -> None:
    content = load_recipe(recipe, beside).resolved()
    key, _, value = setting.partition("=")
    block, name = key.split(".")
    content[block][name] = yaml.safe_load(value)
    with pytest.raises(UsageError, match=expected(setting, because, remedy)):
        parse_recipe(content, "mine.yaml")


@pytest.mark.parametrize(NAMES, SEARCHED, ids=str)
def test_an_unused_key_of_a_search_is_refused_with_its_condition(
    recipe: str, beside: tuple[str, ...], setting: str, because: str, remedy: str
) -> None:
    key, _, value = setting.partition("=")
    content = load_recipe(recipe, beside).resolved()
    content["search"] = {key: {"choice": [yaml.safe_load(value)]}}
    told = rf"search\.{key} does nothing while .*{re.escape(because)}.*{re.escape(remedy)}"
    with pytest.raises(UsageError, match=told):
        parse_recipe(content, "mine.yaml")


@pytest.mark.parametrize("command", ["cv", "tune", "ablate"])
@pytest.mark.parametrize(NAMES, UNUSED[:6], ids=str)
def test_every_command_refuses_an_unused_key_before_it_reads_data(
    command: str,
    recipe: str,
    beside: tuple[str, ...],
    setting: str,
    because: str,
    remedy: str,
    tmp_path: Path,
) -> None:
    sets = [part for each in (*beside, setting) for part in ("--set", each)]
    done = CliRunner().invoke(app, [command, recipe, "--data", str(tmp_path), *sets])
    assert isinstance(done.exception, UsageError)
    assert re.search(expected(setting, because, remedy), str(done.exception))


def test_what_names_no_effect_is_true_of_an_unused_key() -> None:
    for setting in ("signals.kinds=none", "training.weight_decay=0", "items.whiten=false"):
        assert load_recipe("qin", [setting]).content() == load_recipe("qin").content()


def test_a_file_may_give_the_default_of_an_unused_key_and_a_setting_may_not() -> None:
    content = load_recipe("din_official").resolved()
    assert content["model"]["attention_heads"] == 4
    assert parse_recipe(content, "resolved") == load_recipe("din_official")
    with pytest.raises(UsageError, match="attention_heads: 4 does nothing"):
        load_recipe("din_official", ["model.attention_heads=4"])


def test_all_unused_keys_are_named_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        load_recipe("din_official", ["model.se_ratio=2", "items.dim=8"])
    assert str(refused.value).count(" does nothing while ") == 2


def test_a_setting_drops_the_keys_of_the_recipe_that_it_makes_unused() -> None:
    base = load_recipe("din_mha_demo")
    assert (base.model_arguments["attention_dim"], base.items.whiten) == (32, True)
    blind = load_recipe("din_mha_demo", ["model.use_history=false", "items.embedding=item_info"])
    assert blind.model_arguments["attention_dim"] is None
    assert blind.model_arguments["attention"] == "mlp"
    assert (blind.items.text_dim, blind.items.whiten) == (64, False)
    assert blind == base.changed({"model.use_history": False, "items.embedding": "item_info"})


def test_a_setting_that_is_a_block_counts_its_keys_as_given() -> None:
    assert load_recipe("din_mha_demo", ["items={embedding: text}"]).items.text_dim == 64
    with pytest.raises(UsageError, match=r"items\.dim: 128 does nothing"):
        load_recipe("din_mha_demo", ["items={embedding: text, dim: 128}"])


def test_a_search_may_hold_keys_that_only_some_of_its_choices_use() -> None:
    content = load_recipe("din_official").resolved()
    attention = {"model.attention": {"choice": ["mlp", "multihead"]}}
    heads = {"model.attention_heads": {"choice": [2, 4]}}
    assert parse_recipe(content | {"search": attention | heads}, "mine").search is not None
    with pytest.raises(
        UsageError, match=r"attention_heads depends on model\.attention, which must"
    ):
        parse_recipe(content | {"search": heads | attention}, "mine")
    attention = {"model.attention": {"choice": ["mlp", "none"]}}
    with pytest.raises(
        UsageError, match=r"heads does nothing while model\.attention is mlp or none"
    ):
        parse_recipe(content | {"search": attention | heads}, "mine")


@pytest.mark.parametrize("path", list(shipped_recipes()), ids=lambda p: p.stem)
def test_a_shipped_recipe_names_no_unused_key(path: Path) -> None:
    content, recipe = yaml.safe_load(path.read_text()), load_recipe(str(path))
    given = {
        f"{b}.{k}": v
        for b, part in content.items()
        if isinstance(part, dict)
        for k, v in part.items()
    }
    assert given
    assert [k for k in recipe.unused() if k in given and not is_off(given[k])] == []


OTHER = {
    "text_dim": 9,
    "image_dim": 9,
    "dim": 9,
    "whiten": True,
    "normalize": "l2",
    "factors_dim": 9,
    "factors_shrinkage": 1.0,
    "factors_from": "histories",
    "factors_weight": 2.0,
    "aligned_dim": 9,
    "aligned_window": 1,
    "aligned_weight": 2.0,
    "text_weight": 2.0,
    "image_weight": 2.0,
    "blocks": ("text", "aligned", "image", "factors"),
}


@pytest.mark.slow
@pytest.mark.usefixtures("small_alignment")
@pytest.mark.parametrize("embedding", sorted({*get_args(ItemEmbedding)} - {"file", "v2", "v3"}))
def test_a_key_of_items_changes_the_item_table_exactly_if_it_is_used(
    tiny: ChallengeData, embedding: Any
) -> None:
    def table_of(**keys: Any) -> NDArray[np.float32]:
        recipe = load_recipe("din_demo").model_copy(update={"items": Items.model_validate(keys)})
        return ItemFeatures.derive(recipe, tiny).of_users(np.arange(200)).table

    more = {"blocks": OTHER["blocks"][::-1]} if embedding == "blocks" else {}
    base = table_of(embedding=embedding, **more)
    for key in set(Items.model_fields) - {"embedding", *ITEM_FILES}:
        other = table_of(**{"embedding": embedding, **more, key: OTHER[key]})
        used = applies(Items, key, embedding=embedding, **more)
        assert np.array_equal(base, other) != used, key


SIGNALS: dict[str, Any] = {
    "window": 1,
    "half_life": 1.0,
    "shrinkage": 99.0,
    "neighbours": 2,
    "ease_items": 9,
    "ease_l2": 1.0,
}


@pytest.mark.parametrize("kind", SIGNAL_KINDS)
def test_a_key_of_signals_changes_the_signals_exactly_if_it_is_used(
    tiny: ChallengeData, kind: Any
) -> None:
    base = parse_recipe({"name": "x", "model": {"name": "din"}, "signals": {"kinds": [kind]}}, "x")

    def values(**options: Any) -> list[Any]:
        signals = Signals.model_validate({"kinds": [kind], **options})
        rows = np.arange(len(tiny.train))
        examples = {"train": tiny.examples("train", 64)}
        recipe = base.model_copy(update={"signals": signals})
        found = fold_signals(tiny, recipe, rows, examples)["train"]
        assert found is not None
        return [found.position, found.row]

    before = values()
    for key in set(Signals.model_fields) - {"kinds"}:
        after = values(**{key: SIGNALS[key]})
        same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        assert same != applies(Signals, key, kinds=[kind]), key
