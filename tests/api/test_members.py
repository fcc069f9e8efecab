"""Members of a family take the settings that they have, and are suited to small data."""

import pytest

from mmctr_kit.api.members import load_members, suit
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.cv.plan import require_classes
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.recipe import Recipe

NAMES = ("gbdt", "best_din", "best_transformer")


def loaded(*settings: str) -> dict[str, Recipe]:
    return load_members(NAMES, settings, lambda _: None)


def test_a_setting_is_for_the_members_that_have_its_key_and_a_note_says_which() -> None:
    events = list[ProgressEvent]()
    settings = ("model.attention_dim=64", "training.max_history=64", "training.min_steps=1")
    recipes = load_members(NAMES, settings, events.append)
    assert recipes["best_din"].model_arguments["attention_dim"] == 64
    assert [event.text for event in events] == [
        "--set model.attention_dim=64 is for best_din; not for gbdt, best_transformer",
        "--set training.min_steps=1 is for best_din, best_transformer; not for gbdt",
    ]


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("model.attention_dm=64", r"model.attention_dm \(did you mean model.attention_dim\?\)"),
        ("epochs=3", r"has the key epochs \(did you mean training.epochs\?\)"),
        ("nonsense", "expected KEY=VALUE"),
        ("model.leaves=no", "gbdt"),
        ("seeds=[1]", "chooses its members' seeds"),
    ],
)
def test_a_key_that_all_lack_and_a_wrong_value_are_refused(setting: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        loaded(setting)


def test_members_keep_folds_and_holdout_that_the_data_allow(tiny: ChallengeData) -> None:
    recipes = loaded("items.text_dim=2", "items.image_dim=2")
    suited = suit(recipes, tiny, ())
    assert {name: changes for name, (_, changes) in suited.items()} == {n: [] for n in NAMES}


def test_more_users_are_held_out_if_nobody_would_be(tiny: ChallengeData) -> None:
    recipes = loaded("training.holdout=0.0001")
    with pytest.raises(DataError, match="leave a holdout part of 0 rows"):
        require_classes(recipes["gbdt"], tiny, range(5))
    assert {suited.training.holdout for suited, _ in suit(recipes, tiny, ()).values()} == {0.1}
    asked = suit(recipes, tiny, ("training.holdout=0.0001",))
    assert {suited.training.holdout for suited, _ in asked.values()} == {0.0001}


def test_there_are_fewer_folds_the_same_for_all_if_one_would_be_without_both_labels(
    tiny: ChallengeData,
) -> None:
    few = "training.holdout=0.008"
    recipes = loaded("folds.count=100", few)
    found = [suited for suited, _ in suit(recipes, tiny, (few,)).values()]
    assert len({recipe.folds for recipe in found}) == 1
    assert 2 <= found[0].folds.count < 100
    require_classes(found[0], tiny, range(found[0].folds.count))
    asked = suit(recipes, tiny, (few, "folds.count=100"))
    assert {recipe.folds.count for recipe, _ in asked.values()} == {100}
