"""The challenge's contract: facts that other modules rely on."""

from mmctr_kit.data.contract import FILES, SPLITS


def test_the_splits_differ_in_their_id_and_label_only() -> None:
    train, valid, test = (FILES[split].column_names for split in SPLITS)
    assert train == valid
    assert (*test[1:], "label") == train
    assert test[0] == "ID"


def test_only_the_splits_and_item_info_are_needed() -> None:
    assert {name for name, file in FILES.items() if file.needed} == {*SPLITS, "item_info"}


def test_a_time_is_no_column_that_a_split_must_have() -> None:
    for split in SPLITS:
        assert "time" not in FILES[split].column_names
        assert "time" in [c.name for c in FILES[split].columns]
