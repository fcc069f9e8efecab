"""mmctr_kit.training.device: which device a run gets."""

import pytest
import torch

from mmctr_kit.errors import UsageError
from mmctr_kit.training.device import describe_device, prepare, resolve_device


def test_auto_is_the_gpu_where_there_is_one_and_the_cpu_elsewhere() -> None:
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_an_absent_gpu_that_was_asked_for_is_an_error_not_a_silent_cpu_run() -> None:
    with pytest.raises(UsageError, match="no GPU here"):
        resolve_device("cuda")


def test_preparing_sets_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        prepare("cpu", 1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert describe_device("cpu").startswith("CPU")
