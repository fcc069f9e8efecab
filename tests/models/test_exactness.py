"""The fast paths against the plain one: packed, at fixed sizes, compiled and captured, every model
gives the logits and the gradients of its padded float32 self."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din import DIN
from mmctr_kit.models.registry import model_class
from mmctr_kit.training.step import compiled
from tests.models.padded import PADDED
from tests.models.test_contract import NEURAL, ROWS, build, by_length, make_batch, with_padding

DUMMIES = 90
VARIANTS: dict[str, dict[str, Any]] = {
    "multihead": {"attention": "multihead", "interaction": True, "se": True},
    "mean": {"pooling": "mean", "interaction": True, "se": True, "se_fields": "item"},
    "no attention": {"attention": "none", "interaction": True},
    "gated": {"fusion": "gated", "modality_dropout": 0.2},
    "cross": {"fusion": "cross", "attention": "multihead"},
}


@dataclass(frozen=True)
class Found:
    logits: Tensor
    gradients: dict[str, Tensor]


def without_dropout(model: nn.Module) -> nn.Module:
    """In training, but for what is random."""
    for module in model.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.train()


def found(model: nn.Module, forward: Callable[[Any, Batch], Tensor], batch: Batch) -> Found:
    model.zero_grad()
    logits = forward(model, batch)
    weight = torch.linspace(-1, 1, len(logits), device=logits.device)
    (logits * weight).sum().backward()
    named = model.named_parameters()
    gradients = {n: p.grad.clone().cpu() for n, p in named if p.grad is not None}
    return Found(logits.detach().cpu(), gradients)


def require_equal(one: Found, plain: Found) -> None:
    """Logits to 1e-5, relative above 1; gradients to 1e-4 of their parameter's largest."""
    scale = plain.logits.abs().clamp(min=1)
    assert ((one.logits - plain.logits).abs() / scale).max() <= 1e-5
    # Where nothing flows back, one may have zeros and the other no gradient at all.
    for name in one.gradients.keys() | plain.gradients.keys():
        nothing = torch.zeros(())
        mine, other = (f.gradients.get(name, nothing) for f in (one, plain))
        # A bias that a softmax or a batch norm cancels is left with the rounding of what its weight
        # gets.
        weight = plain.gradients.get(f"{name.removesuffix('bias')}weight", nothing)
        largest = max(float(other.abs().max()), float(weight.abs().max()), 1e-2)
        assert (mine - other).abs().max() <= 1e-4 * largest, name


def packed(model: nn.Module, batch: Batch) -> Tensor:
    logits: Tensor = model(batch)
    return logits


def variant(name: str) -> nn.Module:
    """A model of the registry, or DIN with other options."""
    if name in NEURAL:
        return build(name)
    torch.manual_seed(0)
    plain = build("din")
    assert isinstance(plain, DIN)
    items = plain.items
    model = DIN(
        item_tags=items.tags,
        item_emb=items.item_emb,
        item_emb_widths=(6, 6),
        item_present=torch.arange(2 * len(items.tags)).view(-1, 2) % 3 > 0,
        n_tags=9,
        n_signals=3,
        n_row_signals=13,
        **VARIANTS[name],
    )
    for parameter in model.parameters():
        if parameter.dim() == 2 and parameter.std() < 1e-3:
            nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("name", [*PADDED, *VARIANTS])
def test_packed_and_padded_agree(name: str) -> None:
    model, batch = without_dropout(variant(name)), by_length(make_batch(least=0), 3)
    assert (batch.offsets.diff() == 0).any()
    plain = found(model, PADDED.get(name, PADDED["din"]), batch)
    require_equal(found(model, packed, batch), plain)
    require_equal(found(model, packed, replace(batch, buckets=())), plain)
    if "padding" not in getattr(type(model), "exempt", {}):
        require_equal(found(model, packed, with_padding(batch, DUMMIES, 7)), plain)


@pytest.mark.parametrize("name", [*NEURAL, *VARIANTS])
def test_compiled_and_packed_agree(name: str) -> None:
    """Traced whole, with shapes that do not depend on the rows, but not translated."""
    model, batch = without_dropout(variant(name)), by_length(make_batch(least=0), 3)
    traced = found(model, compiled("aot_eager"), with_padding(batch, DUMMIES, 7))
    require_equal(traced, found(model, packed, with_padding(batch, DUMMIES, 7)))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_translated_code_agrees_too() -> None:
    model, batch = without_dropout(variant("multihead")), make_batch(least=0)
    translated = found(model, compiled(), with_padding(batch, DUMMIES, 7))
    require_equal(translated, found(model, packed, batch))


@pytest.mark.cuda
@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("name", [*PADDED, *VARIANTS])
def test_a_gpu_agrees_with_the_padded_cpu(name: str, how: str) -> None:
    model, batch = without_dropout(variant(name)), by_length(make_batch(least=0), 3)
    plain = found(model, PADDED.get(name, PADDED["din"]), batch)
    there = with_padding(batch, DUMMIES, 7).to("cuda")
    # One for each model: torch compiles a function for so many and no more.
    forward = compiled() if how == "compiled" else packed
    require_equal(found(model.cuda(), forward, there), plain)


def test_every_model_that_reads_histories_has_a_padded_self() -> None:
    """But for the one that sees their length alone."""
    assert set(NEURAL) - set(PADDED) == {"history_length_only"}
    assert all(model_class(name) for name in PADDED)
    assert ROWS == 40
