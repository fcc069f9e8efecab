"""The contract of a neural model as pytest tests, for models of this package and from elsewhere.

A model that is registered as ``mine`` is tested by one line::

    from mmctr_kit.testing import ModelContract

    class TestMine(ModelContract): models = ("mine",)

It needs pytest, which nothing else of the package imports. ``options`` of the class, a dictionary,
are tested in place of the model's defaults. A model that cannot keep a part of the contract says so
in its own class, as ``exempt = {"overfit": "why"}``; the parts are :data:`PARTS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.blocks import UserEmbedding, logloss
from mmctr_kit.models.registry import model_class, model_supplies
from mmctr_kit.training.step import compiled, eager

PARTS = ("padding", "gradient", "overfit", "compile", "cuda")
"""The parts of the contract that a model may be exempt from, for a reason."""
ITEMS, TAGS, USERS, SIGNALS, ROW_SIGNALS = 60, 9, 25, 3, 13
"""Sizes of the made-up data: items, tags, users, and columns of the two kinds of signals."""
LEVELS, CODES = 2, 5
"""Sizes of the made-up codes: levels, and values of a code with 0 for none."""


def model_inputs_example(name: str, width: int = 12) -> dict[str, Any]:
    """What the kit supplies to model ``name``, of a made-up item table with ``width`` columns."""
    generator = torch.Generator().manual_seed(1)
    tags = torch.randint(0, TAGS, (ITEMS + 1, 5), generator=generator)
    table = torch.randn(ITEMS + 1, 12, generator=generator)
    levels = torch.randint(1, N_LEVELS, (2, ITEMS + 1), generator=generator)
    present = torch.rand(ITEMS + 1, 2, generator=generator) < 0.8
    codes = torch.randint(1, CODES, (ITEMS + 1, LEVELS), generator=generator)
    tags[0], table[0], levels[:, 0] = 0, 0, 0
    codes[:: ITEMS // 4] = 0  # the padding item, and some that have none
    inputs = {
        "item_tags": tags,
        "item_emb": table[:, :width],
        "item_emb_widths": (width // 2, width - width // 2),
        "item_present": present,
        "item_codes": codes,
        "item_likes_level": levels[0],
        "item_views_level": levels[1],
        "n_codes": CODES,
        "n_tags": TAGS,
        "n_users": USERS,
        "n_signals": SIGNALS,
        "n_row_signals": ROW_SIGNALS,
    }
    return {k: inputs[k] for k in model_supplies(name)}


def build_model(name: str, seed: int = 0, width: int = 12, **options: Any) -> nn.Module:
    """The model on a made-up item table, at its defaults but for ``options``.

    Tables that begin near zero are drawn anew, N(0, 0.5), so that what they do can be seen.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(2)
    model: nn.Module = model_class(name)(**model_inputs_example(name, width), **options)
    for parameter in model.parameters():
        if parameter.dim() == 2 and parameter.numel() > 1 and parameter.std() < 1e-3:
            nn.init.normal_(parameter, std=0.5, generator=generator)
    return model


def example_batch(rows: int = 40, seed: int = 0, least: int = 1, most: int = 12) -> Batch:
    """Random rows with histories of ``least`` to ``most`` items."""
    random = np.random.default_rng(seed)
    lengths = random.integers(least, most + 1, rows)
    fields = {
        "item": random.integers(1, ITEMS + 1, rows),
        "likes_level": random.integers(1, N_LEVELS, rows),
        "views_level": random.integers(1, N_LEVELS, rows),
        "user": random.integers(0, USERS + 1, rows),
        "history": random.integers(1, ITEMS + 1, int(lengths.sum())),
        "row": np.repeat(np.arange(rows), lengths),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),
        "signals": random.normal(size=(lengths.sum(), SIGNALS)).astype(np.float32),
        "row_signals": random.normal(size=(rows, ROW_SIGNALS)).astype(np.float32),
    }
    tensors: dict[str, Any] = {name: torch.from_numpy(field) for name, field in fields.items()}
    return Batch(**tensors)


