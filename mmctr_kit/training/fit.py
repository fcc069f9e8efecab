"""The fit loop of neural models: train on some rows and yield each epoch.

The schedule is fixed beforehand: ``epochs``, or more if ``min_steps`` asks for it. After each epoch
the model predicts held-out *training* users, and the snapshot with their best AUC (or the last, if
the recipe says so) is the result. Every random choice is a function of the seed and the epoch, so
a fit resumed from an epoch's state ends exactly where an uninterrupted one would.
"""

import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmctr_kit.activity import Counter
from mmctr_kit.data.contract import Split
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.items import Floats64, Ints
from mmctr_kit.metrics.auc import auc
from mmctr_kit.recipe import Training
from mmctr_kit.training.averaging import average_share
from mmctr_kit.training.cuda_graph import EagerSteps, StaticSteps, StepListener
from mmctr_kit.training.data.batches import make_batch
from mmctr_kit.training.data.sampler import RowSampler
from mmctr_kit.training.data.source import Source
from mmctr_kit.training.data.static_shapes import StaticShapes
from mmctr_kit.training.device import free_bytes
from mmctr_kit.training.learner import Epoch, State, Trained, derive_seed
from mmctr_kit.training.memory import SHARE, TRIED, StepMemory, measure_step
from mmctr_kit.training.optimizer import learning_rate, restart_embeddings
from mmctr_kit.training.step import Step
from mmctr_kit.training.step_counter import StepCounter
from mmctr_kit.training.step_modes import Modes, capture_on, resolve_steps

PREDICT_ROWS = {"cpu": 1 << 11, "cuda": 1 << 13}
"""The most rows predicted at once: even a row without history may have wide fields in a model."""

PREDICT_POSITIONS = {"cpu": 1 << 13, "cuda": 1 << 16}
"""History positions plus rows predicted at once: just enough to fill the device. On a CPU a DIN
takes 0.9 times as long as at 1 << 15, whose products exceed the caches."""

LARGE_STATE = 1 << 29
"""Bytes of a state on a CPU above which an epoch's is not a copy, but the live one."""


def batch_size_for(rows: int, options: Training) -> int:
    """The batch size; ``auto`` is about 200 steps an epoch, a power of two in 256..8192."""
    if options.batch_size != "auto":
        return min(options.batch_size, rows)
    size = int(2 ** round(math.log2(max(rows / 200, 1))))
    return min(max(256, min(size, 8192)), rows)


@dataclass(frozen=True)
class Schedule:
    """The ``steps`` of an epoch, the ``planned`` epochs, and the ``epochs`` until training stops.

    The learning rate falls over the planned epochs.
    """

    steps: int
    planned: int
    epochs: int

    def pace(self, step: int, options: Training) -> tuple[float, float]:
        """The learning rate of a step, and the share of its weights in their average."""
        rate = learning_rate(step, self.steps * self.planned, options)
        if options.embedding_restart != "none":  # no average of tables that were drawn apart
            return rate, average_share(step % self.steps, self.steps, options)
        return rate, average_share(step, self.steps * self.epochs, options)


