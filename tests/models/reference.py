"""The published models' reference arrays (tests/reference/*.npz), shared by the model tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmctr_kit.models.batch import Batch

REFERENCE = Path(__file__).parent.parent / "reference"


def read_reference(name: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """(configuration, all arrays, parameters under their published names) of one model."""
    with np.load(REFERENCE / f"{name}.npz") as archive:
        config = json.loads(bytes(archive["config_json"]))
        arrays = {k: torch.from_numpy(archive[k]) for k in archive.files if k != "config_json"}
    parameters = {k.removeprefix("param/"): v for k, v in arrays.items() if k.startswith("param/")}
    return config, arrays, parameters


def packed(arrays: dict[str, Tensor]) -> Batch:
    """The reference's rows, their left-padded histories packed."""
    sequence, item = arrays["input/item_seq"], arrays["input/item_id"]
    lengths = (sequence != 0).sum(1)
    return Batch(
        item=item,
        likes_level=arrays["input/likes_level_of_item"][item],
        views_level=arrays["input/views_level_of_item"][item],
        user=arrays["input/user_id"],
        history=sequence[sequence != 0],
        row=torch.repeat_interleave(lengths),
        offsets=torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
        signals=torch.zeros(int(lengths.sum()), 0),
        row_signals=torch.zeros(len(item), 0),
    )
