"""mmctr_kit.submission.rules: each rule has a run that keeps it and one that breaks it."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.audit.findings import Level
from mmctr_kit.data.contract import GIVEN_EMBEDDINGS, Task
from mmctr_kit.errors import UsageError
from mmctr_kit.models.registry import BOOSTED, MODELS, Entry
from mmctr_kit.recipe import Items, Recipe, load_recipe, shipped_recipes
from mmctr_kit.recipe.blocks import ITEM_FILES
from mmctr_kit.submission.rules import NOT_RULED_ON, RULES, TASK1_MAY_DIFFER, Facts, Rule

BY_ID = {rule.id: rule for rule in RULES}


def fit(name: str = "din_official", *settings: str) -> Facts:
    return Facts("mine", "fit", load_recipe(name, settings), seeds=(0,))


def blend(*sources: str) -> Facts:
    return Facts("mine", "blend", sources=sources)


FILE = ("items.embedding=file", "items.file=my.parquet")
BLOCKS = ("items.embedding=blocks", "items.text_dim=32", "items.image_dim=32")
ROWS = ("augmentation.per_user=2", "augmentation.negatives=1")
CASES: dict[str, tuple[Sequence[Facts], Sequence[tuple[Facts, str]]]] = {
    "blend": (
        [fit(), blend("a"), Facts("mine", "blend", sources=("a",), method="logistic")],
        [
            (blend("a", "b"), "sources is [a, b]"),
            (
                Facts("mine", "blend", sources=("a",), method="stack"),
                "method is stack, a second model",
            ),
        ],
    ),
    "averaged": (
        [fit(), blend("a", "b")],
        [
            (
                Facts("mine", "cv", load_recipe("din_official"), (0,)),
                "kind is cv, folds.count is 5",
            ),
            (Facts("mine", "cv"), "kind is cv"),
            (Facts("mine", "fit", load_recipe("din_official"), (0, 1)), "seeds is [0, 1]"),
        ],
    ),
    "distilled": (
        [fit()],
        [(fit("din_official", "training.teacher=runs/mix"), "training.teacher is runs/mix")],
    ),
    "trees": ([fit("qin"), blend("gbdt")], [(fit("gbdt"), "model.name is gbdt")]),
    "official-din": (
        [fit(), fit("din_official", *FILE), fit("din_official", *ROWS)],
        [
            (fit("qin"), "model.name is qin, officially din"),
            (fit("din_official", "model.se=true"), "model.se is True, officially False"),
            (fit("din_official", "codes.of=text"), "codes.of is text, officially none"),
        ],
    ),
    "given-embedding": (
        [fit("qin", f"items.embedding={given}") for given in GIVEN_EMBEDDINGS],
        [
            (fit(), "items.embedding is item_info"),
            (fit("din_official", "items.embedding=none"), "items.embedding is none"),
            (fit("din_official", *FILE), "items.embedding is file"),
            (fit("din_official", *BLOCKS), "items.embedding is blocks"),
        ],
    ),
    "width": (
        [
            fit(),
            fit("din_mha_se_pca"),
            fit("din_official", "items.embedding=joint_pca"),
            fit("din_official", "items.embedding=factors", "items.factors_dim=128"),
            fit("din_official", *BLOCKS),
        ],
        [
            (fit("din_official", "items.embedding=text"), "items.text_dim is 64"),
            (
                fit("din_official", "items.embedding=image", "items.image_dim=32"),
                "items.image_dim is 32",
            ),
            (
                fit("din_mha_se_pca", "items.text_dim=32"),
                "items.text_dim is 32, items.image_dim is 64",
            ),
            (
                fit("din_official", "items.embedding=joint_pca", "items.dim=64"),
                "items.dim is 64",
            ),
            (fit("din_official", "items.embedding=factors"), "items.factors_dim is 64"),
            (
                fit("din_official", *BLOCKS, "items.factors_dim=32"),
                "items.factors_dim is 32, items.text_dim is 32, items.image_dim is 32",
            ),
            (
                fit("din_official", "items.embedding=raw"),
                "items.embedding is raw, 1792 wide",
            ),
        ],
    ),
    "outside-data": (
        [fit()],
        [
            (fit("din_official", *FILE), "items.embedding is file, items.file is my.parquet"),
            (
                fit("din_official", *BLOCKS, "items.encoded=gone.parquet"),
                "items.encoded is gone.parquet, made by nobody knows which encoder",
            ),
        ],
    ),
    "features": (
        [fit()],
        [(fit("din_official", "signals.kinds=[cosine, pmi]"), "signals.kinds is [cosine, pmi]")],
    ),
    "codes": (
        [fit(), fit("din_official", "model.similarity_histogram=true")],
        [(fit("din_official", "codes.of=embedding"), "codes.of is embedding")],
    ),
    "extra-rows": ([fit()], [(fit("din_official", *ROWS), "augmentation.per_user is 2")]),
    "group-step": (
        [fit(), blend("a", "b")],
        [(Facts("mine", "blend", transductive=True), "transductive is true")],
    ),
    "unchecked": ([fit()], [(Facts("mine", "imported", unchecked="is gone"), "is gone")]),
}
"""Rule -> runs that keep it; runs that break it, each with the key and the value that it names."""


def test_no_rule_is_untested() -> None:
    assert list(CASES) == [rule.id for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_kept_by_some_runs_and_names_the_key_that_breaks_it(rule: Rule) -> None:
    keep, broken = CASES[rule.id]
    assert [list(rule.check(facts)) for facts in keep] == [[] for _ in keep]
    assert [list(rule.check(facts)) for facts, _ in broken] == [[what] for _, what in broken]


def test_a_rule_that_the_page_does_not_say_of_a_task_says_why_it_is_unclear() -> None:
    for rule in RULES:
        assert rule.binds
        assert set(rule.tasks.split()) <= {"said", "unclear", "-"}
        assert bool(rule.doubt) is (False in rule.binds.values())
        assert rule.todo
        assert rule.info.worst is Level.WARN
        assert rule.info.promise.isprintable()


def test_only_what_the_page_says_is_a_rule_of_task2() -> None:
    said = {rule.id for rule in RULES if rule.binds.get(Task.TASK2)}
    of_models = {"blend", "averaged", "distilled", "trees"}
    assert said == of_models | {"given-embedding", "features", "codes"}
    both = {rule.id for rule in RULES if rule.binds.get(Task.BOTH)}
    assert both == {"width", "features"}


def test_trees_are_known_by_their_learner_and_not_by_the_models_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = {**MODELS, "my_trees": Entry(MODELS["gbdt"].target, BOOSTED)}
    monkeypatch.setattr(MODELS, "_entries", entries)
    facts = fit("gbdt", "model.name=my_trees")
    assert list(BY_ID["trees"].check(facts)) == ["model.name is my_trees"]


def test_the_five_settings_the_item_embedding_and_what_no_rule_speaks_of_are_free() -> None:
    settings = (
        "training.learning_rate=0.01",
        "training.batch_size=512",
        "model.mlp_dropout=0.4",
        "training.embedding_regularizer=0.1",
        "training.net_regularizer=0.2",
        *FILE,
        "name=other",
        "seeds=[1, 2]",
        "folds.count=3",
        "training.epochs=9",
        "training.schedule=cosine",
        "training.holdout=0.2",
        "training.snapshot=last",
        "training.stop_at=0.5",
    )
    changed, official = fit("din_official", *settings), fit()
    assert changed.recipe is not None
    assert official.recipe is not None
    for key in TASK1_MAY_DIFFER:
        assert changed.recipe.values()[key] != official.recipe.values()[key]
    assert list(BY_ID["official-din"].check(changed)) == []


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("model.attention_dropout=0.1", "model.attention_dropout is 0.1, officially 0.0"),
        ("model.mlp_hidden=[8]", "model.mlp_hidden is [8], officially [1024, 512, 256]"),
        ("model.batch_norm=false", "model.batch_norm is False, officially True"),
        ("training.max_history=20", "training.max_history is 20, officially 64"),
        ("training.optimizer=adamw", "training.optimizer is adamw, officially adam"),
        ("training.clip_norm=null", "training.clip_norm is None, officially 10.0"),
        ("training.average=ema", "training.average is ema, officially none"),
        ("training.label_smoothing=0.1", "training.label_smoothing is 0.1, officially 0.0"),
    ],
)
def test_any_other_setting_breaks_task1_and_is_named(setting: str, text: str) -> None:
    assert list(BY_ID["official-din"].check(fit("din_official", setting))) == [text]


def test_what_task1_does_not_rule_on_are_keys_of_a_recipe() -> None:
    keys = load_recipe("din_official").values()
    for block in (*TASK1_MAY_DIFFER, *NOT_RULED_ON):
        assert block in keys or any(key.startswith(f"{block}.") for key in keys)


@pytest.mark.parametrize("key", sorted(Items.model_fields.keys() - {"embedding"}))
def test_a_recipe_cannot_change_a_given_vector_so_it_is_used_as_given(key: str) -> None:
    """Else ``given-embedding`` would have to look at the key."""
    value = {
        **dict.fromkeys(ITEM_FILES, "x.parquet"),
        "whiten": "true",
        "normalize": "l2",
        "factors_from": "histories",
        "blocks": "[text]",
    }
    setting = f"items.{key}={value.get(key, 7)}"
    with pytest.raises(UsageError, match="does nothing"):
        fit("din_official", "items.embedding=e4", setting)


def shipped() -> list[Recipe]:
    return [load_recipe(str(path)) for path in shipped_recipes()]


@pytest.mark.parametrize("recipe", shipped(), ids=lambda recipe: recipe.name)
def test_as_one_network_a_shipped_recipe_breaks_only_what_its_keys_say(recipe: Recipe) -> None:
    facts = Facts(recipe.name, "fit", recipe, recipe.seeds)
    broken = {rule.id for rule in RULES if list(rule.check(facts))}
    trees = recipe.model_name == "gbdt"
    assert ("trees" in broken) is trees
    official = {"din_official", "din_workshop", "din_task1_demo"}
    assert ("official-din" in broken) is (recipe.name not in official)
    assert ("given-embedding" in broken) is (recipe.items.embedding not in GIVEN_EMBEDDINGS)
    assert ("features" in broken) is bool(recipe.signals.kinds)
    assert ("extra-rows" in broken) is bool(recipe.augmentation.per_user)
    assert ("codes" in broken) is (recipe.codes.of != "none")
    always = {"trees", "official-din", "given-embedding", "features", "width"}
    assert broken <= always | {"extra-rows", "codes"}


@pytest.mark.parametrize(
    ("encoders", "broken"),
    [
        ({"text": ("words", "built-in"), "image": ("colours", "built-in")}, None),
        ({"text": ("words", "built-in"), "image": ("clip", "dual")}, "made by clip"),
        ({"text": ("e5", "text"), "image": ("clip", "dual")}, "made by e5 and clip"),
        ({}, "made by nobody knows which encoder"),
    ],
)
def test_a_file_of_vectors_says_which_encoder_is_to_be_checked(
    tmp_path: Path, encoders: dict[str, tuple[str, str]], broken: str | None
) -> None:
    said = {m: {"encoder": name, "kind": kind} for m, (name, kind) in encoders.items()}
    path = tmp_path / "encoded.parquet"
    table = pa.table({"item_id": [1]}).replace_schema_metadata({"mmctr_kit": json.dumps(said)})
    pq.write_table(table, path)
    facts = fit("din_official", *BLOCKS, f"items.encoded={path}")
    (rule,) = [rule for rule in RULES if rule.id == "outside-data"]
    found = list(rule.check(facts))
    assert found == ([] if broken is None else [f"items.encoded is {path}, {broken}"])
