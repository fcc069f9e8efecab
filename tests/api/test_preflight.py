"""A recipe with settings, from Python and from the command line."""

import pytest

import mmctr_kit
from mmctr_kit.api.preflight import (
    load_recipe,
    load_to_train,
    names_of,
    require_count,
    with_first,
)
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import DataError, UsageError


def test_a_recipe_with_settings_is_the_recipe_of_the_command_line() -> None:
    loaded = mmctr_kit.load_recipe("din_demo")
    changed = {"training.epochs": 3, "model.mlp_hidden": [32], "items.embedding": "v3"}
    by_name = mmctr_kit.load_recipe("din_demo", set=changed)
    assert mmctr_kit.load_recipe(loaded, set=changed) == by_name
    assert by_name.training.epochs == 3


@pytest.mark.parametrize("value", [1e-5, 3e-7, 1e20])
def test_a_mapping_gives_numbers_that_json_writes_without_a_point(value: float) -> None:
    search = {"training.learning_rate": {"choice": [0.001, value]}}
    recipe = load_recipe("din_demo", {"training.learning_rate": 1e-5, "search": search})
    assert recipe.search is not None
    assert recipe.search["training.learning_rate"].choice == (0.001, value)
    assert recipe.training.learning_rate == 1e-5


def test_a_mapping_gives_names_of_any_letters() -> None:
    name = "items-\U0001f600.parquet"
    recipe = load_recipe("din_demo", {"items.embedding": "file", "items.file": name})
    assert recipe.items.file == name


def test_a_count_below_one_and_a_single_name_are_refused() -> None:
    for wrong in (0, -1, 1.5):
        with pytest.raises(UsageError, match="jobs: expected a whole number from 1 on"):
            require_count(jobs=wrong)
    require_count(jobs=None, trials=1)
    with pytest.raises(UsageError, match="only: expected a list, found 'tags-off'"):
        names_of("tags-off", "only")
    assert names_of(["tags-off"], "only") == ["tags-off"]


def test_settings_that_come_first_may_be_overridden() -> None:
    assert with_first({"a.b": 1}, {"c": 2}) == {"a.b": 1, "c": 2}
    assert with_first({"a.b": 1}, {"a.b": 2}) == {"a.b": 2}
    assert with_first({"a.b": 1}, ["c=2"]) == ["a.b=1", "c=2"]


def test_data_split_by_time_is_warned_of_once_if_folds_are_by_user_and_strict_refuses_it(
    timed: ChallengeData,
) -> None:
    by_user, by_time = (load_recipe("din_demo", [f"folds.by={by}"]) for by in ("user", "time"))
    told: list[ProgressEvent] = []
    load_to_train(timed, told.append, [by_user, by_user])
    assert [event.kind for event in told] == ["warning"]
    assert "folds.by=time" in told[0].text
    load_to_train(timed, told.append, [by_time], strict=True)
    load_to_train(timed, told.append)  # a single fit has no folds
    assert len(told) == 1
    with pytest.raises(DataError, match=r"folds.by is user: .*; use --set folds.by=time"):
        load_to_train(timed, told.append, [by_time, by_user], strict=True)
