"""mmctr_kit.training.data.source: rows that lie on the device are one chunk."""

import torch

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.training.data.batches import to_device
from mmctr_kit.training.data.source import OnDevice, batch_positions
from tests.training.test_fit import CPU


def test_rows_on_the_device_are_one_chunk_as_they_are_numbered(tiny: ChallengeData) -> None:
    data = to_device(tiny, CPU, 64)
    index = torch.tensor([5, 3, 3, 399, 0])
    [chunk] = OnDevice(data).chunks("test", index, [2, 3])
    assert chunk.data is data
    assert [b.tolist() for b in chunk.batches()] == [[5, 3], [3, 399, 0]]
    lengths = data.rows["test"].lengths
    assert chunk.positions == [int(lengths[b].sum()) for b in chunk.batches()]


def test_no_batches_are_no_chunk(tiny: ChallengeData) -> None:
    source = OnDevice(to_device(tiny, CPU, 64))
    assert not list(source.chunks("test", torch.zeros(0, dtype=torch.long), []))


def test_positions_are_counted_by_batch_and_may_be_none() -> None:
    assert batch_positions(torch.tensor([3, 0, 4, 1, 0, 0]), [2, 2, 0, 2]) == [3, 5, 0, 0]