def take_rows(batch: Batch, rows: Sequence[int]) -> Batch:
    """The batch of these rows of ``batch``, in this order."""
    spans = [(int(batch.offsets[r]), int(batch.offsets[r + 1])) for r in rows]
    lengths = torch.tensor([end - begin for begin, end in spans])
    of_rows = ("item", "likes_level", "views_level", "user", "row_signals")
    return Batch(
        **{name: getattr(batch, name)[list(rows)] for name in of_rows},
        history=torch.cat([batch.history[a:b] for a, b in spans]),
        row=torch.repeat_interleave(lengths),
        offsets=nn.functional.pad(lengths.cumsum(0), (1, 0)),
        signals=torch.cat([batch.signals[a:b] for a, b in spans]),
    )


def by_length(batch: Batch, buckets: int) -> Batch:
    """The batch with its longest rows first, and ``buckets`` that bound their lengths."""
    lengths = batch.offsets.diff()
    order = torch.argsort(lengths, descending=True, stable=True).tolist()
    parts = torch.tensor_split(lengths[order], buckets)
    known = tuple((len(part), int(part.max()) + 1) for part in parts)
    return replace(take_rows(batch, order), buckets=known)


def with_dummies(batch: Batch, amount: int, item: int) -> Batch:
    """The batch with ``amount`` dummy positions behind it, each holding ``item``."""
    return replace(
        batch,
        history=torch.cat([batch.history, torch.full((amount,), item)]),
        row=torch.cat([batch.row, torch.full((amount,), len(batch.item))]),
        signals=torch.cat([batch.signals, torch.full((amount, SIGNALS), float(item))]),
    )


def without_dropout(model: nn.Module) -> nn.Module:
    """The model in training mode, with all its dropout rates set to zero."""
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0  # type: ignore[assignment]
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.train()


def predict(model: nn.Module, batch: Batch) -> Tensor:
    """The logits (B,) of the batch, in evaluation."""
    model.eval()
    with torch.inference_mode():
        logits: Tensor = model(batch)
    return logits


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    """Whether all values differ by at most ``tolerance``, relative above 1."""
    return bool(((a - b).abs() <= tolerance * a.abs().clamp(min=1)).all())


@dataclass(frozen=True)
class Pass:
    """The output (logits or a loss) and the gradients, by parameter, of a pass."""

    output: Tensor
    gradients: dict[str, Tensor]

    @classmethod
    def backward(cls, model: nn.Module, output: Tensor, objective: Tensor) -> "Pass":
        """The pass with this output and the gradients of ``objective``, ()."""
        model.zero_grad()
        objective.backward()  # type: ignore[no-untyped-call]
        named = model.named_parameters()
        gradients = {n: p.grad.clone().cpu() for n, p in named if p.grad is not None}
        return cls(output.detach().cpu(), gradients)


def require_equal(one: Pass, reference: Pass) -> None:
    """Assert equal outputs (to 1e-5, relative above 1) and equal gradients.

    Gradients may differ by 1e-4 of a parameter's largest.
    """
    difference = float((one.output - reference.output).abs().max())
    assert close(reference.output, one.output), f"outputs differ by {difference:.2g}"
    zero = torch.zeros(())  # a gradient of zeros and none at all count as equal
    for name in one.gradients.keys() | reference.gradients.keys():
        mine, other = (p.gradients.get(name, zero) for p in (one, reference))
        # A bias that a softmax or a batch norm cancels gets the rounding of its weight's gradient.
        weight = reference.gradients.get(f"{name.removesuffix('bias')}weight", zero)
        largest = max(float(other.abs().max()), float(weight.abs().max()), 1e-2)
        difference = float((mine - other).abs().max())
        assert difference <= 1e-4 * largest, f"gradients of {name} differ by {difference:.2g}"


