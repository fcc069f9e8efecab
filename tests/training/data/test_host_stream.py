"""mmctr_kit.training.data.host_stream: where rows are stored, and chunks of rows on the host."""

import threading
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items.signals import SignalValues
from mmctr_kit.models.batch import Batch
from mmctr_kit.training.data import host_stream
from mmctr_kit.training.data.batches import DeviceData, make_batch, to_device
from mmctr_kit.training.data.host_stream import Buffers, OnHost, choose_source
from mmctr_kit.training.data.source import Chunk, OnDevice, Source
from mmctr_kit.training.learner import Location
from tests.training.test_fit import CPU

SIZES = [64, 64, 64, 1, 64, 30, 7, 64]
ROOM = [(1 << 18, 1 << 22), (150, 1 << 22), (1 << 18, 900), (1, 1)]
"""One chunk; two batches each; as many as their histories allow; one batch, beyond what there is
room for."""


@pytest.fixture(scope="module")
def whole(tiny: ChallengeData) -> DeviceData:
    """With two made-up signals a position and three a row."""
    data, random = to_device(tiny, CPU, 64), np.random.default_rng(1)
    for split in SPLITS:
        examples = tiny.examples(split, 64)
        values = SignalValues(
            random.normal(size=(int(examples.lengths.sum()), 2)).astype(np.float32),
            random.normal(size=(len(examples), 3)).astype(np.float32),
        )
        data = data.with_rows(split, examples, values)
    return data


def drawn(data: DeviceData, split: Split) -> Tensor:
    """Rows for :data:`SIZES`, some of them twice."""
    return torch.randint(
        len(data.rows[split]), (sum(SIZES),), generator=torch.Generator().manual_seed(0)
    )


def batches_of(source: Source, split: Split, positions: int | None = None) -> list[Batch]:
    everyone = torch.ones(source.whole.n_users + 1, dtype=torch.bool)
    return [
        make_batch(chunk.data, split, rows, everyone, positions)
        for chunk in source.chunks(split, drawn(source.whole, split), SIZES)
        for rows in chunk.batches()
    ]


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected) == len(SIZES)
    for a, b in zip(found, expected, strict=True):
        for name, value in b.tensors.items():
            assert torch.equal(getattr(a, name), value), name
            assert getattr(a, name).dtype == value.dtype, name


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("room", ROOM)
def test_batches_are_those_of_rows_on_the_device(
    whole: DeviceData, split: Split, room: tuple[int, int]
) -> None:
    expected = batches_of(OnDevice(whole), split)
    assert_same(batches_of(OnHost(whole, CPU, *room), split), expected)


@pytest.mark.parametrize("room", ROOM)
def test_batches_of_fixed_size_are_the_same_to_their_dummies(
    whole: DeviceData, room: tuple[int, int]
) -> None:
    expected = batches_of(OnDevice(whole), "train", 64 * 64)
    assert_same(batches_of(OnHost(whole, CPU, *room), "train", 64 * 64), expected)


@pytest.mark.parametrize(("room", "chunks"), list(zip(ROOM[:2], (1, 3), strict=True)))
def test_chunks_have_the_sizes_positions_and_labels_of_their_batches(
    whole: DeviceData, room: tuple[int, int], chunks: int
) -> None:
    index = drawn(whole, "train")
    [all_] = OnDevice(whole).chunks("train", index, SIZES)
    sizes: list[int] = []
    positions: list[int] = []
    labels: list[Tensor] = []
    for chunk in OnHost(whole, CPU, *room).chunks("train", index, SIZES):
        sizes += chunk.sizes
        positions += chunk.positions
        labels.append(chunk.data.rows["train"].labels[chunk.index])
    assert (sizes, positions) == (SIZES, all_.positions)
    assert torch.equal(torch.cat(labels), whole.rows["train"].labels[index])
    assert len(labels) == chunks


def test_a_chunk_of_the_largest_room_stays_within_it(whole: DeviceData) -> None:
    source = OnHost(whole, CPU, 150, 900)
    for chunk in source.chunks("train", drawn(whole, "train"), SIZES):
        assert len(chunk.index) <= 150 or len(chunk.sizes) == 1
        assert sum(chunk.positions) <= 900 or len(chunk.sizes) == 1


