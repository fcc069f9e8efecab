"""Runs each model's training step on tensors that have a device, shapes and no content.

A process of its own, as it names a device type for good: ``python -m tests.training.fake_gpu``
prints, as JSON, what went wrong by model, "" where nothing did. Whatever would make the host wait
for the device (``.item()``, a boolean mask, ``nonzero``), shapes that depend on what is in a
tensor, and tensors of two devices in one operation are errors there, as they are in the capture of
a CUDA graph. CUDA itself will not do: a torch without it has no such device, not even a fake one.
"""

import json
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils import backend_registration as backend

from mmctr_kit.recipe import Training
from mmctr_kit.testing import ROW_SIGNALS, SIGNALS, USERS, build_model
from mmctr_kit.training.data.batches import DeviceData, DeviceRows
from mmctr_kit.training.step import Step
from tests.models.test_contract import KNOW_USERS, NEURAL

GPU = "fakegpu"
ROWS, POSITIONS, BATCH, STATIC = 1_000, 8_000, 64, 700


class _Module(backend._DummyBackendModule):
    """What torch asks of a device type. Said not to be there, so that nothing is put on it."""

    def is_available(self) -> bool:
        return False

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


def register() -> torch.library.Library:
    """Make the device type known, until the library is gone."""
    backend._setup_privateuseone_for_python_backend(GPU, _Module())
    kernels = torch.library.Library("aten", "IMPL", "Meta")
    for name in ("_fused_adam_.tensor_lr", "_fused_adamw_.tensor_lr"):
        kernels.impl(name, lambda *_args, **_options: None)  # they change tensors in place
    return kernels


def fake_data() -> DeviceData:
    def ints(size: int, dtype: torch.dtype = torch.int64) -> Tensor:
        return torch.zeros(size, dtype=dtype, device=GPU)

    rows = DeviceRows(
        item=ints(ROWS, torch.int32),
        likes_level=ints(ROWS, torch.int32),
        views_level=ints(ROWS, torch.int32),
        user=ints(ROWS),
        begin=ints(ROWS),
        end=ints(ROWS),
        signals=torch.zeros(POSITIONS, SIGNALS, dtype=torch.float16, device=GPU),
        signal_begin=ints(ROWS),
        row_signals=torch.zeros(ROWS, ROW_SIGNALS, dtype=torch.float16, device=GPU),
        label=torch.zeros(ROWS, device=GPU),
    )
    users = np.arange(1, USERS + 1)
    return DeviceData(users, USERS, {"train": rows}, ints(POSITIONS, torch.int32))


def without_content(model: nn.Module) -> nn.Module:
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            new = nn.Parameter(torch.empty(old.shape, dtype=old.dtype, device=GPU))
            setattr(module, name, new)
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device=GPU))
    return model


def error_of(
    name: str,
    optimizer: str,
    positions: int | None,
    rows: int = BATCH,
    user_updates: str = "dense",
    **of_model: Any,
) -> str:
    model = build_model(name, **of_model)
    options = Training.model_validate(
        {
            "optimizer": optimizer,
            "user_updates": user_updates,
            "precision": "float32",
            "embedding_regularizer": 1e-6,
            "net_regularizer": 1e-6,
            "clip_norm": 10.0,
        }
    )
    with FakeTensorMode():
        known = torch.ones(USERS + 1, dtype=torch.bool, device=GPU)
        step = Step(without_content(model).train(), fake_data(), options, known)
        try:
            loss = step(torch.zeros(rows, dtype=torch.int64, device=GPU), positions)
        except Exception as e:
            return f"{type(e).__name__}: {e}"
    return "" if loss.shape == () else f"a loss of shape {tuple(loss.shape)}"


if __name__ == "__main__":
    kept = register()
    # DIEN reads slots one after another: four of them show what 64 do.
    short = {name: {"max_length": 4} if name == "dien" else {} for name in NEURAL}
    errors = {name: error_of(name, "adam", STATIC, **short[name]) for name in NEURAL}
    # Fewer ids than the catalogue has items: each is encoded by itself.
    errors |= {
        f"{name}, few rows": error_of(name, "adam", 40, rows=8, **short[name]) for name in NEURAL
    }
    errors |= {
        f"{name}, rows": error_of(name, "adam", STATIC, user_updates="rows") for name in KNOW_USERS
    }
    similar = {"similarity_histogram": True, "code_prefix": True}
    for kind in ("mlp", "multihead"):
        errors[f"similar, {kind}"] = error_of("din", "adam", STATIC, attention=kind, **similar)
    errors["adamw"] = error_of("din", "adamw", STATIC)
    errors["no static total"] = error_of("din", "adam", None)
    json.dump(errors, sys.stdout)
