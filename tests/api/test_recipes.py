"""What a recipe can say, as a table."""

import pytest

import mmctr_kit
from mmctr_kit.api.recipes import recipe_keys
from mmctr_kit.errors import UsageError


def test_each_key_is_a_row_with_its_value_its_default_and_its_meaning() -> None:
    table = recipe_keys("din_demo", set={"training.average": "ema"}).set_index("key")
    row = table.loc["training.average"]
    assert (row.value, row.default, row.takes) == ("ema", "none", "one of none, ema, tail")
    assert row.meaning.startswith("Which weights predict")
    assert table.loc["training.ema_decay"].used
    assert not table.loc["training.tail"].used
    assert set(mmctr_kit.load_recipe("din_demo").values()) <= set(table.index)


def test_an_unknown_recipe_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="did you mean din_demo"):
        recipe_keys("din_dmo")