def test_every_chunk_is_in_the_same_place(whole: DeviceData) -> None:
    source = OnHost(whole, CPU, 150, 900)
    places = set()
    for split in ("train", "test", "train"):
        for chunk in source.chunks(split, drawn(whole, split), SIZES):
            rows = chunk.data.rows["train"]
            tensors = (*rows.columns.values(), chunk.data.history_items)
            places.add(tuple(t.data_ptr() for t in tensors))
            assert chunk.data is source.data
    assert len(places) == 1


def test_histories_beyond_the_room_get_more_and_none_is_cut(whole: DeviceData) -> None:
    lengths = whole.rows["train"].lengths
    longest = lengths.argsort(descending=True)[:64]
    source = OnHost(whole, CPU, 8, 100)
    before = source.data
    everyone = torch.ones(whole.n_users + 1, dtype=torch.bool)
    [chunk] = source.chunks("train", longest, [64])
    assert chunk.data is source.data is not before
    found = make_batch(chunk.data, "train", chunk.index, everyone)
    expected = make_batch(whole, "train", longest, everyone)
    assert torch.equal(found.history, expected.history)
    assert torch.equal(found.signals, expected.signals)
    # The next of about that size has room, and a captured step its data where it was.
    for again in source.chunks("train", longest.flip(0), [64]):
        assert again.data is chunk.data


def test_empty_histories_alone_are_chunks_too(whole: DeviceData) -> None:
    rows = whole.rows["train"]
    data = replace(whole, rows={**whole.rows, "train": replace(rows, end=rows.begin)})
    assert_same(
        batches_of(OnHost(data, CPU, 150), "train", 8), batches_of(OnDevice(data), "train", 8)
    )


def test_a_split_without_any_history_has_no_signals_to_copy(whole: DeviceData) -> None:
    """As one of new users alone has, in data of one's own."""
    rows = whole.rows["valid"]
    none = replace(rows, end=rows.begin, signals=rows.signals[:0])
    data = replace(whole, rows={**whole.rows, "valid": none})
    assert_same(batches_of(OnHost(data, CPU, 150), "valid"), batches_of(OnDevice(data), "valid"))


def test_a_test_split_has_no_labels_in_chunks_either(whole: DeviceData) -> None:
    [chunk] = OnHost(whole, CPU).chunks("test", torch.arange(3), [3])
    with pytest.raises(ValueError, match="no labels"):
        _ = chunk.data.rows["test"].labels