def schedule(rows: int, batch_size: int, options: Training) -> Schedule:
    """The schedule of a fit on ``rows`` rows in batches of this size."""
    steps = -(-rows // batch_size)
    planned = max(options.epochs, -(-options.min_steps // steps))
    return Schedule(steps, planned, max(1, round(planned * options.stop_at)))


class Fit:
    """A model with its optimizer and its best snapshot; :meth:`run` trains it."""

    def __init__(
        self,
        model: nn.Module,
        source: Source,
        options: Training,
        seed: int,
        modes: Modes | None = None,
    ) -> None:
        self.model = model
        self.source = source
        self.options = options
        self.seed = seed
        self.best_auc = -1.0
        self.best: dict[str, Tensor] = {}
        self.memory: StepMemory | None = None
        self.batch_size = 0
        users, device = source.whole.n_users, source.device
        self.known_user = torch.zeros(users + 1, dtype=torch.bool, device=device)
        self.step = Step(model, source.data, options, self.known_user)
        plain = resolve_steps(options.steps, device) == "plain"
        modes = modes or Modes(capture=None if plain else capture_on(device))
        self.steps = (EagerSteps if plain else StaticSteps)(self.step, modes)

    def run(self, train: Ints, holdout: Ints, resume: State | None = None) -> Iterator[Epoch]:
        """Yield each epoch as it ends; after the last one the model holds the best snapshot.

        ``train`` and ``holdout`` are row numbers of the train split, disjoint by user; the holdout
        may be empty if the recipe takes the last snapshot. ``resume`` is an earlier epoch's state.
        """
        # A fit that goes on elsewhere has the batches that it began with.
        if resume is None or "batch_size" not in resume:
            self.find_batch_size(train)
        else:
            self.batch_size = int(resume["batch_size"])
        sampler, whole = self._sampler(train), self.source.whole
        plan = schedule(len(train), self.batch_size, self.options)
        users = whole.rows["train"].user[torch.from_numpy(train).to(whole.device)]
        self.known_user[users.to(self.source.device)] = True
        labels = whole.rows["train"].labels.cpu().numpy().astype(np.int8)[holdout]
        first = 0 if resume is None else self._restore(resume)
        for epoch in range(first, plan.epochs):
            began, compiled = time.perf_counter(), self.steps.compile_seconds
            torch.manual_seed(derive_seed(self.seed, 2, epoch))
            if epoch and (which := self.options.embedding_restart) != "none":
                restart_embeddings(self.model, self.step.optimizer, which)
            numbers = range(epoch * plan.steps, (epoch + 1) * plan.steps)
            paces = [plan.pace(number, self.options) for number in numbers]
            at = (epoch + 1, plan.epochs)
            count = StepCounter(
                Counter("training", plan.steps, self.batch_size, *at), self.source.device
            )
            loss = self.train_steps(sampler, numbers[0], paces, count)
            count.finish()
            trained = time.perf_counter()
            with self.step.average.swapped_in():
                logits = self.predict("train", holdout, at)
                if not (math.isfinite(loss) and np.isfinite(logits).all()):
                    raise MmctrKitError(
                        f"training diverged in epoch {epoch + 1} (loss {loss:g}); lower "
                        "training.learning_rate, or look with 'mmctr-kit data check' for item "
                        "vectors far larger than the others"
                    )
                score = auc(labels, logits) if len(holdout) else math.nan
                best = score > self.best_auc or self.options.snapshot == "last"
                if best:
                    self.best_auc = score
                    self._keep()
            ended = time.perf_counter()
            yield Epoch(
                epoch=epoch + 1,
                epochs=plan.epochs,
                steps=plan.steps,
                train_loss=loss,
                holdout_auc=score,
                holdout_logloss=_logloss(labels, logits),
                best=best,
                seconds=ended - began,
                compile_seconds=self.steps.compile_seconds - compiled,
                evaluate_seconds=ended - trained,
                state=lambda epoch=epoch: self._state(epoch + 1),  # type: ignore[misc]
                live=not self._copies(),
            )
        self.model.load_state_dict(self.best)

    def predict(
        self, split: Split, index: Ints | None = None, epoch: tuple[int, int] = (0, 0)
    ) -> Floats64:
        """Logits (rows,) in float32 arithmetic, widened to float64; of all rows if no index.

        ``epoch``, and of how many, is what its progress says if the rows are held out.
        """
        whole = self.source.whole
        chosen = torch.arange(len(whole.rows[split])) if index is None else torch.from_numpy(index)
        chosen = chosen.to(whole.device)
        # Sorted by length, so that padding adds little.
        lengths, order = torch.sort(whole.rows[split].lengths_of(chosen), stable=True)
        sizes = self._sizes(lengths)
        ends = torch.tensor(sizes, dtype=torch.long, device=lengths.device).cumsum(0)
        longest = iter(lengths[ends - 1].tolist())
        self.model.eval()
        held = f"epoch {epoch[0]}/{epoch[1]}, predicting held-out" if epoch[1] else ""
        on_cpu = self.source.device.type == "cpu"  # a GPU's host is far ahead of it
        text = f"{held or f'predicting {split}'} rows"
        count = Counter(text, len(sizes) if on_cpu else 0)
        parts = []
        with torch.inference_mode():
            for chunk in self.source.chunks(split, chosen[order], sizes):
                for rows in chunk.batches():
                    batch = make_batch(chunk.data, split, rows, self.known_user)
                    batch = replace(batch, buckets=((len(rows), next(longest)),))
                    parts.append(self.model(batch).double())
                    count.add()
        logits = np.zeros(len(chosen))
        if parts:
            logits[order.cpu().numpy()] = torch.cat(parts).cpu().numpy()
        return logits

    def _sizes(self, length: Tensor) -> list[int]:
        """How many rows of this ``length`` (R,) to predict at once, by the sum of their lengths."""
        device = self.source.device.type
        budget, most = PREDICT_POSITIONS[device], PREDICT_ROWS[device]
        part = torch.div(torch.cumsum(length + 1, 0), budget, rounding_mode="floor")
        part *= len(length) // most + 1
        part += torch.arange(len(length), device=length.device) // most
        sizes: list[int] = torch.unique_consecutive(part, return_counts=True)[1].tolist()
        return sizes

    def train_steps(
        self,
        sampler: RowSampler,
        first: int,
        paces: Sequence[tuple[float, float]],
        stepped: StepListener = lambda: None,
    ) -> float:
        """Train one step from ``first`` on at each of the paces; return the mean loss."""
        self.model.train()
        pace = torch.tensor(paces, device=self.source.device)
        total = torch.zeros((), device=self.source.device)
        steps, size = len(paces), sampler.batch_size
        index = sampler.batches(first, steps).flatten()
        for chunk in self.source.chunks("train", index, [size] * steps):
            count = len(chunk.sizes)
            self.steps.run(chunk, pace[:count], total, sampler.shapes, stepped)
            pace = pace[count:]
        return float(total) / steps

    def find_batch_size(self, train: Ints) -> int:
        """The batch size for these rows; on a GPU ``auto`` also fits the card's memory.

        It depends on the kind of card, and not on what other processes hold of its memory.
        """
        size, device = batch_size_for(len(train), self.options), self.source.device
        self.batch_size = size
        if device.type == "cpu" or size <= TRIED[-1]:
            return size
        room = (free_bytes(device) or 0) + torch.cuda.memory_allocated(device)
        some, lengths = train[:: 1 + (len(train) >> 16)], self.source.whole.rows["train"].lengths

        def draw(few: int) -> tuple[Tensor, StaticShapes]:
            sampler = RowSampler(torch.from_numpy(some).to(device), lengths, few, 0)
            return self.batch(sampler.batches(0, 1)[0]), sampler.shapes

        self.memory = measure_step(self.step, draw, room)
        total = torch.cuda.get_device_properties(device).total_memory
        most = max(self.memory.most_rows(SHARE * total), TRIED[0])
        if self.options.batch_size != "auto" or most >= size:
            return size
        warnings.warn(
            f"training.batch_size: auto is {most:,} here, since a step of {size:,} rows would take "
            f"about {self.memory.of(size) / 1e9:.1f} GB and the GPU has {total / 1e9:.1f} GB",
            stacklevel=2,
        )
        self.batch_size = most
        return most

    def _sampler(self, train: Ints) -> RowSampler:
        """The batches, drawn on the device, whose permutations differ from the host's."""
        rows, lengths = torch.from_numpy(train), self.source.whole.rows["train"].lengths
        seed = derive_seed(self.seed, 1)
        return RowSampler(rows.to(self.source.device), lengths, self.batch_size, seed)

    def trained(self) -> Trained:
        """How the steps were run."""
        modes = self.steps.modes
        return Trained(
            modes.mode, self.step.precision, modes.checked, modes.fallbacks, modes.details
        )

    def batch(self, index: Tensor) -> Tensor:
        """The step's row numbers (B,) of the train rows ``index``, whose chunk it is given."""
        chunk = next(self.source.chunks("train", index, [len(index)]))
        self.step.data = chunk.data
        return chunk.index

    def _keep(self) -> None:
        """Make the present model the best snapshot, in the memory of the one before."""
        if not self.best:
            self.best = {k: torch.empty_like(v) for k, v in self.model.state_dict().items()}
        for name, value in self.model.state_dict().items():
            self.best[name].copy_(value)

    def _state(self, epochs_done: int) -> State:
        tensors = self.step.state() | {f"best.{k}": v for k, v in self.best.items()}
        return {
            **host_state(tensors, copy=self._copies()),
            "epochs_done": np.array(epochs_done),
            "batch_size": np.array(self.batch_size),
            "best_auc": np.array(self.best_auc),
        }

    def _copies(self) -> bool:
        """Whether a state is a copy: it is from a GPU, or it is small."""
        size = sum(v.nbytes for v in (*self.step.state().values(), *self.best.values()))
        return self.source.device.type != "cpu" or size <= LARGE_STATE

    def _restore(self, state: State) -> int:
        """Go back to a state; return how many epochs it has behind it."""
        device = self.source.device
        tensors = {k: torch.from_numpy(np.array(v)).to(device) for k, v in state.items()}
        self.step.fill(tensors)
        best = (name for name in tensors if name.startswith("best."))
        self.best = {name.removeprefix("best."): tensors[name] for name in best}
        self.best_auc = float(tensors["best_auc"])
        return int(tensors["epochs_done"])


def _logloss(labels: NDArray[np.int8], logits: Floats64) -> float:
    """The mean logloss; NaN without rows."""
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits)) if len(labels) else math.nan


def host_state(tensors: Mapping[str, Tensor], copy: bool = True) -> dict[str, NDArray[Any]]:
    """The tensors as arrays on the host; without a ``copy`` they share a CPU tensor's memory."""
    return {k: v.detach().to("cpu", copy=copy).numpy() for k, v in tensors.items()}
