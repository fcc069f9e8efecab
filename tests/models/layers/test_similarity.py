"""mmctr_kit.models.layers.similarity: each position in the bucket of its similarity, or in none."""

import pytest
import torch
from torch import Tensor

from mmctr_kit.models.layers.similarity import HistorySimilarity, bucket_edges

NO_CODES = torch.zeros(5, 0, dtype=torch.long)
TABLE = torch.tensor(
    # Two modalities; the target is item 1. Item 4 lacks the second, though its vector is not zero.
    [[0, 0, 0, 0], [2, 0, 3, 4], [1, 0, -6, -8], [0, 5, 0, 0], [-1, 1, 3, 4]],
    dtype=torch.float32,
)
PRESENT = torch.tensor([[True, True]] * 4 + [[True, False]])
HISTORY, ROW = torch.tensor([2, 3, 4, 1, 3]), torch.tensor([0, 0, 0, 1, 2])
TARGET = torch.tensor([1, 4])


def near(buckets: int = 4, codes: Tensor = NO_CODES, table: Tensor = TABLE) -> Tensor:
    widths = (2, 2) if table.shape[1] else (0, 0)
    layer = HistorySimilarity(table, widths, PRESENT, codes, buckets)
    return layer(HISTORY, TARGET, ROW)


def test_edges_are_closest_together_around_zero() -> None:
    expected = [-0.64, -0.36, -0.16, -0.04, 0, 0.04, 0.16, 0.36, 0.64]
    assert bucket_edges(10) == pytest.approx(expected)
    assert bucket_edges(2) == [0]
    assert bucket_edges(3) == pytest.approx([-1 / 9, 1 / 9])


def test_each_position_is_in_one_bucket_of_each_modality_that_both_items_have() -> None:
    """The buckets are below -0.25, below 0, below 0.25, and from 0.25 up."""
    assert near().tolist() == [
        [0, 0, 0, 1, 1, 0, 0, 0],  # item 2: same direction, opposite direction
        [0, 0, 1, 0, 0, 0, 0, 0],  # item 3: a right angle; its second vector is zero
        [1, 0, 0, 0, 0, 0, 0, 0],  # item 4: cosine -0.71; it lacks the second
        [1, 0, 0, 0, 0, 0, 0, 0],  # the other row's target is item 4
        [0, 0, 0, 0, 0, 0, 0, 0],  # a dummy
    ]


def test_lengths_of_vectors_change_no_bucket() -> None:
    assert torch.equal(near(7), near(7, table=TABLE * torch.tensor([[1.0], [2], [3], [5], [7]])))


def test_equal_vectors_are_in_the_last_bucket_and_opposite_ones_in_the_first() -> None:
    """Whatever rounding makes of their cosine."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(201, 7, generator=generator)
    table[101:] = -table[1:101]
    table[0] = 0
    layer = HistorySimilarity(table, (7,), torch.ones(201, 1, dtype=torch.bool), table[:, :0], 9)
    targets, rows = torch.arange(1, 101), torch.arange(100)
    assert layer(targets, targets, rows)[:, 8].all()
    assert layer(targets + 100, targets, rows)[:, 0].all()


def test_the_depth_of_the_common_prefix_is_a_similarity_of_its_own() -> None:
    codes = torch.tensor([[0, 0], [1, 3], [1, 2], [4, 3], [0, 0]])
    depths = near(codes=codes, table=TABLE[:, :0])
    # 1 of 2; a code alone is no prefix; item 4 has no codes; a dummy.
    assert depths.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    whole = HistorySimilarity(TABLE[:, :0], (0,), PRESENT[:, :1], codes, 4)
    assert whole(torch.tensor([1]), torch.tensor([1]), torch.tensor([0])).tolist() == [[0, 0, 1]]
    assert torch.equal(near(codes=codes), torch.cat([near(), depths], dim=1))
