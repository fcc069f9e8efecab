"""``mmctr-kit recipes``: the list names every shipped recipe, and one is printed as it is."""

import json

import pytest
import yaml

from mmctr_kit.recipe import find_recipe, load_recipe, shipped_recipes
from tests.cli.conftest import mistake, run


def test_the_list_has_every_shipped_recipe_within_80_columns() -> None:
    shown = run("recipes").output.splitlines()
    assert {path.stem for path in shipped_recipes()} <= {line.split()[0] for line in shown}
    assert max(map(len, shown)) <= 80
    listed = json.loads(run("recipes", "--json").stdout)
    assert {entry["name"] for entry in listed} == {path.stem for path in shipped_recipes()}


def test_the_keys_are_explained_within_80_columns_and_as_json() -> None:
    shown = run("recipes", "din_demo", "--keys").output
    assert max(map(len, shown.splitlines())) <= 80
    assert "\ntraining.ema_decay: 0.99\n    takes a number, more than 0, less than 1\n" in shown
    assert "    Does nothing here; it would if training.average is ema.\n" in shown
    listed = {
        key["key"]: key for key in json.loads(run("recipes", "din_demo", "--keys", "--json").output)
    }
    assert listed["training.ema_decay"]["applies_to"] == "training.average is ema"
    assert set(load_recipe("din_demo").values()) <= set(listed)


def test_keys_need_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert mistake(capsys, "recipes", "--keys") == (
        2,
        "error: NAME is missing: mmctr-kit recipes NAME --keys explains its keys\n",
    )
    assert mistake(capsys, "recipes", "din_demo", "--only", "training") == (
        2,
        "error: --only chooses among the keys that --keys explains; add --keys\n",
    )


def test_the_keys_of_one_block_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("recipes", "din_demo", "--keys", "--only")
    listed = json.loads(run(*asked, "training", "--only", "model.*dim", "--json").output)
    blocks = {key["key"].partition(".")[0] for key in listed}
    assert blocks == {"training", "model"}
    assert "model.embedding_dim" in {key["key"] for key in listed}
    assert mistake(capsys, *asked, "trainin") == (
        2,
        "error: din_demo has no key like 'trainin' (did you mean training?)\n",
    )


def test_a_recipe_with_settings_is_printed_resolved() -> None:
    shown = run("recipes", "din_demo", "--set", "training.epochs=7").output
    assert yaml.safe_load(shown)["training"]["epochs"] == 7


def test_a_recipe_is_printed_to_copy_or_resolved_as_json() -> None:
    assert run("recipes", "din_demo").output == find_recipe("din_demo").read_text("utf-8")
    resolved = json.loads(run("recipes", "din_demo", "--json").stdout)
    assert resolved == load_recipe("din_demo").resolved()


def test_a_family_is_listed_with_what_each_member_adds() -> None:
    members = json.loads(run("recipes", "best", "--json").stdout)
    assert [member["run"] for member in members][:2] == ["best_gbdt", "best_din_ids"]
    shown = run("recipes", "best").stdout
    assert all(member["adds"] in shown for member in members)
    assert "best (" in run("recipes").stdout
