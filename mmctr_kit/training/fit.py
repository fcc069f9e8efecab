"""The one fit loop: trains one model on some rows, yields its epochs, writes nothing.

The schedule is fixed beforehand: so many epochs, or more where ``min_steps`` asks for it. After
each epoch the model predicts held-out *training* users, and the snapshot with their best AUC (or
the last, where the recipe says so) is what remains. Every random choice is a function of the seed
and the epoch, so that a fit resumed from an epoch's state ends where an uninterrupted one would.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmctr_kit.challenge.contract import Split
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.learner import Epoch, State
from mmctr_kit.metrics import auc
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.fusion import ModalityFusion
from mmctr_kit.recipe import Training
from mmctr_kit.training.batches import DeviceData, RowStream, make_batch, mix
from mmctr_kit.training.device import fast_bf16

PREDICT_POSITIONS = {"cpu": 1 << 15, "cuda": 1 << 19}
"""History positions and rows predicted at once: large enough to fill the device, no larger."""

BF16_WEIGHTS = {"cpu": 1 << 16, "cuda": 0}
"""Weights of the largest matrix from which bf16 pays. On a Zen 5 core a step took 1.2 to 1.4 times
as long in bf16 where it had 2,000 to 33,000, and 0.5 times as long where it had 655,000."""


def batch_size_for(rows: int, options: Training) -> int:
    """``auto``: about 200 steps an epoch, a power of two in 256..8192."""
    if options.batch_size != "auto":
        return min(options.batch_size, rows)
    size = int(2 ** round(math.log2(max(rows / 200, 1))))
    return min(max(256, min(size, 8192)), rows)


def schedule(rows: int, options: Training) -> tuple[int, int]:
    """(steps an epoch, epochs) of a fit on so many rows."""
    steps = -(-rows // batch_size_for(rows, options))
    return steps, max(options.epochs, -(-options.min_steps // steps))


class Fit:
    """A model with its optimizer and its best snapshot; :meth:`run` trains it."""

    def __init__(self, model: nn.Module, data: DeviceData, options: Training, seed: int) -> None:
        self.model = model
        self.data = data
        self.options = options
        self.seed = seed
        self.optimizer = _optimizer(model, options, data.device)
        self.best_auc = -1.0
        self.best: dict[str, Tensor] = {}
        self.tables, self.dense = _regularised(model)
        self.precision = resolve_precision(options.precision, self.dense, data.device)
        self.known_user = torch.zeros(data.n_users + 1, dtype=torch.bool, device=data.device)

    def run(
        self, train: NDArray[np.int64], holdout: NDArray[np.int64], resume: State | None = None
    ) -> Iterator[Epoch]:
        """Yield each epoch as it ends; after the last one the model is the best snapshot.

        ``train`` and ``holdout`` are row numbers of the train split, disjoint by user. ``resume``
        is an earlier epoch's state.
        """
        device = self.data.device
        batch_size = batch_size_for(len(train), self.options)
        stream = RowStream(torch.from_numpy(train).to(device), batch_size, mix(self.seed, 1))
        steps, epochs = schedule(len(train), self.options)
        self.known_user[self.data.rows["train"].user[stream.rows]] = True
        labels = self._labels()[holdout]
        first = 0 if resume is None else self._restore(resume)
        for epoch in range(first, epochs):
            began = time.perf_counter()
            torch.manual_seed(mix(self.seed, 2, epoch))
            loss = self._epoch(stream, epoch * steps, steps, steps * epochs)
            logits = self.predict("train", holdout)
            if not (math.isfinite(loss) and np.isfinite(logits).all()):
                raise MmctrKitError(
                    f"training diverged in epoch {epoch + 1} (loss {loss:g}); lower "
                    "training.learning_rate"
                )
            score = auc(labels, logits)
            best = score > self.best_auc or self.options.snapshot == "last"
            if best:
                self.best_auc = score
                self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
            yield Epoch(
                epoch=epoch + 1,
                epochs=epochs,
                steps=steps,
                train_loss=loss,
                holdout_auc=score,
                holdout_logloss=float(np.mean(np.logaddexp(0.0, logits) - labels * logits)),
                best=best,
                seconds=time.perf_counter() - began,
                state=lambda epoch=epoch: self._state(epoch + 1),  # type: ignore[misc]
            )
        self.model.load_state_dict(self.best)

    def predict(self, split: Split, index: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """(rows,) logits in float32 arithmetic, widened to float64; all rows if no index."""
        rows = self.data.rows[split]
        device = self.data.device
        chosen = (
            torch.arange(len(rows), device=device)
            if index is None
            else torch.from_numpy(index).to(device)
        )
        self.model.eval()
        parts = []
        with torch.inference_mode():
            for part in self._parts(split, chosen):
                batch = self._batch(split, part)
                parts.append(self.model(batch).double())
        return torch.cat(parts).cpu().numpy() if parts else np.zeros(0)

    def _parts(self, split: Split, chosen: Tensor) -> list[Tensor]:
        """The rows cut where their histories add up, so that long ones cost no more memory."""
        length = self.data.rows[split].lengths[chosen]
        budget = PREDICT_POSITIONS[self.data.device.type]
        part = torch.div(torch.cumsum(length + 1, 0), budget, rounding_mode="floor")
        sizes = torch.unique_consecutive(part, return_counts=True)[1]
        return list(torch.split(chosen, sizes.tolist()))

    def _batch(self, split: Split, index: Tensor) -> Batch:
        return make_batch(self.data, split, index, self.known_user)

    def _epoch(self, stream: RowStream, begin: int, steps: int, total: int) -> float:
        self.model.train()
        loss = torch.zeros((), device=self.data.device)
        for step in range(begin, begin + steps):
            for group in self.optimizer.param_groups:
                group["lr"].fill_(learning_rate(step, total, self.options))
            loss += self.step(stream.batch(step))
        return float(loss) / steps

    def step(self, index: Tensor) -> Tensor:
        """One training step on the rows (B,); the loss before it, still on the device."""
        labels = self.data.rows["train"].label
        assert labels is not None
        batch = self._batch("train", index)
        with self._autocast():
            logit = self.model(batch)
        loss = nn.functional.binary_cross_entropy_with_logits(logit.float(), labels[index])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._regularise()
        if self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        return loss.detach()

    def _regularise(self) -> None:
        """Add the gradient of (lambda / 2) * ||W||^2, dense, as the official pipeline does."""
        for weights, strength in (
            (self.tables, self.options.embedding_regularizer),
            (self.dense, self.options.net_regularizer),
        ):
            if strength:
                for weight in weights:
                    if weight.grad is not None:
                        weight.grad.add_(weight.detach(), alpha=strength)

    def _autocast(self) -> torch.autocast:
        on = self.precision == "bf16"
        return torch.autocast(self.data.device.type, dtype=torch.bfloat16, enabled=on)

    def _labels(self) -> NDArray[np.int8]:
        label = self.data.rows["train"].label
        assert label is not None
        return np.asarray(label.cpu().numpy(), dtype=np.int8)

    def _state(self, epochs_done: int) -> State:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for number, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{k}": v for k, v in slots.items()}
        return {
            **copy_state(tensors),
            "epochs_done": np.array(epochs_done),
            "best_auc": np.array(self.best_auc),
        }

    def _restore(self, state: State) -> int:
        """Go back to a state; returns the number of epochs it has behind it."""
        device = self.data.device
        tensors = {k: torch.from_numpy(np.array(v)).to(device) for k, v in state.items()}
        self.model.load_state_dict(_under("model.", tensors))
        self.best = _under("best.", tensors)
        self.best_auc = float(tensors["best_auc"])
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimizer.", tensors).items():
            number, _, slot = name.partition(".")
            slots.setdefault(int(number), {})[slot] = value
        content = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**content, "state": slots})
        return int(tensors["epochs_done"])


def _optimizer(model: nn.Module, options: Training, device: torch.device) -> torch.optim.Optimizer:
    """Adam or AdamW, fused, with its learning rate on the device."""
    rate = torch.tensor(options.learning_rate, device=device)
    if options.optimizer == "adamw":
        return torch.optim.AdamW(
            model.parameters(), lr=rate, weight_decay=options.weight_decay, fused=True
        )
    return torch.optim.Adam(model.parameters(), lr=rate, fused=True)


def learning_rate(step: int, total: int, options: Training) -> float:
    """Linear warm-up over the first share of the steps, then the schedule down to zero."""
    warm = options.warmup * total
    if step + 1 < warm:
        return options.learning_rate * (step + 1) / warm
    left = 1 - (step - warm) / max(total - warm, 1) if step > warm else 1.0
    shape = {
        "constant": 1.0,
        "linear": left,
        "cosine": 0.5 * (1 + math.cos(math.pi * (1 - left))),
    }[options.schedule]
    return options.learning_rate * shape


def _regularised(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """(embedding tables and the multimodal projection, the weights of all other linear layers)."""
    tables: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            tables.append(module.weight)
        elif isinstance(module, ModalityFusion):
            tables += module.projections()
    taken = {id(w) for w in tables}
    dense: list[Tensor] = [
        p
        for name, p in model.named_parameters()
        if name.endswith("weight") and p.dim() > 1 and id(p) not in taken
    ]
    return tables, dense


def resolve_precision(
    wanted: Literal["auto", "float32", "bf16"], dense: Sequence[Tensor], device: torch.device
) -> Literal["float32", "bf16"]:
    """What a model of these ``dense`` weights is trained in.

    ``auto`` is bf16 where the device is fast at it and, on a CPU, the largest matrix is large
    enough to pay for the conversions.
    """
    if wanted != "auto":
        return wanted
    least = BF16_WEIGHTS[device.type]
    large = max((w.numel() for w in dense), default=0) >= least
    return "bf16" if large and fast_bf16(device.type) else "float32"


def copy_state(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """The tensors as arrays of their own on the host."""
    return {k: v.detach().to("cpu", copy=True).numpy() for k, v in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
