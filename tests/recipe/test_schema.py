"""A recipe is closed: what it says is what runs, and every mistake in it is one line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import UsageError
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import (
    Recipe,
    find_recipe,
    load_recipe,
    parse_recipe,
    recipe_folder,
    shipped_recipes,
)

SHIPPED = list(shipped_recipes())
LEAST: dict[str, Any] = {"name": "x", "model": {"name": "din"}}


def least(**more: Any) -> dict[str, Any]:
    return {**LEAST, **more}


def from_text(folder: Path, text: str, *settings: str) -> Recipe:
    path = folder / "r.yaml"
    path.write_text(text)
    return load_recipe(str(path), settings)


def test_recipes_are_shipped() -> None:
    assert SHIPPED
    assert [p for p in SHIPPED if p.parent != recipe_folder()]
    assert len({p.stem for p in SHIPPED}) == len(SHIPPED)
    assert set(recipe_folder().rglob("*.y*ml")) == set(SHIPPED)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_is_valid_under_its_own_name_and_shows_its_command(path: Path) -> None:
    recipe = load_recipe(str(path))
    assert recipe.name == path.stem
    assert load_recipe(path.stem) == recipe
    header = path.read_text().partition("\nname:")[0].splitlines()
    assert all(line.startswith("#") for line in header)
    assert re.fullmatch(r"# \S.*\.", header[0])
    commands = [line for line in header if "mmctr-kit cv" in line]
    assert re.fullmatch(rf"#   mmctr-kit cv {re.escape(path.stem)} --data \S+", commands[0])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_the_resolved_recipe_parses_to_itself(path: Path) -> None:
    recipe = load_recipe(str(path))
    for content in (recipe.resolved(), yaml.safe_load(recipe.to_yaml())):
        again = parse_recipe(content, "again")
        assert again == recipe
        assert again.resolved() == recipe.resolved()


def test_the_resolved_recipe_holds_every_value() -> None:
    resolved = parse_recipe(LEAST, "x").resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    assert set(resolved) == set(Recipe.model_fields) - {"search"}
    assert resolved["training"]["epochs"] == 5
    assert resolved["model"]["attention_hidden"] == [512, 256]


@given(
    rate=st.floats(1e-300, 1e300), name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True)
)
def test_odd_numbers_and_names_survive_yaml(rate: float, name: str) -> None:
    recipe = parse_recipe(least(name=name, training={"learning_rate": rate}), "x")
    assert parse_recipe(yaml.safe_load(recipe.to_yaml()), "x") == recipe


def test_model_arguments_are_the_options_without_the_name() -> None:
    recipe = parse_recipe(least(model={"name": "din", "mlp_hidden": [8]}), "x")
    assert recipe.model_name == "din"
    assert recipe.model_arguments["mlp_hidden"] == (8,)
    assert "name" not in recipe.model_arguments


UNKNOWN = [
    ({"trainign": {}}, "unknown key trainign (did you mean training?)"),
    (
        {"model": {"name": "din", "mlp_hiden": [8]}},
        "unknown key model.mlp_hiden (did you mean mlp_hidden?)",
    ),
    ({"items": {"embeding": "v1"}}, "unknown key items.embeding (did you mean embedding?)"),
    ({"training": {"epoch": 3}}, "unknown key training.epoch (did you mean epochs?)"),
    ({"folds": {"cout": 3}}, "unknown key folds.cout (did you mean count?)"),
    ({"qqqq": 1}, "unknown key qqqq"),
]


@pytest.mark.parametrize(("more", "expected"), UNKNOWN, ids=lambda v: str(v)[:30])
def test_an_unknown_key_is_refused_at_every_level_with_a_suggestion(
    more: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_recipe(least(**more), "r.yaml")
    assert str(caught.value).startswith("r.yaml: ")
    assert expected in str(caught.value)


NEAR = [
    ("items.embedding=e5", "found 'e5' (did you mean e4?)"),
    ("items.embedding=seperate_pca", "(did you mean separate_pca?)"),
    ("signals.kinds=al", "signals.kinds: expected all, none or a list of cosine, "),
    ("signals.kinds=al", "found 'al' (did you mean all?)"),
    ("signals.kinds=cosine", "(did you mean [cosine]?)"),
    ("signals.kinds=[cosin]", "found 'cosin' (did you mean cosine?)"),
    ("model.name=dinn", "model.name: expected one of din, "),
    ("model.name=dinn", "found 'dinn' (did you mean din?)"),
    ("training.batch_size=aut", "expected a whole number, or auto; found 'aut' (did you mean auto"),
    ("training.snapshot=bst", "expected one of best, last; found 'bst' (did you mean best?)"),
    ("model.attention=multihed", "(did you mean multihead?)"),
]


@pytest.mark.parametrize(("setting", "expected"), NEAR)
def test_a_value_near_a_known_one_is_refused_with_it(setting: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("din_demo", [setting])
    assert expected in str(caught.value)
    assert "{" not in str(caught.value)  # not the whole block


WRONG = [
    ({"name": "a b"}, "name: "),
    ({"name": "../up"}, "name: "),
    ({"name": 3}, "name: "),
    ({"name": "x\n"}, "name: "),
    ({"model": "din"}, "model: expected a name: one of din, "),
    ({"model": None}, "model: expected a name: one of din, "),
    ({"model": {}}, "model: expected a name: one of din, "),
    ({"model": {"name": ["din"]}}, "model.name: expected one of din, "),
    ({"model": {"name": {}}}, "model.name: expected one of din, "),
    ({"model": {"name": None}}, "model.name: expected one of din, "),
    (
        {"model": {"name": "din", "mlp_hidden": []}},
        "model.mlp_hidden: expected at least 1 in the list",
    ),
    ({"model": {"name": "din", "mlp_hidden": [8, 0]}}, "model.mlp_hidden.1: "),
    (
        {"model": {"name": "din", "mlp_hidden": 8}},
        "model.mlp_hidden: expected a list; found 8",
    ),
    ({"folds": 2}, "folds is a block of count, seed; found 2"),
    ({"training": {"epochs": "abc"}}, "training.epochs: expected a whole number; found"),
    ({"model": {"name": "din", "mlp_dropout": 1}}, "model.mlp_dropout: "),
    ({"model": {"name": "din", "mlp_activation": "rel"}}, "model.mlp_activation: "),
    ({"model": {"name": "din", "batch_norm": 3}}, "model.batch_norm: "),
    ({"items": None}, "items is a block of "),
    ({"items": {"embedding": "v5"}}, "items.embedding: "),
    ({"items": {"embedding": "file"}}, "items.file is missing: "),
    ({"items": {"file": "x.parquet"}}, "items.file: x.parquet does nothing while items.embedding"),
    ({"training": [1]}, "training is a block of "),
    ({"training": {"epochs": 0}}, "training.epochs: "),
    ({"training": {"epochs": 2.5}}, "training.epochs: "),
    ({"training": {"epochs": True}}, "training.epochs: true and false"),
    ({"training": {"epochs": "many"}}, "training.epochs: "),
    ({"training": {"learning_rate": float("nan")}}, "training.learning_rate: "),
    ({"training": {"learning_rate": float("inf")}}, "training.learning_rate: "),
    ({"training": {"learning_rate": 0}}, "training.learning_rate: "),
    ({"training": {"batch_size": -1}}, "training.batch_size: "),
    ({"training": {"batch_size": "big"}}, "training.batch_size: "),
    ({"training": {"clip_norm": 0}}, "training.clip_norm: "),
    ({"training": {"holdout": 0.6}}, "training.holdout: "),
    ({"training": {1: 2}}, "training.1: "),
    ({"folds": {"count": 1}}, "folds.count: "),
    ({"folds": {"seed": 2**63}}, "folds.seed: "),
    ({"seeds": []}, "seeds: "),
    ({"seeds": 3}, "seeds: "),
    ({"seeds": [0, -1]}, "seeds.1: "),
    ({"seeds": [True]}, "seeds: true and false"),
    ({"seeds": [4, 4]}, "seeds holds a seed twice"),
    ({1: 2}, "1: "),
]


@pytest.mark.parametrize(("more", "expected"), WRONG, ids=lambda v: str(v)[:40])
def test_a_wrong_value_is_one_line_that_names_its_key(more: dict[Any, Any], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_recipe({**LEAST, **more}, "r.yaml")
    assert f"r.yaml: {expected}" in str(caught.value) or expected in str(caught.value)
    assert "\n" not in str(caught.value)
    for word in ("union", "constrained", "Input", "valid ", "should", "Value error"):
        assert word not in str(caught.value).removeprefix("r.yaml")


@pytest.mark.parametrize("key", ["name", "model"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(UsageError, match=f"^r: {key} is missing$"):
        parse_recipe({k: v for k, v in LEAST.items() if k != key}, "r")


def test_all_mistakes_are_named_at_once() -> None:
    wrong = least(
        training={"epoch": 1, "warmup": 2}, model={"name": "din", "x": 1}, folds={"count": 0}
    )
    with pytest.raises(UsageError) as caught:
        parse_recipe(wrong, "r")
    for place in ("training.epoch ", "training.warmup", "model.x", "folds.count"):
        assert str(caught.value).count(place) == 1


TEXTS = {
    "empty": "",
    "a list": "- name: x",
    "broken": "name: [x",
    "a tab": "name: x\nmodel:\n\tname: din\n",
    "a python object": "name: !!python/object:os.system x",
    "two documents": "name: x\n---\nname: y\n",
    "a list as key": "? [a]\n: 1\n",
    "a key twice": "name: x\nname: y\nmodel: {name: din}\n",
    "a nested key twice": "name: x\nmodel: {name: din}\ntraining: {epochs: 3, epochs: 4}\n",
    "a block twice": "name: x\nmodel: {name: din}\nfolds: {count: 3}\nfolds: {seed: 1}\n",
    "a list in itself": "name: x\nmodel: {name: din}\nseeds: &a [*a]\n",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_that_is_no_recipe_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"r\.yaml: ") as caught:
        from_text(tmp_path, TEXTS[text])
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_is_absent_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    with pytest.raises(UsageError, match="no recipe file at"):
        load_recipe(str(path))
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(UsageError, match="not readable YAML"):
        load_recipe(str(path))


def test_a_name_that_is_none_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"did you mean din_official\?\); shipped: .*din_demo"):
        load_recipe("din_oficial")
    assert find_recipe("din_official").stem == "din_official"


YAML = "name: x\nmodel: {name: din}\n"


@pytest.mark.parametrize(
    ("setting", "place", "value"),
    [
        ("training.epochs=7", ("training", "epochs"), 7),
        ("training.learning_rate=1e-4", ("training", "learning_rate"), 1e-4),
        ("training.batch_size=auto", ("training", "batch_size"), "auto"),
        ("training.clip_norm=null", ("training", "clip_norm"), None),
        ("model.mlp_hidden=[8, 4]", ("model", "mlp_hidden"), [8, 4]),
        ("model.batch_norm=false", ("model", "batch_norm"), False),
        ("seeds=[3,1,2]", ("seeds",), [3, 1, 2]),
        ("name=y", ("name",), "y"),
        (" folds.count = 3", ("folds", "count"), 3),
        ("folds={count: 3, seed: 9}", ("folds", "seed"), 9),
    ],
)
def test_set_overrides_any_key(
    tmp_path: Path, setting: str, place: tuple[str, ...], value: Any
) -> None:
    found: Any = from_text(tmp_path, YAML, setting).resolved()
    for part in place:
        found = found[part]
    assert found == value


def test_several_settings_apply_in_order_and_leave_the_rest(tmp_path: Path) -> None:
    text = YAML + "training: {epochs: 3, warmup: 0.5}\n"
    recipe = from_text(tmp_path, text, "training.epochs=4", "training.epochs=6")
    assert (recipe.training.epochs, recipe.training.warmup) == (6, 0.5)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("training.epochs", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("training.epoch=3", "unknown key training.epoch (did you mean epochs?)"),
        ("trainng.epochs=3", "unknown key trainng (did you mean training?)"),
        ("training..epochs=3", "unknown key training."),
        ("training.epochs=x", "training.epochs: "),
        ("training.epochs=true", "training.epochs: "),
        ("training.epochs=", "training.epochs: "),
        ("training.epochs.deep=1", "training.epochs"),
        ("model.mlp_hidden=[8", "--set model.mlp_hidden=[8: "),
        ("model.mlp_hidden=[8, 0]", "model.mlp_hidden.1: "),
        ("model.name=dim", "; found 'dim' (did you mean din?)"),
        ("model=din", "model: expected a name: one of din, "),
        ("name.x=1", "--set name.x=1: name is str, not a block of keys"),
        ("seeds=1,2", "seeds: "),
        ("seeds.0=1", "seeds: "),
        ("folds={count: 3, count: 4}", "--set folds={count: 3, count: 4}: key count twice"),
    ],
)
def test_set_goes_through_the_same_validation(tmp_path: Path, setting: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_text(tmp_path, YAML, setting)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def _leaves(content: Any, place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(content, dict):
        return [leaf for k, v in content.items() for leaf in _leaves(v, (*place, k))]
    return [place]


def _changed(content: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    copy = json.loads(json.dumps(content))
    block = copy
    for part in place[:-1]:
        block = block[part]
    block[place[-1]] = "changed"
    return dict(copy)


def test_the_fingerprint_changes_with_every_value_and_not_with_the_order_of_keys() -> None:
    resolved = load_recipe("din_official").resolved()
    base = fingerprint(resolved)
    backwards = {
        k: dict(reversed(v.items())) if isinstance(v, dict) else v for k, v in resolved.items()
    }
    assert fingerprint(dict(reversed(backwards.items()))) == base
    places = _leaves(resolved)
    assert len(places) > 25
    assert len({fingerprint(_changed(resolved, p)) for p in places} | {base}) == len(places) + 1


def test_where_the_rows_lie_is_none_of_what_a_run_is_known_by() -> None:
    recipes = [load_recipe("din_demo", (f"training.data_on={d}",)) for d in ("auto", "host")]
    assert recipes[0].content() == recipes[1].content()
    assert recipes[0].resolved() != recipes[1].resolved()


def test_the_fingerprint_keeps_the_order_of_values_and_the_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len({fingerprint([12, 3]), fingerprint([1, 23]), fingerprint([3, 12])}) == 3
    assert fingerprint("a", "b") != fingerprint("b", "a")
    before = fingerprint("a")
    monkeypatch.setattr("mmctr_kit.data.hashing.__version__", "0.0.0")
    assert fingerprint("a") != before


def test_a_recipe_cannot_be_changed() -> None:
    recipe = parse_recipe(LEAST, "x")
    with pytest.raises(ValueError, match="frozen"):
        recipe.training.epochs = 3  # type: ignore[misc]


def test_every_model_has_a_shipped_recipe() -> None:
    assert {load_recipe(str(p)).model_name for p in SHIPPED} == set(MODELS)


def test_a_setting_of_the_command_line_is_not_blamed_on_the_file_alone() -> None:
    with pytest.raises(UsageError, match=r"din_demo\.yaml with --set training\.epochs=few: "):
        load_recipe("din_demo", ["training.epochs=few"])
