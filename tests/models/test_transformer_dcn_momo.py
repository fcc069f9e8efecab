"""mmctr_kit.models.transformer_dcn_momo: the winner's network as released, mask and all."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmctr_kit.models.published import load_published
from mmctr_kit.models.registry import model_options
from mmctr_kit.models.transformer_dcn import TransformerDCN
from mmctr_kit.models.transformer_dcn_momo import TransformerDCNMomo
from tests.models.reference import packed, read_reference
from tests.models.released_transformer import (
    SIZES,
    build,
    loaded_logits,
    made_up,
    released_logits,
)


def agree(found: Tensor, expected: Tensor) -> bool:
    return bool(((found - expected).abs() <= 1e-4 * expected.abs().clamp(min=1)).all())


def test_it_equals_the_published_logits_on_every_row() -> None:
    config, arrays, state = read_reference("transformer_dcn_momo")
    logit = loaded_logits(TransformerDCNMomo, config, arrays, state)
    assert len(logit) == 24
    assert agree(logit, arrays["output/logit"])
    assert torch.allclose(torch.sigmoid(logit), arrays["output/probability"], atol=1e-5)


def test_the_formula_that_other_sizes_are_held_to_is_the_published_one() -> None:
    config, arrays, state = read_reference("transformer_dcn_momo")
    assert agree(released_logits(config, arrays, state, inverted=True), arrays["output/logit"])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_other_sizes_and_options_agree_too(size: dict[str, Any]) -> None:
    config, arrays, state = made_up(size, seed=1)
    found = loaded_logits(TransformerDCNMomo, config, arrays, state)
    assert agree(found, released_logits(config, arrays, state, inverted=True))


def changed(sequence: Tensor) -> Tensor:
    """Other items at every real position, the same number of them."""
    return torch.where(sequence == 0, 0, sequence % 40 + 1)


def test_as_released_the_items_of_a_history_below_full_length_change_nothing() -> None:
    config, arrays, state = read_reference("transformer_dcn_momo")
    other = arrays | {"input/item_seq": changed(arrays["input/item_seq"])}
    short = (arrays["input/item_seq"] == 0).any(1)
    assert 0 < short.sum() < len(short)

    def moved(kind: type[TransformerDCN]) -> Tensor:
        before, after = (loaded_logits(kind, config, a, state) for a in (arrays, other))
        return before != after

    assert torch.equal(moved(TransformerDCNMomo), ~short)
    assert moved(TransformerDCN).all()  # with the mask put right, they do


def test_as_released_a_history_of_full_length_shows_its_last_item_alone() -> None:
    config, arrays, state = read_reference("transformer_dcn_momo")
    full = (arrays["input/item_seq"] != 0).all(1)
    other = changed(arrays["input/item_seq"])
    all_but_last = torch.cat([other[:, :-1], arrays["input/item_seq"][:, -1:]], 1)
    last = torch.cat([arrays["input/item_seq"][:, :-1], other[:, -1:]], 1)
    before, kept, moved = (
        loaded_logits(TransformerDCNMomo, config, arrays | {"input/item_seq": s}, state)
        for s in (arrays["input/item_seq"], all_but_last, last)
    )
    assert torch.equal(before, kept)
    assert torch.equal(before != moved, full)


def test_as_released_the_number_of_items_matters_within_the_last_columns() -> None:
    config, arrays, state = made_up({"length": 8, "first_k_cols": 3})
    item = arrays["input/item_id"][:1].expand(9)
    lengths = torch.arange(9)[:, None]
    sequence = (torch.arange(8) >= 8 - lengths).long() * 5
    rows = arrays | {"input/item_id": item, "input/item_seq": sequence}
    rows["input/user_id"] = torch.zeros(9, dtype=torch.long)
    logit = loaded_logits(TransformerDCNMomo, config, rows, state)
    assert len(set(logit[:4].tolist())) == 4  # none to three of them are in the last columns
    assert len({round(v, 4) for v in logit[3:8].tolist()}) == 1


@pytest.mark.parametrize("length", [1, 2, 12])
def test_one_token_a_row_in_evaluation_gives_what_all_positions_give(length: int) -> None:
    size = {"length": length, "first_k_cols": 1, "transformer_dropout": 0.0, "net_dropout": 0.0}
    config, arrays, state = made_up(size)
    model = build(TransformerDCNMomo, config, arrays, state)
    load_published(model, state)
    found = [model.train(mode)(packed(arrays)) for mode in (True, False)]
    assert torch.allclose(*found, atol=1e-5)


def test_in_training_the_padding_positions_have_their_own_dropout() -> None:
    config, arrays, state = made_up({"length": 8})
    model = build(TransformerDCNMomo, config, arrays, state).train()
    seen: list[Tensor] = []
    model.encoder[-1].register_forward_hook(lambda *call: seen.append(call[2]))
    model(packed(arrays))
    row = seen[0].unflatten(0, (24, 8))[0]
    assert (packed(arrays).offsets[:2] == 0).all()  # the first row has no history: all padding
    assert len(torch.unique(row, dim=0)) == 8


def test_its_options_are_those_of_the_model_with_the_mask_put_right() -> None:
    assert model_options("transformer_dcn_momo") == model_options("transformer_dcn")
