"""The contract that every model in the registry keeps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.users import UserEmbedding
from mmctr_kit.models.registry import MODELS, model_class, model_supplies
from mmctr_kit.recipe import parse_recipe
from tests.training.learners import learner_of

ITEMS, TAGS, ROWS, USERS = 60, 9, 40, 25
SIGNALS, ROW_SIGNALS = 3, 13
NEURAL = sorted(name for name, entry in MODELS.items() if entry.learner.uses_gpu)
KNOW_USERS = [name for name in NEURAL if "n_users" in model_supplies(name)]
"""The networks with a table of users."""
BOOSTED = sorted(set(MODELS) - set(NEURAL))


def supplied(name: str, width: int = 12) -> dict[str, Any]:
    """What the model is given of a made-up item table."""
    generator = torch.Generator().manual_seed(1)
    tags = torch.randint(0, TAGS, (ITEMS + 1, 5), generator=generator)
    table = torch.randn(ITEMS + 1, 12, generator=generator)
    levels = torch.randint(1, N_LEVELS, (2, ITEMS + 1), generator=generator)
    tags[0], table[0], levels[:, 0] = 0, 0, 0
    supplies = {
        "item_tags": tags,
        "item_emb": table[:, :width],
        "item_emb_widths": (width // 2, width - width // 2),
        "item_present": torch.rand(ITEMS + 1, 2, generator=generator) < 0.8,
        "item_likes_level": levels[0],
        "item_views_level": levels[1],
        "n_tags": TAGS,
        "n_users": USERS,
        "n_signals": SIGNALS,
        "n_row_signals": ROW_SIGNALS,
    }
    return {k: supplies[k] for k in model_supplies(name)}


def build(name: str, seed: int = 0, width: int = 12) -> nn.Module:
    """The model at its defaults, on a made-up item table, its weights large enough to matter."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(2)
    model: nn.Module = model_class(name)(**supplied(name, width))
    for parameter in model.parameters():
        # The official N(0, 1e-4) embeddings would hide any difference below the tolerance.
        if parameter.dim() == 2 and parameter.std() < 1e-3:
            nn.init.normal_(parameter, std=0.5, generator=generator)
    return model


def skip_if_exempt(name: str, contract: str) -> None:
    """Skip, with the reason, where the model's class declares that it cannot keep a contract."""
    exempt = getattr(model_class(name), "exempt", {})
    assert set(exempt) <= {"padding", "gradient", "overfit", "cuda"}
    if contract in exempt:
        pytest.skip(f"{name}, {contract}: {exempt[contract]}")


def make_batch(rows: int = ROWS, seed: int = 0, least: int = 1, most: int = 12) -> Batch:
    random = np.random.default_rng(seed)
    lengths = random.integers(least, most + 1, rows)
    return Batch(
        item=torch.from_numpy(random.integers(1, ITEMS + 1, rows)),
        likes_level=torch.from_numpy(random.integers(1, N_LEVELS, rows)),
        views_level=torch.from_numpy(random.integers(1, N_LEVELS, rows)),
        user=torch.from_numpy(random.integers(0, USERS + 1, rows)),
        history=torch.from_numpy(random.integers(1, ITEMS + 1, int(lengths.sum()))),
        row=torch.from_numpy(np.repeat(np.arange(rows), lengths)),
        offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)])),
        signals=torch.from_numpy(random.normal(size=(lengths.sum(), SIGNALS)).astype(np.float32)),
        row_signals=torch.from_numpy(random.normal(size=(rows, ROW_SIGNALS)).astype(np.float32)),
    )


def take(batch: Batch, rows: list[int]) -> Batch:
    """The batch of these rows of ``batch``, in this order."""
    spans = [(int(batch.offsets[r]), int(batch.offsets[r + 1])) for r in rows]
    lengths = torch.tensor([b - a for a, b in spans])
    return Batch(
        item=batch.item[rows],
        likes_level=batch.likes_level[rows],
        views_level=batch.views_level[rows],
        user=batch.user[rows],
        history=torch.cat([batch.history[a:b] for a, b in spans]),
        row=torch.repeat_interleave(lengths),
        offsets=nn.functional.pad(lengths.cumsum(0), (1, 0)),
        signals=torch.cat([batch.signals[a:b] for a, b in spans]),
        row_signals=batch.row_signals[rows],
    )


