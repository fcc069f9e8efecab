"""Row-wise training of user tables: a step reads and writes its batch's rows of them alone.

Dense Adam passes over the weights and moments of all users for the few of a batch. Here, before the
forward pass, the rows of the batch's distinct users are copied into a small table that stands in
for the whole one while the model runs; the optimizer trains that, and the rows go back. The
optimizer keeps the moments of the whole table under the table's own weight, so that a state has
the same names and shapes either way, and outside of the forward pass the model holds the whole
table.

All shapes depend on the batch's size alone and the host learns nothing of what is in them, so a
step can be captured. The slots that a batch leaves over are of row 0. It occurs in many slots then,
which does no harm: the padding row gets no gradient, so each slot takes the same zeros back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.blocks import UserEmbedding

_MOMENTS = ("exp_avg", "exp_avg_sq")


def distinct(user: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct numbers among ``user`` (B,), ascending from slot 1 on, (B + 1,), and the slot of
    each row, (B,). Slot 0 is number 0, and so are the slots left over."""
    ordered, order = torch.sort(user)
    rank = torch.cumsum(torch.diff(ordered, prepend=ordered.new_zeros(1)) != 0, 0)
    numbers = user.new_zeros(len(user) + 1).scatter_(0, rank, ordered)
    return numbers, torch.empty_like(rank).scatter_(0, order, rank)


class UserRows:
    """The user tables of ``model``, trained by ``optimizer`` (of :func:`adam`) row by row.

    In place of their weights the optimizer gets :attr:`small` ones, (B + 1, d) each, whose memory
    stays where it is while batches are of one size. Where ``on`` is false, nothing is done.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, on: bool) -> None:
        self.small: list[nn.Parameter] = []
        self._tables = [m for m in model.modules() if on and isinstance(m, UserEmbedding)]
        self._optimizer = optimizer
        self._numbers = torch.zeros(0, dtype=torch.long)
        whole = {id(table.weight) for table in self._tables}
        [group] = optimizer.param_groups
        self._others = [p for p in group["params"] if id(p) not in whole]

    @contextmanager
    def standing_in(self, batch: Batch) -> Iterator[Batch]:
        """Inside, the model's user tables hold the rows of the batch's users, and the batch that is
        given numbers its users by their rows there."""
        if not self._tables:
            yield batch
            return
        self._numbers, slot = distinct(batch.user)
        if not self.small or len(self.small[0]) != len(self._numbers):
            self._resize(len(self._numbers))
        whole = [table.weight for table in self._tables]
        self._take()
        try:
            for table, small in zip(self._tables, self.small, strict=True):
                table.weight = small
            yield replace(batch, user=slot)
        finally:
            for table, weight in zip(self._tables, whole, strict=True):
                table.weight = weight

    def put_back(self) -> None:
        """Write what the optimizer made of the rows into the tables and their moments."""
        with torch.no_grad():
            for whole, small in self._pairs():
                whole.index_copy_(0, self._numbers, small)

    def _take(self) -> None:
        with torch.no_grad():
            for whole, small in self._pairs():
                torch.index_select(whole, 0, self._numbers, out=small)

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each tensor of all users with that of the batch's: weights and moments."""
        for table, small in zip(self._tables, self.small, strict=True):
            yield table.weight, small
            for name in _MOMENTS:
                states = (self._optimizer.state[weight] for weight in (table.weight, small))
                whole, part = (state[name] for state in states)
                yield whole, part

    def _resize(self, size: int) -> None:
        for small in self.small:
            del self._optimizer.state[small]
        self.small = []
        for table in self._tables:
            small = nn.Parameter(table.weight.new_zeros(size, table.embedding_dim))
            state = {name: torch.zeros_like(small) for name in _MOMENTS}
            # The same step counter: the moments' bias is corrected by the number of all steps.
            self._optimizer.state[small] = {
                "step": self._optimizer.state[table.weight]["step"],
                **state,
            }
            self.small.append(small)
        self._optimizer.param_groups[0]["params"] = [*self._others, *self.small]
