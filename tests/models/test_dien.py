"""mmctr_kit.models.dien against plain loops over one row after another, after the paper."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.dien import DIEN, GRU
from mmctr_kit.testing import build_model, close, example_batch, with_dummies
from mmctr_kit.training.step import eager
from tests.models.padded import run_pass


def model(**options: Any) -> DIEN:
    built = build_model("dien", **{"mlp_dropout": 0.0, "batch_norm": False, **options})
    assert isinstance(built, DIEN)
    return built


def one_step(gru: GRU, item: Tensor, state: Tensor, attention: Tensor | float) -> Tensor:
    """(H,) the state after an item, its update gate times the attention."""
    n = len(state)
    x = gru.input(item)
    update = torch.sigmoid(x[:n] + gru.gates.weight[:n] @ state)
    reset = torch.sigmoid(x[n : 2 * n] + gru.gates.weight[n:] @ state)
    candidate = torch.tanh(x[2 * n :] + gru.candidate.weight @ (reset * state))
    scaled = attention * update
    return (1 - scaled) * state + scaled * candidate


def interests_of(dien: DIEN, items: Tensor) -> Tensor:
    """(L, H) of one row's item vectors (L, D)."""
    state, states = torch.zeros(dien.attention.out_features), []
    for item in items:
        state = one_step(dien.extractor, item, state, 1.0)
        states.append(state)
    return torch.stack(states) if states else state.new_zeros(0, len(state))


def by_rows(dien: Any, batch: Batch) -> Tensor:
    """(B,) logits, row by row."""
    logits = []
    for row, (begin, end) in enumerate(zip(batch.offsets[:-1], batch.offsets[1:], strict=True)):
        every = dien.items(batch.history[begin:end])
        target = dien.items(batch.item[row : row + 1])[0]
        interests = interests_of(dien, every[-dien.max_length :])
        attention = torch.softmax(interests @ dien.attention(target), 0)
        state = torch.zeros(interests.shape[1])
        for interest, weight in zip(interests, attention, strict=True):
            state = one_step(dien.evolution, interest, state, weight)
        levels = dien.likes_level(batch.likes_level[row]), dien.views_level(batch.views_level[row])
        pooled = every.sum(0)
        logits.append(dien.mlp(torch.cat([*levels, target, pooled, pooled * target, state])[None]))
    return torch.cat(logits).squeeze(-1)


def test_logits_and_gradients_are_those_of_one_row_after_another() -> None:
    dien, batch = model(max_length=5).train(), example_batch(rows=12, least=0, most=8)
    lengths = batch.offsets.diff()
    assert (lengths == 0).any()
    assert (lengths > 5).any()
    mine, plain = run_pass(dien, eager, batch), run_pass(dien, by_rows, batch)
    assert close(plain.output, mine.output)
    for name, gradient in plain.gradients.items():
        assert torch.allclose(mine.gradients[name], gradient, atol=1e-4), name


def test_the_auxiliary_loss_tells_the_next_item_from_one_half_a_batch_away() -> None:
    dien, batch = model(max_length=5), example_batch(rows=9, least=1, most=8)
    assert dien.auxiliary is not None
    total, losses = len(batch.history), []
    for begin, end in zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True):
        seen = list(range(max(begin, end - 5), end))
        interests = interests_of(dien, dien.items(batch.history[seen]))
        for interest, position in zip(interests, seen[1:], strict=False):
            other = (position + total // 2) % total
            if batch.history[other] == batch.history[position]:
                continue
            for place, label in ((position, 1.0), (other, 0.0)):
                item = dien.items(batch.history[place : place + 1])[0]
                logit = dien.auxiliary(torch.cat([interest, item])[None]).squeeze()
                losses.append(F.binary_cross_entropy_with_logits(logit, torch.tensor(label)))
    labels = torch.arange(9).float() % 2
    expected = 2 * torch.stack(losses).mean()  # a pair is two terms
    logloss = F.binary_cross_entropy_with_logits(dien(batch), labels)
    assert close(logloss + expected, dien.loss(batch, labels))
    dien.aux_weight = 0.5
    assert close(logloss + 0.5 * expected, dien.loss(with_dummies(batch, 7, 3), labels))


def test_without_weight_there_is_no_auxiliary_network() -> None:
    dien, batch = model(aux_weight=0.0), example_batch(rows=4)
    assert dien.auxiliary is None
    labels = torch.tensor([0.0, 1.0, 1.0, 0.0])
    assert torch.equal(
        dien.loss(batch, labels), F.binary_cross_entropy_with_logits(dien(batch), labels)
    )


def test_a_batch_without_any_history_has_a_finite_loss() -> None:
    loss = model().loss(example_batch(rows=4, least=0, most=0), torch.ones(4))
    assert torch.isfinite(loss)