def with_padding(batch: Batch, amount: int, content: int) -> Batch:
    """The batch with so many dummy positions of one item behind it."""
    return replace(
        batch,
        history=torch.cat([batch.history, torch.full((amount,), content)]),
        row=torch.cat([batch.row, torch.full((amount,), ROWS)]),
        signals=torch.cat([batch.signals, torch.full((amount, SIGNALS), float(content))]),
    )


def logits(model: nn.Module, batch: Batch) -> Tensor:
    model.eval()
    with torch.inference_mode():
        found: Tensor = model(batch)
    return found


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    return bool(((a - b).abs() <= tolerance * a.abs().clamp(min=1)).all())


def by_length(batch: Batch, buckets: int) -> Batch:
    """The same rows, longest first, in so many buckets, with what that says of them."""
    lengths = batch.offsets.diff()
    order = torch.argsort(lengths, descending=True, stable=True).tolist()
    parts = torch.tensor_split(lengths[order], buckets)
    known = tuple((len(part), int(part.max()) + 1) for part in parts)
    return replace(take(batch, order), buckets=known)


@pytest.mark.parametrize("name", NEURAL)
@pytest.mark.parametrize("amount", [1, 7, 500])
@pytest.mark.parametrize("content", [0, 3, ITEMS])
def test_neither_amount_nor_content_of_padding_changes_the_output(
    name: str, amount: int, content: int
) -> None:
    skip_if_exempt(name, "padding")
    model, batch = build(name), make_batch()
    padded = with_padding(batch, amount, content)
    assert close(logits(model, batch), logits(model, padded))


@pytest.mark.parametrize("name", NEURAL)
def test_padding_gets_no_gradient(name: str) -> None:
    skip_if_exempt(name, "padding")
    model, batch = build(name), make_batch()
    padded = with_padding(batch, 9, ITEMS)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # it draws a number for each position, dummies too
    gradients = []
    for each in (batch, padded):
        model.train()
        model.zero_grad()
        torch.manual_seed(0)  # the same dropout both times
        model(each).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(close(a, b, 1e-4) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", NEURAL)
def test_the_order_of_rows_in_a_batch_changes_nothing(name: str) -> None:
    model, batch = build(name), make_batch()
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(3)).tolist()
    assert close(logits(model, batch)[order], logits(model, take(batch, order)))


@pytest.mark.parametrize("name", NEURAL)
def test_rows_predicted_one_by_one_equal_rows_predicted_together(name: str) -> None:
    model, batch = build(name), make_batch()
    alone = torch.cat([logits(model, take(batch, [r])) for r in range(ROWS)])
    assert close(logits(model, batch), alone)


@pytest.mark.parametrize("name", NEURAL)
def test_a_row_without_history_has_a_finite_logit(name: str) -> None:
    batch = make_batch(least=0, most=2)
    assert (batch.offsets.diff() == 0).any()
    assert torch.isfinite(logits(build(name), batch)).all()


@pytest.mark.parametrize("name", NEURAL)
def test_the_same_seed_gives_the_same_model(name: str) -> None:
    first, again, other = (build(name, seed) for seed in (5, 5, 6))
    batch = make_batch()
    assert torch.equal(logits(first, batch), logits(again, batch))
    assert not torch.equal(logits(first, batch), logits(other, batch))


@pytest.mark.parametrize("name", NEURAL)
def test_saved_weights_give_the_same_predictions_in_a_fresh_model(name: str) -> None:
    model, batch = build(name, 1), make_batch()
    model.train()
    model(batch).sum().backward()
    fresh = build(name, 2)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(logits(model, batch), logits(fresh, batch))


@pytest.mark.parametrize("name", NEURAL)
def test_gradient_reaches_every_parameter(name: str) -> None:
    skip_if_exempt(name, "gradient")
    model = build(name)
    model.train()
    random = torch.randn(ROWS, generator=torch.Generator().manual_seed(0))
    (model(make_batch()) * random).sum().backward()
    untouched = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []


@pytest.mark.parametrize("name", NEURAL)
def test_sixty_four_rows_can_be_overfitted(name: str) -> None:
    skip_if_exempt(name, "overfit")
    model, batch = build(name), make_batch(rows=64)
    labels = (torch.arange(64) % 2).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    lowest = 1.0
    for _ in range(60):
        model.train()
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(batch), labels)
        loss.backward()
        optimizer.step()
        lowest = loss.item()
        if lowest < 0.1:
            break
    assert lowest < 0.1


