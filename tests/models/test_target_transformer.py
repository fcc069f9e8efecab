"""mmctr_kit.models.target_transformer against plain attention over one row after another."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmctr_kit.errors import UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.target_transformer import Layer, TargetTransformer
from mmctr_kit.testing import build_model, close, example_batch, predict, take_rows


def model(**options: Any) -> TargetTransformer:
    small = {"token_dim": 8, "heads": 2, "feedforward": 6, "mlp_hidden": (7,), "max_length": 5}
    built = build_model("target_transformer", **{**small, **options})
    assert isinstance(built, TargetTransformer)
    return built.eval()


def attended(layer: Layer, x: Tensor, bias: Tensor) -> Tensor:
    """(L, W) tokens and bias (L, H) of keys -> (L, W)."""
    normed = layer.norm(x)
    of_heads = []
    heads = (f(normed).chunk(layer.heads, dim=1) for f in (layer.query, layer.key, layer.value))
    for q, k, v, b in zip(*heads, bias.T, strict=True):
        weight = torch.softmax(q @ k.T / q.shape[1] ** 0.5 + b, dim=1)
        of_heads.append(weight @ v)
    x = x + layer.out(torch.cat(of_heads, dim=1))
    return x + layer.feed(x)


def by_rows(net: TargetTransformer, batch: Batch) -> Tensor:
    """(B,) logits, row by row."""
    logits = []
    for r, (begin, end) in enumerate(zip(batch.offsets[:-1], batch.offsets[1:], strict=True)):
        begin = max(begin, end - net.max_length)
        target = net.items(batch.item[r : r + 1])
        query = net.token(target)
        items = net.token(net.items(batch.history[begin:end]))
        assert net.signal is not None
        wide, by_head = net.signal(batch.signals[begin:end]).split([8, 2], dim=1)
        age = torch.arange(int(end - begin) - 1, -1, -1)  # 0 = the most recent
        tokens = items + net.match(items * query) + wide + net.position(age)
        x = torch.cat([tokens, query + net.target])
        bias = F.pad(by_head + net.recency(age), (0, 0, 0, 1))
        for layer in net.layers:
            x = attended(layer, x, bias)
        read = net.norm(x[-1:])
        levels = (
            net.likes_level(batch.likes_level[r : r + 1]),
            net.views_level(batch.views_level[r : r + 1]),
        )
        fields = [*levels, target, read, read * query, batch.row_signals[r : r + 1]]
        logits.append(net.mlp(torch.cat(fields, dim=1)))
    return torch.cat(logits).squeeze(-1)


@pytest.mark.parametrize("layers", [1, 2])
def test_logits_are_those_of_one_row_after_another(layers: int) -> None:
    net, batch = model(layers=layers), example_batch(rows=12, least=0, most=8)
    assert (batch.offsets.diff() > net.max_length).any()
    with torch.no_grad():
        assert close(predict(net, batch), by_rows(net, batch))


def test_a_short_historys_items_order_and_signals_change_the_logit() -> None:
    net, batch = model(), take_rows(example_batch(least=3, most=3), [0])
    other = batch.history[[2, 1, 0]]
    logit = predict(net, batch)
    assert not torch.equal(logit, predict(net, replace(batch, history=other)))
    assert not torch.equal(logit, predict(net, replace(batch, history=batch.history % 60 + 1)))
    assert not torch.equal(logit, predict(net, replace(batch, signals=batch.signals + 1)))


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(UsageError, match=r"model\.heads is 3"):
        model(heads=3)
