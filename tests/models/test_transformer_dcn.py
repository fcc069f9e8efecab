"""mmctr_kit.models.transformer_dcn: the winner's network, as released and with a right mask."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.models.layers.padding import Padding, Slots
from mmctr_kit.models.published import load_published
from mmctr_kit.models.registry import model_options
from mmctr_kit.models.transformer_dcn import (
    CrossNet,
    EncoderLayer,
    TransformerDCN,
    TransformerDCNMomo,
)
from mmctr_kit.recipe import load_recipe
from tests.models.reference import packed, read_reference
from tests.models.released_transformer import (
    LAYERS,
    SIZES,
    build,
    loaded_logits,
    made_up,
    released_logits,
)


def agree(found: Tensor, expected: Tensor) -> bool:
    return bool(((found - expected).abs() <= 1e-4 * expected.abs().clamp(min=1)).all())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_the_released_network_with_the_mask_put_right(size: dict[str, Any]) -> None:
    config, arrays, state = made_up(size)
    found = loaded_logits(TransformerDCN, config, arrays, state)
    assert agree(found, released_logits(config, arrays, state, inverted=False))


def test_a_released_checkpoint_loads_and_its_rows_are_then_read() -> None:
    config, arrays, state = read_reference("transformer_dcn_momo")
    found = loaded_logits(TransformerDCN, config, arrays, state)
    assert agree(found, released_logits(config, arrays, state, inverted=False))
    assert ((found - arrays["output/logit"]).abs() > 1e-3).all()


def test_changing_the_items_of_any_history_changes_its_row() -> None:
    config, arrays, state = read_reference("transformer_dcn_momo")
    before = loaded_logits(TransformerDCN, config, arrays, state)
    sequence = arrays["input/item_seq"]
    other = arrays | {"input/item_seq": torch.where(sequence == 0, 0, sequence % 40 + 1)}
    after = loaded_logits(TransformerDCN, config, other, state)
    assert ((before - after).abs() > 1e-4).all()


def test_only_the_most_recent_items_up_to_max_length_are_seen() -> None:
    config, arrays, state = made_up({"length": 8})
    whole = loaded_logits(TransformerDCN, config, arrays, state)
    older = torch.full((len(whole), 5), 7) * (arrays["input/item_seq"][:, :1] != 0)
    longer = arrays | {"input/item_seq": torch.cat([older, arrays["input/item_seq"]], 1)}
    model = build(TransformerDCN, config, arrays, state)
    load_published(model, state)
    model.eval()
    batch = packed(longer)
    assert int(batch.offsets.diff().max()) == 13
    with torch.inference_mode():
        assert torch.allclose(model(batch), whole, atol=1e-6)


def test_without_dropout_training_and_evaluation_agree() -> None:
    config, arrays, state = made_up({"length": 12, "transformer_dropout": 0.0, "net_dropout": 0.0})
    model = build(TransformerDCN, config, arrays, state)
    load_published(model, state)
    found = [model.train(mode)(packed(arrays)) for mode in (True, False)]
    assert torch.allclose(*found, atol=1e-6)


@pytest.mark.parametrize("model_class", [TransformerDCN, TransformerDCNMomo])
@pytest.mark.parametrize("training", [True, False])
def test_in_bf16_what_layers_add_up_and_normalise_stays_float32(
    model_class: type[TransformerDCN], training: bool
) -> None:
    config, arrays, state = made_up({"length": 12})
    model = build(model_class, config, arrays, state).train(training)
    seen: list[torch.dtype] = []
    for module in model.modules():
        if isinstance(module, EncoderLayer | nn.LayerNorm | CrossNet):
            module.register_forward_hook(
                lambda _, given, made: seen.extend((given[0].dtype, made.dtype))
            )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(packed(arrays))
    assert len(seen) == 14
    assert set(seen) == {torch.float32}


def test_dropout_acts_on_attention_weights_on_both_sublayers_and_on_the_deep_part() -> None:
    config, arrays, state = made_up({"length": 3})
    model = build(TransformerDCN, config, arrays, state)
    rates = {n: m.p for n, m in model.named_modules() if isinstance(m, nn.Dropout) and m.p}
    assert {n: p for n, p in rates.items() if n.startswith("encoder")} == {
        f"encoder.{i}.{n}": 0.3 for i in (0, 1) for n in ("drop", "self_attn.drop")
    }
    assert [p for n, p in rates.items() if not n.startswith("encoder")] == [0.1, 0.1]
    attention = model.encoder[0].self_attn.train()
    x, slots = torch.randn(3, 24), Slots.of(Padding(((1, 3),)), torch.arange(3))
    with torch.no_grad():
        found = [attention(x, slots) for _ in range(20)]
    seen = {round(float(f.sum()), 4) for f in found}
    assert len(seen) > 5


def test_a_cross_layer_multiplies_its_linear_map_by_the_input_and_adds_it() -> None:
    net = CrossNet(3, 2)
    x = torch.randn(4, 3)
    first = x + x * net.layers[0](x)
    assert torch.equal(net(x), first + x * net.layers[1](first))


def test_the_padding_items_id_vector_stays_zero_in_training() -> None:
    config, arrays, state = made_up({"length": 4})
    model = build(TransformerDCN, config, arrays, state)
    assert not model.items.item_id.weight[0].any()
    batch = packed(arrays)
    assert (batch.offsets.diff() == 0).any()
    model(batch).sum().backward()
    assert not model.items.item_id.weight.grad[0].any()
    assert model.items.item_id.weight.grad.any()


def test_at_the_released_sizes_the_cross_layers_are_nine_thousand_wide() -> None:
    with torch.device("meta"):
        model = TransformerDCN(
            item_tags=torch.zeros(91_718, 5, dtype=torch.long),
            item_emb=torch.zeros(91_718, 128),
            n_tags=11_740,
            embedding_dim=64,
            first_k_cols=16,
        )
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["encoder.1.self_attn.in_proj_weight"] == (3 * 512, 512)
    assert shapes["cross.layers.2.weight"] == (9088, 9088)
    assert shapes["deep.0.weight"] == (1024, 9088)
    assert shapes["mlp.0.weight"] == (64, 9088 + 256)


def test_the_recipes_have_the_released_sizes_and_as_many_positions_as_the_batches() -> None:
    for name in ("transformer_dcn", "transformer_dcn_momo"):
        recipe = load_recipe(name)
        options = recipe.model_arguments
        assert (options["embedding_dim"], options["first_k_cols"]) == (64, 16)
        assert options["max_length"] == recipe.training.max_history


def test_sizes_that_do_not_fit_each_other_are_refused() -> None:
    config, arrays, state = made_up({"length": 4})
    with pytest.raises(UsageError, match=r"num_heads: expected a divisor .* 24, not 5"):
        build(TransformerDCN, config | {"num_heads": 5}, arrays, state)
    with pytest.raises(UsageError, match=r"first_k_cols: expected at most max_length 4, not 5"):
        build(TransformerDCN, config | {"first_k_cols": 5}, arrays, state)


@pytest.mark.parametrize("part", [LAYERS, "crossnet.cross_layers"])
def test_a_checkpoint_of_another_depth_is_refused_with_both_depths(part: str) -> None:
    config, arrays, state = made_up({"length": 4})
    cut = {k: v for k, v in state.items() if not k.startswith(f"{part}.1.")}
    with pytest.raises(DataError, match=rf"has 1 layers in {part}; expected 2"):
        load_published(build(TransformerDCN, config, arrays, state), cut)


def test_the_released_model_equals_the_published_logits_on_every_row() -> None:
    config, arrays, state = read_reference("transformer_dcn_momo")
    logit = loaded_logits(TransformerDCNMomo, config, arrays, state)
    assert len(logit) == 24
    assert agree(logit, arrays["output/logit"])
    assert torch.allclose(torch.sigmoid(logit), arrays["output/probability"], atol=1e-5)


def test_the_formula_that_other_sizes_are_held_to_is_the_published_one() -> None:
    config, arrays, state = read_reference("transformer_dcn_momo")
    assert agree(released_logits(config, arrays, state, inverted=True), arrays["output/logit"])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_other_sizes_and_options_of_the_released_model_agree_too(size: dict[str, Any]) -> None:
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


def test_as_released_the_padding_positions_have_their_own_dropout_in_training() -> None:
    config, arrays, state = made_up({"length": 8})
    model = build(TransformerDCNMomo, config, arrays, state).train()
    seen: list[Tensor] = []
    model.encoder[-1].register_forward_hook(lambda *call: seen.append(call[2]))
    model(packed(arrays))
    row = seen[0].unflatten(0, (24, 8))[0]
    assert (packed(arrays).offsets[:2] == 0).all()  # the first row has no history: all padding
    assert len(torch.unique(row, dim=0)) == 8


def test_the_released_models_options_are_those_of_the_model_with_the_mask_put_right() -> None:
    assert model_options("transformer_dcn_momo") == model_options("transformer_dcn")
