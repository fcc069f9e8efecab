"""mmctr_kit.models.layers.encoder: item vectors part by part, and their table."""

import pytest
import torch

from mmctr_kit.models.layers.encoder import Codes, ItemEncoder
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


def test_prefixes_are_numbered_and_have_as_many_rows_as_items_can_fill() -> None:
    codes = torch.tensor([[0, 0, 0], [2, 1, 1], [1, 3, 1], [2, 1, 2], [1, 2, 1], [2, 3, 1]])
    plain, size = Codes(codes, 4, False, False).rows()
    assert size == 3 * 4
    assert plain.tolist() == (codes + torch.tensor([0, 4, 8])).tolist()
    # Three first codes, then five items' prefixes at most, each level with a row for no code.
    rows, size = Codes(codes, 4, False, True).rows()
    assert size == (3 + 1) + (5 + 1) + (5 + 1)
    first, second, third = (rows - torch.tensor([0, 4, 10])).T.tolist()
    assert first == [0, 2, 1, 2, 1, 2]
    assert second == [0, 3, 2, 3, 1, 4]
    assert third == [0, 3, 2, 4, 1, 5]


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("concat", [False, True])
def test_an_items_codes_are_embedded_and_summed_or_laid_side_by_side(
    concat: bool, prefix: bool
) -> None:
    codes = torch.tensor([[0, 0], [2, 1], [1, 1], [2, 1], [2, 3]])
    of_items = Codes(codes, 4, concat, prefix)
    tags, table = torch.zeros(5, 2, dtype=torch.long), torch.zeros(5, 0)
    encoder = ItemEncoder(tags, table, 3, 6, 0, use_item_id=False, use_tags=False, codes=of_items)
    assert encoder.codes is not None
    assert encoder.widths == [12 if concat else 6]
    levels = encoder.codes.weight[of_items.rows()[0]]  # (5, 2, 6)
    expected = levels.flatten(1) if concat else levels.sum(1)
    assert torch.equal(encoder(torch.arange(5)), expected)
    assert torch.equal(expected[1], expected[3])
    assert not torch.equal(expected[1], expected[4])
    # The second code of items 1 and 2 is the same, after different first ones.
    assert torch.equal(levels[1, 1], levels[2, 1]) != prefix


def test_an_encoder_without_codes_draws_what_it_drew_before() -> None:
    tags = torch.zeros(5, 2, dtype=torch.long)
    encoders = []
    for codes in (None, Codes(torch.zeros(5, 0, dtype=torch.long), 1, False, False)):
        torch.manual_seed(0)
        encoders.append(ItemEncoder(tags, torch.randn(5, 4), 3, 6, 7, codes=codes))
    one, two = (dict(encoder.named_parameters()) for encoder in encoders)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