def training_loss(model: Any, batch: Batch, forward: Callable[..., Tensor] = eager) -> Tensor:
    """The loss, (), that the model is trained on: its own, or the logloss; odd rows count as 1."""
    labels = (torch.arange(len(batch.item), device=batch.item.device) % 2).float()
    if hasattr(model, "loss"):
        return forward(model, batch, labels)
    return logloss(forward(model, batch), labels)


def require_equal_training(model: nn.Module, *ways: tuple[Batch, Callable[..., Tensor]]) -> None:
    """Assert that all (batch, forward) give the loss of the first and its gradients."""
    passes = []
    for batch, forward in ways:
        loss = training_loss(model, batch, forward) * len(batch.item)
        passes.append(Pass.backward(model, loss, loss))
    for one in passes[1:]:
        require_equal(one, passes[0])


class ModelContract:
    """What the kit asks of every neural model; subclass it, as the module says, with ``models``."""

    models: ClassVar[Sequence[str]] = ()
    options: ClassVar[Mapping[str, Any]] = {}

    def build(self, name: str, seed: int = 0, width: int = 12) -> nn.Module:
        """The model as :func:`build_model` makes it, with the class's ``options``."""
        return build_model(name, seed, width, **self.options)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once for each name in ``models``."""
        assert self.models, f"{type(self).__name__}.models names no model"
        metafunc.parametrize("name", list(self.models))

    def skip_if_exempt(self, name: str, part: str) -> None:
        """Skip the test, with the reason, if the model's class is exempt from this part."""
        exempt: Mapping[str, str] = getattr(model_class(name), "exempt", {})
        unknown = set(exempt) - set(PARTS)
        assert not unknown, f"{name}.exempt: expected keys of {PARTS}, not {sorted(unknown)}"
        if part in exempt:
            pytest.skip(f"{name}, {part}: {exempt[part]}")

    def test_logits_are_one_float_a_row(self, name: str) -> None:
        logits = predict(self.build(name), example_batch(rows=7))
        assert logits.shape == (7,)
        assert logits.dtype == torch.float32

    def test_neither_amount_nor_content_of_dummies_changes_the_logits(self, name: str) -> None:
        self.skip_if_exempt(name, "padding")
        model, batch = self.build(name), example_batch()
        expected = predict(model, batch)
        for amount in (1, 7, 500):
            for item in (0, 3, ITEMS):
                logits = predict(model, with_dummies(batch, amount, item))
                assert close(expected, logits), f"{amount} dummies of item {item} change logits"

    def test_dummies_change_neither_loss_nor_gradient(self, name: str) -> None:
        self.skip_if_exempt(name, "padding")
        model, batch = without_dropout(self.build(name)), example_batch()
        require_equal_training(model, (batch, eager), (with_dummies(batch, 9, ITEMS), eager))

    def test_the_order_of_rows_in_a_batch_changes_nothing(self, name: str) -> None:
        model, batch = self.build(name), example_batch()
        order = torch.randperm(len(batch.item), generator=torch.Generator().manual_seed(3)).tolist()
        assert close(predict(model, batch)[order], predict(model, take_rows(batch, order)))

    def test_rows_predicted_one_by_one_equal_rows_predicted_together(self, name: str) -> None:
        model, batch = self.build(name), example_batch()
        alone = [predict(model, take_rows(batch, [r])) for r in range(len(batch.item))]
        assert close(predict(model, batch), torch.cat(alone))

    def test_known_lengths_of_histories_change_nothing(self, name: str) -> None:
        model, batch = self.build(name), by_length(example_batch(least=0), 3)
        assert close(predict(model, replace(batch, buckets=())), predict(model, batch))

    def test_a_row_without_history_has_a_finite_logit(self, name: str) -> None:
        batch = example_batch(least=0, most=2)
        assert (batch.offsets.diff() == 0).any()
        assert torch.isfinite(predict(self.build(name), batch)).all()

    def test_the_same_seed_gives_the_same_model(self, name: str) -> None:
        first, again, other = (self.build(name, seed) for seed in (5, 5, 6))
        batch = example_batch()
        assert torch.equal(predict(first, batch), predict(again, batch))
        assert not torch.equal(predict(first, batch), predict(other, batch))

    def test_saved_weights_give_the_same_predictions_in_a_fresh_model(self, name: str) -> None:
        model, batch = self.build(name, 1), example_batch()
        training_loss(model.train(), batch).backward()  # type: ignore[no-untyped-call]
        fresh = self.build(name, 2)
        fresh.load_state_dict(model.state_dict())
        assert torch.equal(predict(model, batch), predict(fresh, batch))

    def test_gradient_reaches_every_parameter(self, name: str) -> None:
        self.skip_if_exempt(name, "gradient")
        model = self.build(name).train()
        training_loss(model, example_batch()).backward()  # type: ignore[no-untyped-call]
        untouched = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert untouched == [], f"no gradient for {untouched}"

    def test_sixty_four_rows_can_be_overfitted(self, name: str) -> None:
        self.skip_if_exempt(name, "overfit")
        model, batch = self.build(name), example_batch(rows=64)
        labels = (torch.arange(64) % 2).float()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        lowest = float("inf")
        for _ in range(60):
            optimizer.zero_grad()
            training_loss(model.train(), batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            with torch.no_grad():
                lowest = min(lowest, float(logloss(model(batch), labels)))
            if lowest < 0.1:
                return
        pytest.fail(f"the logloss of 64 rows is {lowest:.3f} after 60 steps; expected below 0.1")

    def test_a_user_is_known_by_the_rows_of_user_tables_alone(self, name: str) -> None:
        """The assumption of ``training.user_updates: rows``."""
        model, batch = self.build(name), example_batch()
        tables = [m for m in model.modules() if isinstance(m, UserEmbedding)]
        assert bool(tables) == ("n_users" in model_supplies(name))
        expected = predict(model, batch)
        numbers = torch.randperm(USERS, generator=torch.Generator().manual_seed(0)) + 1
        numbers = torch.cat([torch.zeros(1, dtype=torch.long), numbers])
        with torch.no_grad():
            for table in tables:
                table.weight[numbers] = table.weight.clone()
        assert torch.equal(predict(model, replace(batch, user=numbers[batch.user])), expected)
        assert (not tables) == torch.equal(predict(model, batch), expected)

    def test_the_model_works_without_a_multimodal_vector(self, name: str) -> None:
        assert torch.isfinite(predict(self.build(name, width=0), example_batch())).all()

    def test_the_model_can_be_built_without_content(self, name: str) -> None:
        """On torch's meta device, where the kit tries whether its options fit together."""
        inputs = model_inputs_example(name)
        with torch.device("meta"):
            model = model_class(name)(
                **{k: v.to("meta") if isinstance(v, Tensor) else v for k, v in inputs.items()},
                **self.options,
            )
        assert {p.device.type for p in model.parameters()} <= {"meta"}
        shapes = {n: p.shape for n, p in model.named_parameters()}
        assert shapes == {n: p.shape for n, p in self.build(name).named_parameters()}

    def test_compiled_and_eager_agree(self, name: str) -> None:
        """Traced whole, with shapes that do not depend on the rows, but not translated."""
        self.skip_if_exempt(name, "compile")
        model = without_dropout(self.build(name))
        batch = with_dummies(by_length(example_batch(least=0, most=6), 3), 90, 7)
        require_equal_training(model, (batch, eager), (batch, compiled("aot_eager")))

    def test_cpu_and_gpu_agree(self, name: str) -> None:
        self.skip_if_exempt(name, "cuda")
        if not torch.cuda.is_available():
            pytest.skip("no GPU here")
        model, batch = self.build(name), example_batch()
        on_cpu = predict(model, batch)
        assert close(on_cpu, predict(model.cuda(), batch.to("cuda")).cpu(), 1e-4)
