"""mmctr_kit.training.data.batches: packed batches and the stream of training rows."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items.signals import SignalValues
from mmctr_kit.training.data.batches import DeviceData, make_batch, to_device
from mmctr_kit.training.learner import derive_seed
from mmctr_kit.training.step import compiled_batches

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
        expected = histories.values[histories.offsets[h] : histories.offsets[h + 1]][-most:]
        begin, end = int(batch.offsets[i]), int(batch.offsets[i + 1])
        assert batch.history[begin:end].tolist() == expected.tolist()
        assert (batch.row[begin:end] == i).all()
    assert batch.item.tolist() == rows.item_id[index].tolist()
    assert batch.likes_level.tolist() == rows.likes_level[index].tolist()
    assert batch.views_level.tolist() == rows.views_level[index].tolist()
    assert len(batch.history) == int(batch.offsets[-1])


@pytest.mark.slow
def test_compiled_batches_are_the_same_and_other_sizes_of_data_compile_once_more(
    tiny: ChallengeData,
) -> None:
    cut = compiled_batches("aot_eager")
    for most in (5, 20, 64):
        data = with_signals(tiny, most)
        known = torch.arange(data.n_users + 1) % 3 > 0
        index = torch.from_numpy(np.random.default_rng(most).integers(0, len(tiny.test), 50))
        expected = make_batch(data, "test", index, known, 50 * 64)
        with torch._dynamo.config.patch(error_on_recompile=most == 64):
            found = cut(data, "test", index, known, 50 * 64)
        for name, whole in expected.tensors.items():
            assert torch.equal(getattr(found, name), whole), name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_translated_batches_are_the_same(tiny: ChallengeData) -> None:
    data, index = with_signals(tiny), torch.arange(50)
    known = torch.arange(data.n_users + 1) % 3 > 0
    expected = make_batch(data, "test", index, known, 50 * 64)
    found = compiled_batches()(data, "test", index, known, 50 * 64)
    for name, whole in expected.tensors.items():
        assert torch.equal(getattr(found, name), whole), name


@pytest.mark.parametrize("extra", [0, 1, 300])
def test_a_batch_of_fixed_size_is_the_packed_one_with_dummies_behind_it(
    tiny: ChallengeData, extra: int
) -> None:
    data = with_signals(tiny)
    everyone = torch.ones(data.n_users + 1, dtype=torch.bool)
    index = torch.from_numpy(np.random.default_rng(0).integers(0, len(tiny.test), 50))
    packed = make_batch(data, "test", index, everyone)
    n = len(packed.history)
    fixed = make_batch(data, "test", index, everyone, n + extra)
    for name, whole in packed.tensors.items():
        found = getattr(fixed, name)
        assert torch.equal(found[: len(whole)], whole), name
    assert len(fixed.history) == len(fixed.row) == len(fixed.signals) == n + extra
    assert (fixed.row[n:] == 50).all()


def test_a_batch_of_fixed_size_may_hold_empty_histories_alone(tiny: ChallengeData) -> None:
    data = to_device(tiny, CPU, 64)
    rows = data.rows["test"]
    nothing = replace(
        rows, begin=rows.end[-1].expand(len(rows)), end=rows.end[-1].expand(len(rows))
    )
    data = replace(data, rows={**data.rows, "test": nothing})
    everyone = torch.ones(data.n_users + 1, dtype=torch.bool)
    batch = make_batch(data, "test", torch.arange(4), everyone, 8)
    assert (batch.row == 4).all()
    assert not batch.offsets.any()


def with_signals(tiny: ChallengeData, most: int = 64) -> DeviceData:
    """The data with two made-up signals a position and one a row of test."""
    examples, random = tiny.examples("test", most), np.random.default_rng(3)
    values = SignalValues(
        random.normal(size=(int(examples.lengths.sum()), 2)).astype(np.float32),
        random.normal(size=(len(examples), 1)).astype(np.float32),
    )
    return to_device(tiny, CPU, most).with_rows("test", examples, values)


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


def test_the_bytes_of_the_data_are_those_of_the_memory_that_it_has(tiny: ChallengeData) -> None:
    data = with_signals(tiny)
    memory = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors(data)}
    assert data.nbytes == sum(memory.values())


def test_the_data_on_another_device_is_there_as_a_whole(tiny: ChallengeData) -> None:
    data = with_signals(tiny)
    other = data.to(torch.device("meta"))
    assert {t.device.type for t in tensors(other)} == {"meta"}
    assert [t.shape for t in tensors(other)] == [t.shape for t in tensors(data)]
    assert other.nbytes == data.nbytes
    assert other.n_users == data.n_users


def tensors(data: DeviceData) -> list[torch.Tensor]:
    columns = [vars(rows).values() for rows in data.rows.values()]
    found = [*(c for each in columns for c in each), data.history_items]
    return [t for t in found if isinstance(t, torch.Tensor)]


def test_mixed_seeds_differ_where_any_part_differs() -> None:
    seeds = {derive_seed(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert derive_seed(1, 2) == derive_seed(1, 2)
    assert all(0 <= s < 2**63 for s in seeds)
