"""mmctr_kit.models.layers.encoder: item vectors part by part, and their table."""

import pytest
import torch

from mmctr_kit.models.layers.encoder import ItemEncoder
from mmctr_kit.models.ops.gather import gather


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