def test_the_next_chunk_is_cut_by_another_thread_while_this_one_is_in_use(
    whole: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    cut_two = threading.Event()

    def watched(*arguments: object) -> object:
        threads.append(threading.current_thread())
        if len(threads) == 2:
            cut_two.set()
        return cut(*arguments)

    cut = _replace_cut(monkeypatch, watched)
    chunks = OnHost(whole, CPU, 64).chunks("train", drawn(whole, "train"), SIZES)
    next(chunks)
    assert cut_two.wait(10)
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


def test_an_error_while_cutting_is_the_callers_as_it_is(
    whole: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, calls = MemoryError("no more"), []

    def failing(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            raise error
        return cut(*arguments)

    cut = _replace_cut(monkeypatch, failing)
    source = OnHost(whole, CPU, 64)
    chunks = source.chunks("train", drawn(whole, "train"), SIZES)
    next(chunks)
    next(chunks)
    with pytest.raises(MemoryError) as raised:
        next(chunks)
    assert raised.value is error
    assert_same(batches_of(source, "train"), batches_of(OnDevice(whole), "train"))


def test_chunks_that_nobody_goes_on_with_disturb_no_others(whole: DeviceData) -> None:
    source = OnHost(whole, CPU, 64)
    expected = batches_of(OnDevice(whole), "valid")
    for _ in range(20):
        left = source.chunks("train", drawn(whole, "train"), SIZES)
        next(left)
        assert_same(batches_of(source, "valid"), expected)


class LazyEvent:
    """Passes when all that was put on the stream before it is done; waiting does it."""

    def __init__(self, queue: list[Callable[[], object]]) -> None:
        self.queue, self.place = queue, len(queue)

    def synchronize(self) -> None:
        for number in range(self.place):
            self.queue[number]()
            self.queue[number] = bool


class LazyStream(OnHost):
    """As a slow GPU: whatever it is given to do, it does when it is waited for."""

    queue: list[Callable[[], object]]

    def _send(self, slot: Buffers, rows: int, positions: int) -> None:
        self.queue.append(lambda: slot.send(self._buffers, rows, positions))
        slot.copied = LazyEvent(self.queue)  # type: ignore[assignment]


def test_nothing_is_cut_into_what_a_slow_device_has_yet_to_copy(whole: DeviceData) -> None:
    source = LazyStream(whole, CPU, 64)
    source.queue = []
    everyone = torch.ones(whole.n_users + 1, dtype=torch.bool)
    found: list[Batch] = []

    def step(chunk: Chunk) -> None:
        found.extend(make_batch(chunk.data, "train", b, everyone) for b in chunk.batches())

    for chunk in source.chunks("train", drawn(whole, "train"), SIZES):
        source.queue.append(lambda chunk=chunk: step(chunk))  # type: ignore[misc]
    assert len(found) < len(SIZES)  # it is not waited for more than it must
    LazyEvent(source.queue).synchronize()
    assert_same(found, batches_of(OnDevice(whole), "train"))


def test_the_host_learns_nothing_from_the_device(whole: DeviceData) -> None:
    """A tensor on meta has no content: what would wait for it is an error, as are two devices."""
    meta = torch.device("meta")
    everyone = torch.ones(whole.n_users + 1, dtype=torch.bool, device=meta)
    source = OnHost(whole, meta, 150)
    sizes = 0
    for chunk in source.chunks("train", drawn(whole, "train"), SIZES):
        for rows, positions in zip(chunk.batches(), chunk.positions, strict=True):
            batch = make_batch(chunk.data, "train", rows, everyone, positions)
            assert {v.device for v in batch.tensors.values()} == {meta}
            sizes += len(batch.item)
    assert sizes == sum(SIZES)


@pytest.mark.cuda
@pytest.mark.parametrize("room", ROOM)
def test_batches_on_a_gpu_are_those_of_rows_on_it(whole: DeviceData, room: tuple[int, int]) -> None:
    gpu = torch.device("cuda")
    everyone = torch.ones(whole.n_users + 1, dtype=torch.bool, device=gpu)
    sources: list[Source] = [OnDevice(whole.to(gpu)), OnHost(whole, gpu, *room)]
    assert all(s.history_items.is_pinned() for s in sources[1]._slots)  # type: ignore[attr-defined]
    expected, found = (
        [
            make_batch(chunk.data, "train", rows, everyone)
            for _ in range(20)
            for chunk in source.chunks("train", drawn(whole, "train"), SIZES)
            for rows in chunk.batches()
        ]
        for source in sources
    )
    for a, b in zip(found, expected, strict=True):
        assert all(torch.equal(getattr(a, k), v) for k, v in b.tensors.items())


def _replace_cut(
    monkeypatch: pytest.MonkeyPatch, other: Callable[..., object]
) -> Callable[..., object]:

    original = host_stream.cut
    monkeypatch.setattr(host_stream, "cut", other)
    return original


@pytest.fixture(scope="module")
def without_signals(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(host_stream, "free_bytes", lambda _: free)


def test_data_that_takes_at_most_half_of_the_free_memory_is_stored_on_the_device(
    without_signals: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 2 * without_signals.nbytes)
    assert choose_source(without_signals, CPU, "auto").location == "device"


def test_larger_data_stays_on_the_host_and_a_warning_says_so(
    without_signals: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 2 * without_signals.nbytes - 1)
    said = r"takes 0\.\d GB, more than half of the 0\.\d GB .* stays on the host .*training.data_on"
    with pytest.warns(UserWarning, match=said):
        source = choose_source(without_signals, CPU, "auto")
    assert source.location == "host"
    assert source.whole is without_signals


@pytest.mark.parametrize("data_on", ["device", "host"])
def test_an_explicit_location_is_obeyed_without_a_warning(
    without_signals: DeviceData, monkeypatch: pytest.MonkeyPatch, data_on: Location
) -> None:
    with_free(monkeypatch, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_source(without_signals, CPU, data_on).location == data_on


def test_a_cpu_has_its_data_on_the_device(without_signals: DeviceData) -> None:
    source = choose_source(without_signals, CPU, "auto")
    assert source.location == "device"
    # It is not copied.
    assert source.data.history_items.data_ptr() == without_signals.history_items.data_ptr()
