"""Whether a study's name is free, told before anything is loaded."""

from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.files import read_json, write_json
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.tuning.conflict import require_study
from mmctr_kit.tuning.folder import StudyFolder
from mmctr_kit.tuning.heartbeat import heartbeat
from mmctr_kit.tuning.study import StudyPlan, begin_study


@pytest.fixture
def begun(plan: StudyPlan, tmp_path: Path) -> StudyFolder:
    return begin_study(plan, tmp_path / "small.study", False)[0]


def with_search(recipe: Recipe, changed: dict[str, Any]) -> Recipe:
    assert recipe.search is not None
    search = {key: values.as_plain() for key, values in recipe.search.items()} | changed
    kept = {key: values for key, values in search.items() if values is not None}
    return parse_recipe({**recipe.resolved(), "search": kept}, "other")


def test_a_name_is_free_for_its_own_study_and_where_nothing_is(
    begun: StudyFolder, small: Recipe, tmp_path: Path
) -> None:
    for force in (False, True):
        require_study(begun.path, small, force)
        require_study(tmp_path / "new.study", small, force)


def test_what_the_data_took_out_of_a_search_is_no_difference(
    begun: StudyFolder, small: Recipe
) -> None:
    settings = read_json(begun.path / "settings.json")
    search = settings["search"]
    del search["items.image_dim"]
    search["items.embedding"] = {"choice": ["text"]}
    search["items.text_dim"]["int"] = [2, 12]
    write_json(begun.path / "settings.json", settings)
    require_study(begun.path, small, False)


@pytest.mark.parametrize(
    "changed",
    [
        {"training.epochs": {"int": [1, 4]}},
        {"training.epochs": None},
        {"items.image_dim": None},
        {"training.batch_size": {"choice": [64, 128]}},
    ],
    ids=str,
)
def test_another_search_is_refused_without_its_data(
    begun: StudyFolder, small: Recipe, changed: dict[str, Any]
) -> None:
    with pytest.raises(RunError, match=rf"differs in search \({next(iter(changed))}"):
        require_study(begun.path, with_search(small, changed), False)
    require_study(begun.path, with_search(small, changed), True)


def test_another_recipe_is_told_without_what_follows_from_it(
    begun: StudyFolder, small: Recipe
) -> None:
    other = small.changed({"training.learning_rate": 0.5})  # and so another search
    with pytest.raises(RunError) as refused:
        require_study(begun.path, other, False)
    told = "(training.learning_rate: 0.01 there, 0.5 now)"
    assert str(refused.value) == (
        f"study 'small.study' exists but differs in recipe {told}; choose another --name, or "
        "--force to replace it"
    )


def test_a_study_at_work_is_not_replaced(begun: StudyFolder, small: Recipe) -> None:
    with (
        heartbeat(begun.heartbeats),
        pytest.raises(RunError, match="is at work; stop it before --force"),
    ):
        require_study(begun.path, small, True)


def test_a_folder_that_is_no_study_is_left_alone(tmp_path: Path, small: Recipe) -> None:
    for force in (False, True):
        with pytest.raises(RunError, match="exists and is no study"):
            require_study(tmp_path, small, force)
