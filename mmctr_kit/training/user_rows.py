"""Row-wise training of user tables: a step reads and writes only the rows of its batch's users.

Dense Adam passes over the weights and moments of all users for the few of a batch. Here the rows of
the batch's distinct users are copied into a small table, which replaces the whole table during the
forward pass; the optimizer trains the small table, and the rows are written back. The moments of
the whole table stay under its weight, so a state has the same names and shapes either way.

All shapes depend on the batch size alone and the host reads no values, so a step can be captured.
Unused slots hold row 0, the padding row. It has no gradient, so all of them write back the same
zeros.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.blocks import UserEmbedding
from mmctr_kit.training.optimizer import Adam

_MOMENTS = ("exp_avg", "exp_avg_sq")


def distinct(user: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct values of ``user`` (B,) from slot 1 on, (B + 1,), and each row's slot, (B,)."""
    ordered, order = torch.sort(user)
    rank = torch.cumsum(torch.diff(ordered, prepend=ordered.new_zeros(1)) != 0, 0)
    numbers = user.new_zeros(len(user) + 1).scatter_(0, rank, ordered)
    return numbers, torch.empty_like(rank).scatter_(0, order, rank)


class UserRows:
    """The user tables of ``model``, trained by ``optimizer`` row by row.

    The optimizer trains the :attr:`small` tables, (B + 1, d) each, in place of the whole ones;
    their memory stays the same while batches have one size. If ``on`` is false, nothing is done.
    """

    def __init__(self, model: nn.Module, optimizer: Adam, on: bool) -> None:
        self.small: list[nn.Parameter] = []
        self._tables = [m for m in model.modules() if on and isinstance(m, UserEmbedding)]
        self._optimizer = optimizer
        self._numbers = torch.zeros(0, dtype=torch.long)
        whole = {id(table.weight) for table in self._tables}
        self._others = [p for p in optimizer.parameters if id(p) not in whole]

    @contextmanager
    def swap_in(self, batch: Batch) -> Iterator[Batch]:
        """Give the model its small tables, and yield the batch with its users numbered by slot."""
        if not self._tables:
            yield batch
            return
        self._numbers, slot = distinct(batch.user)
        if not self.small or len(self.small[0]) != len(self._numbers):
            self._resize(len(self._numbers))
        whole = [table.weight for table in self._tables]
        with torch.no_grad():
            for weight, small in self._pairs():
                torch.index_select(weight, 0, self._numbers, out=small)
        try:
            for table, small in zip(self._tables, self.small, strict=True):
                table.weight = small
            yield replace(batch, user=slot)
        finally:
            for table, weight in zip(self._tables, whole, strict=True):
                table.weight = weight

    def write_back(self) -> None:
        """Write the trained rows and their moments into the whole tables."""
        with torch.no_grad():
            for whole, small in self._pairs():
                whole.index_copy_(0, self._numbers, small)

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of whole and small tensors: the weights and the moments of each table."""
        for table, small in zip(self._tables, self.small, strict=True):
            yield table.weight, small
            for name in _MOMENTS:
                state = self._optimizer.state
                yield state[table.weight][name], state[small][name]

    def _resize(self, size: int) -> None:
        for small in self.small:
            del self._optimizer.state[small]
        self.small = []
        for table in self._tables:
            small = nn.Parameter(table.weight.new_zeros(size, table.embedding_dim))
            # A shared step counter: the moments' bias is corrected by the number of all steps.
            self._optimizer.state[small] = {
                "step": self._optimizer.state[table.weight]["step"],
                **{name: torch.zeros_like(small) for name in _MOMENTS},
            }
            self.small.append(small)
        self._optimizer.parameters = [*self._others, *self.small]
