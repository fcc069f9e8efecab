"""The blocks of a recipe: what each key takes, beside its type."""

from typing import Any

import pytest
from pydantic import ValidationError

from mmctr_kit.recipe import SIGNAL_KINDS, Folds, Items, Signals, Training


@pytest.mark.parametrize(
    ("given", "kinds"), [("all", SIGNAL_KINDS), ("none", ()), (["pmi", "near"], ("pmi", "near"))]
)
def test_kinds_of_signals_are_all_none_or_a_list(given: Any, kinds: tuple[str, ...]) -> None:
    assert Signals(kinds=given).kinds == kinds


@pytest.mark.parametrize(
    ("block", "values", "fault"),
    [
        (Signals, {"kinds": "some"}, "expected all, none or a list of cosine"),
        (Signals, {"kinds": ["pmi", "pmi"]}, "holds a kind twice"),
        (Items, {"embedding": "file"}, "items.file is missing"),
        (Training, {"epochs": True}, "true and false are no values of this key"),
        (Folds, {"count": 1}, "greater than or equal to 2"),
        (Folds, {"counts": 5}, "Extra inputs are not permitted"),
    ],
)
def test_a_block_refuses_what_it_cannot_use(
    block: type[Any], values: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValidationError, match=fault):
        block(**values)
