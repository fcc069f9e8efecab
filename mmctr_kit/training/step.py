"""One training step: batch, forward, loss, backward, regularisers, clipping, update."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch._functorch import config as functorch

from mmctr_kit.data.contract import Split
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.blocks import logloss
from mmctr_kit.recipe import Training
from mmctr_kit.training.averaging import WeightAverage
from mmctr_kit.training.data import batches as module
from mmctr_kit.training.data.batches import DeviceData, make_batch
from mmctr_kit.training.data.static_shapes import Buckets
from mmctr_kit.training.optimizer import Adam, regularised, resolve_precision
from mmctr_kit.training.user_rows import UserRows

Forward = Callable[..., Tensor]
"""How a model is called in training; arguments and result are those of :func:`eager`."""

Batches = Callable[[DeviceData, Split, Tensor, Tensor, int | None], Batch]
"""How batches are cut; arguments and result are those of make_batch."""

_CACHED = "autograd_cache_allow_custom_autograd_functions"


def eager(model: Any, batch: Batch, labels: Tensor | None = None) -> Tensor:
    """The model's logits (B,) of a batch, or with ``labels`` (B,) its own loss, ()."""
    result: Tensor = model(batch) if labels is None else model.loss(batch, labels)
    return result


def compiled(backend: str = "inductor") -> Forward:
    """``torch.compile`` of a model's forward and backward.

    It compiles at its first call, and again for a batch of another size or another module; not for
    other weights in the same module.
    """
    # Lets the cache on disk hold models with autograd functions of ours: these are traced, and so
    # are part of the cache's key.
    if hasattr(functorch, _CACHED):
        setattr(functorch, _CACHED, True)
    # Dynamo counts recompilations by code object, and one limit for all models would be reached.
    copy = FunctionType(eager.__code__.replace(), globals(), argdefs=eager.__defaults__)
    return torch.compile(copy, fullgraph=True, dynamic=False, backend=backend)


def compiled_batches(backend: str = "inductor") -> Batches:
    """``torch.compile`` of make_batch, which makes few kernels of some forty small operations.

    It compiles once more for data with another number of rows or positions, then for any number.
    """
    copy = FunctionType(make_batch.__code__.replace(), vars(module))
    return torch.compile(copy, fullgraph=True, backend=backend)


@dataclass(eq=False)
class Step:
    """A training step of one model on the train split of ``data``, which may be replaced.

    It never waits for the device, and all that it changes stays at its address, so a step with a
    fixed number of positions can be captured in a CUDA graph and replayed. A model that defines
    ``loss(batch, labels)`` is trained on that, any other on the logloss of its logits.
    ``known_user`` is an argument of make_batch. ``pace`` (2,) float32 is the learning rate of the
    next step and its share in the average of the weights.
    """

    model: nn.Module
    data: DeviceData
    options: Training
    known_user: Tensor
    forward: Forward = eager
    batches: Batches = make_batch

    def __post_init__(self) -> None:
        options, device = self.options, self.data.device
        self.pace = torch.tensor([options.learning_rate, 1.0], device=device)
        self.optimizer = Adam(self.model.parameters(), options, self.pace[0])
        self.average = WeightAverage(self.model, self.pace[1], on=options.average != "none")
        self.users = UserRows(self.model, self.optimizer, on=options.user_updates == "rows")
        self.regularised = regularised(self.model)
        self.precision = resolve_precision(options.precision, self.regularised.net, device)

    def __call__(
        self, index: Tensor, positions: int | None = None, buckets: Buckets = ()
    ) -> Tensor:
        """Train on the rows ``index`` (B,); return the loss before the step, (), on the device.

        ``positions``, as in make_batch, fixes the number of history positions; ``buckets`` are
        those of Batch.
        """
        loss = self.loss(self.batch(index, positions, buckets), index)
        loss.backward()  # type: ignore[no-untyped-call]
        self.update()
        return loss.detach()

    def batch(self, index: Tensor, positions: int | None = None, buckets: Buckets = ()) -> Batch:
        """The batch of the train split's rows ``index`` (B,)."""
        # Without a fixed number of positions there is nothing to compile.
        cut = make_batch if positions is None else self.batches
        batch = cut(self.data, "train", index, self.known_user, positions)
        return replace(batch, buckets=buckets)

    def loss(self, batch: Batch, index: Tensor) -> Tensor:
        """The loss of the batch of rows ``index``, (), after clearing all gradients."""
        self.optimizer.zero_grad()
        labels = self.data.rows["train"].labels[index]
        if smoothing := self.options.label_smoothing:
            labels = labels + smoothing * (0.5 - labels)
        bf16 = torch.autocast(
            self.data.device.type, torch.bfloat16, enabled=self.precision == "bf16"
        )
        with bf16, self.users.swap_in(batch) as seen:
            if hasattr(self.model, "loss"):
                return self.forward(self.model, seen, labels)
            logit = self.forward(self.model, seen)
        return logloss(logit, labels)

    def update(self) -> None:
        """Turn the gradients of the loss into new weights."""
        self._regularise()
        if self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trained(), self.options.clip_norm)
        self.optimizer.step()
        self.users.write_back()
        self.average.update()

    def trained(self) -> list[nn.Parameter]:
        """The parameters that are updated: the model's, or of user tables the last batch's rows."""
        return self.optimizer.parameters

    def state(self) -> dict[str, Tensor]:
        """All that a step changes, by name, not copied.

        ``model.*``, ``average.*`` and ``optimizer.NUMBER.*``.
        """
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state().items()}
        for number, parameter in enumerate(self.model.parameters()):
            slots = self.optimizer.state[parameter]
            tensors |= {f"optimizer.{number}.{k}": v for k, v in slots.items()}
        return tensors

    def fill(self, state: Mapping[str, Tensor]) -> None:
        """Copy a state, named as :meth:`state` does, into the tensors of this step."""
        with torch.no_grad():
            for name, tensor in self.state().items():
                tensor.copy_(state[name])

    def _regularise(self) -> None:
        """Add the gradient of (lambda / 2) * ||W||^2, dense, as the official pipeline does."""
        embeddings = (*self.regularised.embedding, *self.users.small)
        for weights, strength in (
            (embeddings, self.options.embedding_regularizer),
            (self.regularised.net, self.options.net_regularizer),
        ):
            for weight in weights if strength else ():
                if weight.grad is not None:
                    weight.grad.add_(weight.detach(), alpha=strength)
