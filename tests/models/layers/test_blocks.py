"""mmctr_kit.models.layers.blocks: each block against its formula."""

import pytest
import torch
from torch.nn import functional as F

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.attention import TargetAttention
from mmctr_kit.models.layers.blocks import MLP, UserEmbedding
from mmctr_kit.models.layers.encoder import ItemEncoder
from mmctr_kit.models.ops.gather import gather

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


def test_the_tag_part_of_an_item_is_the_mean_of_its_real_tags() -> None:
    tags = torch.tensor([[0, 0, 0], [0, 2, 3], [1, 1, 2], [0, 0, 0]])
    encoder = ItemEncoder(tags, torch.zeros(4, 0), n_tags=4, dim=5, emb_dim=0)
    weight = encoder.item_tags.weight
    found = encoder(torch.tensor([1, 2, 3]))[:, 5:]
    expected = torch.stack(
        [(weight[2] + weight[3]) / 2, (2 * weight[1] + weight[2]) / 3, torch.zeros(5)]
    )
    assert torch.allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize("history", [[1], [1, 4, 5, 2, 0, 1, 1, 3]])
def test_looking_up_items_equals_encoding_each(
    history: list[int], compiling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled: the catalogue of 6 for 10 ids, and each by itself for 3."""
    encoder = ItemEncoder(torch.ones(6, 2, dtype=torch.long), torch.randn(6, 4), 3, 5, 7)
    past, targets = torch.tensor(history), torch.tensor([4, 1])
    expected = encoder(past), encoder(targets)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    target, table, index = encoder.lookup(past, targets)
    assert torch.allclose(gather(table, index), expected[0], atol=1e-6)
    assert torch.allclose(target, expected[1], atol=1e-6)
    distinct = len({*history, 4, 1})
    assert len(table) == ((6 if len(history) > 1 else 1) if compiling else distinct)


@pytest.mark.parametrize(("dropout", "batch_norm"), [(0.0, False), (0.2, True)])
def test_an_mlp_has_its_layers_in_the_stated_order(dropout: float, batch_norm: bool) -> None:
    mlp = MLP(4, (8, 6), "prelu", dropout, batch_norm)
    kinds = [type(layer).__name__ for layer in mlp]
    one = ["Linear", *(["BatchNorm1d"] if batch_norm else []), "PReLU"]
    one += ["Dropout"] if dropout else []
    assert kinds == [*one, *one, "Linear"]
    assert mlp(torch.randn(3, 4)).shape == (3, 1)


def test_an_mlp_without_an_output_ends_in_its_last_hidden_layer() -> None:
    mlp = MLP(4, (8, 6), "relu", dropout=0.1, last=False)
    assert [type(layer).__name__ for layer in mlp] == ["Linear", "ReLU", "Dropout"] * 2
    assert mlp(torch.randn(3, 4)).shape == (3, 6)


def test_an_unseen_user_has_the_zero_vector_and_no_gradient() -> None:
    table = UserEmbedding(5, 3)
    assert table.weight.shape == (6, 3)
    assert not table.weight[0].any()
    assert table.weight[1:].all()
    table(torch.tensor([0, 2, 0])).sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad[:, 0].tolist() == [0, 0, 1, 0, 0, 0]
