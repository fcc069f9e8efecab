"""Where the data lies: on the device that trains, or on the host where that is too small."""

import warnings
from typing import Literal

import torch

from mmctr_kit.training.batches import DeviceData
from mmctr_kit.training.device import free_bytes
from mmctr_kit.training.host import OnHost
from mmctr_kit.training.source import OnDevice, Place, Source

SHARE = 0.5
"""Of what is free on a device, what the data may take. The rest is for weights, their gradients
and moments, a step's activations, and a graph's memory, which depend on recipe and compiler."""


def place(whole: DeviceData, device: torch.device, data_on: Place | Literal["auto"]) -> Source:
    """The source of batches on ``device`` of data that lies on the host.

    ``auto`` keeps it there where it takes more than :data:`SHARE` of the device's free memory, and
    a warning says so.
    """
    if data_on == "auto":
        free = free_bytes(device)
        fits = free is None or whole.nbytes <= SHARE * free
        data_on = "device" if fits else "host"
        if free is not None and not fits:
            warnings.warn(
                f"the data takes {_gb(whole.nbytes)}, more than half of the {_gb(free)} that are "
                "free on the GPU; it stays on the host and goes there in chunks, slower "
                "(training.data_on)",
                stacklevel=2,
            )
    return OnDevice(whole.to(device)) if data_on == "device" else OnHost(whole, device)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
