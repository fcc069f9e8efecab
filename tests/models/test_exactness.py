"""The fast paths against the plain one: packed, at fixed sizes, compiled and captured, a model
gives the logits and the gradients of its padded float32 self.

A padded self is optional: that compiled and eager agree is in every model's contract.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor, nn

from mmctr_kit.models.batch import Batch
from mmctr_kit.testing import (
    build_model,
    by_length,
    example_batch,
    require_equal,
    with_dummies,
    without_dropout,
)
from mmctr_kit.training.step import compiled, eager
from tests.models.padded import PADDED, run_pass

DUMMIES = 90
VARIANTS: dict[str, dict[str, Any]] = {
    "multihead": {"attention": "multihead", "interaction": True, "se": True},
    "mean": {"pooling": "mean", "interaction": True, "se": True, "se_fields": "item"},
    "no attention": {"attention": "none", "interaction": True},
    "gated": {"fusion": "gated", "modality_dropout": 0.2},
    "cross": {"fusion": "cross", "attention": "multihead"},
    "similar": {"similarity_histogram": True, "pooling": "mean"},
    "similar by head": {
        "similarity_histogram": True,
        "attention": "multihead",
        "code_prefix": True,
    },
}


def variant(name: str) -> nn.Module:
    """A model of the registry, or DIN with other options, without dropout."""
    model = build_model(name) if name in PADDED else build_model("din", **VARIANTS[name])
    return without_dropout(model)


def padded(name: str) -> Callable[[Any, Batch], Tensor]:
    return PADDED.get(name, PADDED["din"])


@pytest.mark.parametrize("name", [*PADDED, *VARIANTS])
def test_packed_and_padded_agree(name: str) -> None:
    model, batch = variant(name), by_length(example_batch(least=0), 3)
    assert (batch.offsets.diff() == 0).any()
    plain = run_pass(model, padded(name), batch)
    require_equal(run_pass(model, eager, batch), plain)
    require_equal(run_pass(model, eager, replace(batch, buckets=())), plain)
    if "padding" not in getattr(type(model), "exempt", {}):
        require_equal(run_pass(model, eager, with_dummies(batch, DUMMIES, 7)), plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_compiled_and_packed_agree(name: str) -> None:
    """Traced whole, with shapes that do not depend on the rows, but not translated."""
    model = variant(name)
    batch = with_dummies(by_length(example_batch(least=0), 3), DUMMIES, 7)
    require_equal(run_pass(model, compiled("aot_eager"), batch), run_pass(model, eager, batch))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_translated_code_agrees_too() -> None:
    model, batch = variant("multihead"), example_batch(least=0)
    translated = run_pass(model, compiled(), with_dummies(batch, DUMMIES, 7))
    require_equal(translated, run_pass(model, eager, batch))


@pytest.mark.cuda
@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("name", [*PADDED, *VARIANTS])
def test_a_gpu_agrees_with_the_padded_cpu(name: str, how: str) -> None:
    model, batch = variant(name), by_length(example_batch(least=0), 3)
    plain = run_pass(model, padded(name), batch)
    on_gpu = with_dummies(batch, DUMMIES, 7).to("cuda")
    # One for each model: torch compiles a function only so many times.
    forward = compiled() if how == "compiled" else eager
    require_equal(run_pass(model.cuda(), forward, on_gpu), plain)
