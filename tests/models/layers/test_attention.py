"""mmctr_kit.models.layers.attention: DIN's attention against its formula; see also test_din."""

import pytest
import torch
from torch.nn import functional as F

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.attention import NoAttention, TargetAttention, scaled_attention
from mmctr_kit.models.ops.dropout import Dropout, nothing_dropped

LENGTHS = torch.tensor([3, 0, 2, 4])
ROW = torch.repeat_interleave(LENGTHS)
OFFSETS = F.pad(LENGTHS.cumsum(0), (1, 0))


def positions(signals: int) -> Batch:
    """Four rows' positions; of the rows themselves nothing."""
    rows = torch.zeros(4, dtype=torch.long)
    history = torch.zeros(9, dtype=torch.long)
    similar = torch.randn(9, signals, generator=torch.Generator().manual_seed(2))
    return Batch(rows, rows, rows, rows, history, ROW, OFFSETS, similar, torch.zeros(4, 0))


@pytest.mark.parametrize("table_of", ["items", "positions"])
def test_target_attention_equals_the_mlp_on_the_concatenated_vectors(table_of: str) -> None:
    torch.manual_seed(0)
    attention = TargetAttention(6, (10, 5), "relu", 0.0)
    target, table = torch.randn(4, 6), torch.randn(8, 6)
    index = torch.randint(0, 8, (9,))
    k, q = table[index], target[ROW]
    weight = attention.rest(attention.first(torch.cat([q, k, q - k, q * k], 1)))
    expected = torch.stack([(weight * k)[r == ROW].sum(0) for r in range(4)])
    keys = (table, index) if table_of == "items" else (k, None)
    found = attention.attend(target, *keys, positions(0))[0]
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_positions_signals_are_further_inputs_of_the_attentions_first_layer() -> None:
    torch.manual_seed(0)
    attention = TargetAttention(6, (10, 5), "relu", 0.0, signals=3)
    target, table = torch.randn(4, 6), torch.randn(8, 6)
    index, batch = torch.randint(0, 8, (9,)), positions(3)
    k, q = table[index], target[ROW]
    first = attention.first(torch.cat([q, k, q - k, q * k], 1))
    weight = attention.rest(first + batch.signals @ attention.signal.weight.T)
    expected = torch.stack([(weight * k)[r == ROW].sum(0) for r in range(4)])
    assert torch.allclose(attention.attend(target, table, index, batch)[0], expected, atol=1e-5)


def test_without_attention_the_pooled_history_is_its_sum_whatever_the_target() -> None:
    table, index = torch.randn(8, 6), torch.randint(0, 8, (9,))
    expected = torch.stack([table[index][r == ROW].sum(0) for r in range(4)])
    for target in (torch.zeros(4, 6), torch.randn(4, 6)):
        pooled, scores = NoAttention().attend(target, table, index, positions(0))
        assert torch.allclose(pooled, expected, atol=1e-6)
        assert scores.shape == (9, 0)


@pytest.mark.parametrize("added", [False, True])
def test_scaled_attention_is_torchs_with_dropout_of_the_weights(added: bool) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, length, 4) for length in (1, 5, 5))
    mask = torch.rand(3, 1, 1, 5) < 0.6
    mask[..., 0] = True
    if added:
        mask = torch.where(mask, torch.randn(3, 1, 1, 5), -torch.inf)
    expected = F.scaled_dot_product_attention(query, key, value, mask)
    layer = Dropout(0.5)
    with nothing_dropped(layer):
        found = scaled_attention(query, key, value, mask, layer)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.equal(scaled_attention(query, key, value, mask, layer.eval()), expected)
    ones = torch.ones(3, 2, 5, 4)
    dropped = torch.stack(
        [scaled_attention(query, key, ones, mask, layer.train()) for _ in range(2000)]
    )
    assert torch.allclose(dropped.mean(0), torch.ones(3, 2, 1, 4), atol=0.1)
    assert (dropped == 0).any()
