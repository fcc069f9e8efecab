"""One training step: batch, forward, loss, backward, regularisers, clipping, update."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FunctionType

import torch
from torch import Tensor, nn
from torch._functorch import config as functorch

from mmctr_kit.data.contract import Split
from mmctr_kit.models.batch import Batch
from mmctr_kit.recipe import Training
from mmctr_kit.training.data import batches as module
from mmctr_kit.training.data.batches import DeviceData, make_batch
from mmctr_kit.training.data.static_shapes import Buckets
from mmctr_kit.training.optimizer import adam, regularised, resolve_precision
from mmctr_kit.training.user_rows import UserRows

Forward = Callable[[nn.Module, Batch], Tensor]
"""How a model is called in training: (B,) logits of a batch."""

Batches = Callable[[DeviceData, Split, Tensor, Tensor, int | None], Batch]
"""How batches are cut, as make_batch does it."""

_CACHED = "autograd_cache_allow_custom_autograd_functions"


def plain(model: nn.Module, batch: Batch) -> Tensor:
    """The model as it is."""
    logit: Tensor = model(batch)
    return logit


def compiled(backend: str = "inductor") -> Forward:
    """``torch.compile`` of a model's forward and backward.

    It compiles at its first call, and again for a batch of another size or another module; not for
    other weights in the same module.
    """
    # What autograd made of a model may be kept between processes too, though some of its gradients
    # are our own: they are traced with it, and so are part of what it is looked up by.
    if hasattr(functorch, _CACHED):
        setattr(functorch, _CACHED, True)
    # Dynamo counts recompilations by code object, and one limit for all models would be reached.
    own = FunctionType(plain.__code__.replace(), globals())
    found: Forward = torch.compile(own, fullgraph=True, dynamic=False, backend=backend)
    return found


def compiled_batches(backend: str = "inductor") -> Batches:
    """``torch.compile`` of make_batch: of some forty small operations, few kernels.

    It compiles once more for data of another number of rows or positions, and then for any number.
    """
    own = FunctionType(make_batch.__code__.replace(), vars(module))
    found: Batches = torch.compile(own, fullgraph=True, backend=backend)
    return found


class Step:
    """A training step of one model on the train split of ``data``, or what is put in its place.

    Nothing of it waits for the device, and all that it changes stays where it is in memory, so a
    step with a fixed number of positions can be captured in a CUDA graph and replayed.
    ``known_user`` is make_batch's.
    """

    def __init__(
        self,
        model: nn.Module,
        data: DeviceData,
        options: Training,
        known_user: Tensor,
        forward: Forward = plain,
        batches: Batches = make_batch,
    ) -> None:
        self.model = model
        self.data = data
        self.options = options
        self.known_user = known_user
        self.forward = forward
        self.batches = batches
        self.rate = torch.tensor(options.learning_rate, device=data.device)
        """() float32, the learning rate of the next step."""
        self.optimizer = adam(model, options, self.rate)
        self.users = UserRows(model, self.optimizer, on=options.user_updates == "rows")
        self.tables, self.dense = regularised(model)
        self.precision = resolve_precision(options.precision, self.dense, data.device)

    def __call__(
        self, index: Tensor, positions: int | None = None, buckets: Buckets = ()
    ) -> Tensor:
        """Train on the rows (B,); the loss before the step, (), still on the device.

        ``positions``, as in make_batch, fixes the number of history positions; ``buckets`` are
        what is known of the rows' histories, as in Batch.
        """
        loss = self.loss(self.batch(index, positions, buckets), index)
        loss.backward()  # type: ignore[no-untyped-call]
        self.update()
        return loss.detach()

    @property
    def labels(self) -> Tensor:
        """(rows,) float32, those of the data that batches are cut from."""
        return self.data.rows["train"].labels

    def batch(self, index: Tensor, positions: int | None = None, buckets: Buckets = ()) -> Batch:
        """The rows (B,) of the train split."""
        # Without a fixed number of positions there is nothing to compile.
        cut = make_batch if positions is None else self.batches
        found = cut(self.data, "train", index, self.known_user, positions)
        return replace(found, buckets=buckets)

    def loss(self, batch: Batch, index: Tensor) -> Tensor:
        """The logloss of the batch of rows ``index``, (); what gradients there were are gone."""
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast(), self.users.standing_in(batch) as seen:
            logit = self.forward(self.model, seen)
        return nn.functional.binary_cross_entropy_with_logits(logit.float(), self.labels[index])

    def update(self) -> None:
        """From the gradients of the loss to new weights."""
        self._regularise()
        if self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trained(), self.options.clip_norm)
        self.optimizer.step()
        self.users.put_back()

    def trained(self) -> list[nn.Parameter]:
        """What has a gradient and is updated: the model's parameters, of user tables perhaps only
        the rows of the last batch."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def state(self) -> dict[str, Tensor]:
        """All that a step changes, by name and where it is: ``model.`` its parameters and buffers,
        ``optimizer.`` the state of each parameter by its number."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for number, parameter in enumerate(self.model.parameters()):
            slots = self.optimizer.state[parameter]
            tensors |= {f"optimizer.{number}.{k}": v for k, v in slots.items()}
        return tensors

    def fill(self, state: Mapping[str, Tensor]) -> None:
        """Copy a state of :meth:`state`'s names into its place."""
        with torch.no_grad():
            for name, tensor in self.state().items():
                tensor.copy_(state[name])

    def _regularise(self) -> None:
        """Add the gradient of (lambda / 2) * ||W||^2, dense, as the official pipeline does."""
        for weights, strength in (
            ((*self.tables, *self.users.small), self.options.embedding_regularizer),
            (self.dense, self.options.net_regularizer),
        ):
            if strength:
                for weight in weights:
                    if weight.grad is not None:
                        weight.grad.add_(weight.detach(), alpha=strength)

    def _autocast(self) -> torch.autocast:
        on = self.precision == "bf16"
        return torch.autocast(self.data.device.type, dtype=torch.bfloat16, enabled=on)
