"""mmctr_kit.training.data.host_stream: where the data lies."""

import warnings

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.training.data import host_stream as placement
from mmctr_kit.training.data.batches import DeviceData, to_device
from mmctr_kit.training.data.host_stream import place
from tests.training.test_fit import CPU


@pytest.fixture(scope="module")
def data(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(placement, "free_bytes", lambda _: free)


def test_what_takes_at_most_half_of_the_free_memory_lies_on_the_device(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 2 * data.nbytes)
    assert place(data, CPU, "auto").place == "device"


def test_what_takes_more_stays_on_the_host_and_a_warning_says_so(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 2 * data.nbytes - 1)
    said = r"takes 0\.\d GB, more than half of the 0\.\d GB .* stays on the host .*training.data_on"
    with pytest.warns(UserWarning, match=said):
        source = place(data, CPU, "auto")
    assert source.place == "host"
    assert source.whole is data


@pytest.mark.parametrize("data_on", ["device", "host"])
def test_what_was_asked_for_is_done_and_not_remarked_on(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch, data_on: placement.Place
) -> None:
    with_free(monkeypatch, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert place(data, CPU, data_on).place == data_on


def test_a_cpu_has_its_data_on_the_device(data: DeviceData) -> None:
    source = place(data, CPU, "auto")
    assert source.place == "device"
    # And no copy of it.
    assert source.data.history_items.data_ptr() == data.history_items.data_ptr()
