"""mmctr_kit.training.batches: packed batches and the stream of training rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.challenge.contract import SPLITS
from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.training.batches import DeviceData, RowStream, make_batch, mix, to_device

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def device_data(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("most", [1, 5, 64])
def test_a_batch_holds_each_rows_most_recent_items_oldest_first(
    tiny: ChallengeData, split: str, most: int
) -> None:
    assert split in SPLITS
    device_data = to_device(tiny, CPU, most)
    rows, histories = tiny.rows[split], tiny.histories
    index = np.random.default_rng(0).integers(0, len(rows), 50)
    everyone = torch.ones(device_data.n_users + 1, dtype=torch.bool)
    batch = make_batch(device_data, split, torch.from_numpy(index), everyone)
    for i, row in enumerate(index):
        h = rows.history[row]
        expected = histories.items[histories.offsets[h] : histories.offsets[h + 1]][-most:]
        begin, end = int(batch.offsets[i]), int(batch.offsets[i + 1])
        assert batch.history[begin:end].tolist() == expected.tolist()
        assert (batch.row[begin:end] == i).all()
    assert batch.item.tolist() == rows.item_id[index].tolist()
    assert batch.likes_level.tolist() == rows.likes_level[index].tolist()
    assert batch.views_level.tolist() == rows.views_level[index].tolist()
    assert len(batch.history) == int(batch.offsets[-1])


def test_users_that_the_model_was_not_trained_on_are_all_the_same_unknown_user(
    tiny: ChallengeData, device_data: DeviceData
) -> None:
    users = np.unique(tiny.train.user_id)
    known = torch.zeros(len(users) + 1, dtype=torch.bool)
    known[1:11] = True
    rows = torch.arange(len(tiny.train))
    found = make_batch(device_data, "train", rows, known).user.numpy()
    number = np.searchsorted(users, tiny.train.user_id) + 1
    assert np.array_equal(found, np.where(number <= 10, number, 0))
    assert not make_batch(device_data, "test", torch.arange(400), known).user.any()


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 60), st.integers(1, 70), st.integers(0, 5))
def test_the_stream_shows_every_row_equally_often_and_in_full_batches(
    rows: int, batch_size: int, seed: int
) -> None:
    stream = RowStream(torch.arange(100, 100 + rows), batch_size, seed)
    size = stream.batch_size
    assert size == min(rows, batch_size)
    seen = torch.cat([stream.batch(step) for step in range(rows)])
    assert len(seen) == rows * size
    # rows * size positions are exactly `size` permutations.
    assert (torch.bincount(seen - 100, minlength=rows) == size).all()


def test_a_batch_of_the_stream_depends_on_seed_and_step_alone() -> None:
    rows = torch.arange(23)
    through = RowStream(rows, 5, seed=1)
    in_order = [through.batch(step) for step in range(20)]
    afresh = RowStream(rows, 5, seed=1)
    assert torch.equal(afresh.batch(17), in_order[17])
    assert torch.equal(afresh.batch(3), in_order[3])
    other = RowStream(rows, 5, seed=2)
    assert any(not torch.equal(other.batch(s), b) for s, b in enumerate(in_order))


def test_mixed_seeds_differ_where_any_part_differs() -> None:
    seeds = {mix(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert mix(1, 2) == mix(1, 2)
    assert all(0 <= s < 2**63 for s in seeds)