@pytest.mark.parametrize("name", NEURAL)
def test_a_user_is_known_by_the_rows_of_user_tables_alone(name: str) -> None:
    """As training.user_updates: rows takes for granted."""
    model, batch = build(name), make_batch()
    tables = [m for m in model.modules() if isinstance(m, UserEmbedding)]
    assert bool(tables) == (name in KNOW_USERS)
    expected = logits(model, batch)
    numbers = torch.randperm(USERS, generator=torch.Generator().manual_seed(0)) + 1
    numbers = torch.cat([torch.zeros(1, dtype=torch.long), numbers])
    with torch.no_grad():
        for table in tables:
            table.weight[numbers] = table.weight.clone()
    assert torch.equal(logits(model, replace(batch, user=numbers[batch.user])), expected)
    assert (not tables) == torch.equal(logits(model, batch), expected)


@pytest.mark.parametrize("name", NEURAL)
def test_a_model_works_without_a_multimodal_vector(name: str) -> None:
    assert torch.isfinite(logits(build(name, width=0), make_batch())).all()


@pytest.mark.cuda
@pytest.mark.parametrize("name", NEURAL)
def test_cpu_and_gpu_agree(name: str) -> None:
    model, batch = build(name), make_batch()
    here = logits(model, batch)
    there = batch.to("cuda")
    assert close(here, logits(model.cuda(), there).cpu(), 1e-4)


def boosted(name: str, data: ChallengeData, rows: int = 1600, seed: int = 0, **options: int) -> Any:
    """A boosted model's learner, fitted on the first rows of train but for their last quarter."""
    content: dict[str, Any] = {"name": name, "model": {"name": name, "rounds": 10} | options}
    content["training"] = {"learning_rate": 0.2, "epochs": 3, "snapshot": "last"}
    learner = learner_of(parse_recipe(content, name), data)
    list(learner.fit(np.arange(rows * 3 // 4), np.arange(rows * 3 // 4, rows), seed))
    return learner


@pytest.mark.parametrize("contract", ["padding", "gradient", "cuda"])
@pytest.mark.parametrize("name", BOOSTED)
def test_what_a_boosted_model_cannot_keep_it_declares(name: str, contract: str) -> None:
    skip_if_exempt(name, contract)
    pytest.fail(f"{name} must keep '{contract}' as networks do, or declare why it can't")


@pytest.mark.parametrize("name", BOOSTED)
def test_a_boosted_rows_prediction_depends_on_no_other_row(name: str, tiny: ChallengeData) -> None:
    learner, order = boosted(name, tiny), np.random.default_rng(0).permutation(len(tiny.test))
    whole = learner.predict("test")
    assert np.array_equal(learner.predict("test", order), whole[order])
    alone = [learner.predict("test", np.array([row]))[0] for row in range(20)]
    assert np.array_equal(alone, whole[:20])


@pytest.mark.parametrize("name", BOOSTED)
def test_the_same_seed_boosts_the_same_model(name: str, tiny: ChallengeData) -> None:
    first, again, other = (boosted(name, tiny, seed=s).predict("test") for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", BOOSTED)
def test_saved_trees_give_the_same_predictions_in_a_fresh_learner(
    name: str, tiny: ChallengeData
) -> None:
    learner = boosted(name, tiny)
    fresh = learner_of(learner.recipe, tiny)
    fresh.load(learner.weights())
    assert np.array_equal(fresh.predict("valid"), learner.predict("valid"))


@pytest.mark.parametrize("name", BOOSTED)
def test_sixty_four_rows_can_be_overfitted_by_trees(name: str, tiny: ChallengeData) -> None:
    learner = boosted(
        name, tiny, rows=84, leaf_rows=1, l2=0, rounds=60, row_share=1, feature_share=1
    )
    label = tiny.train.labels()[:63]
    assert np.logaddexp(0, (1 - 2 * label) * learner.predict("train", np.arange(63))).mean() < 0.1


@pytest.mark.parametrize("name", NEURAL)
def test_a_model_can_be_built_without_content_to_see_whether_its_options_fit(name: str) -> None:
    values = supplied(name)
    with torch.device("meta"):
        model = model_class(name)(
            **{k: v.to("meta") if isinstance(v, Tensor) else v for k, v in values.items()}
        )
    assert {p.device.type for p in model.parameters()} <= {"meta"}
    shapes = {name: p.shape for name, p in model.named_parameters()}
    assert shapes == {n: p.shape for n, p in build(name).named_parameters()}
