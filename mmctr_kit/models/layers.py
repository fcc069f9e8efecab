"""Building blocks shared by the model files.

Shapes: B rows, P packed history positions, D the width of an item vector, N items. The official
pipeline's initialisation: embeddings N(0, 1e-4), linear layers Xavier normal with zero bias.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.dropout import Dropout, relu_dropout
from mmctr_kit.models.gather import eager_on_cpu
from mmctr_kit.models.segments import (
    row_and_item_sums,
    row_products,
    rows_to_positions,
    weighted_sum,
)
from mmctr_kit.options import Activation

EMBEDDING_STD = 1e-4


def activation(name: Activation, spent: bool = False) -> nn.Module:
    """The pointwise non-linearity of that name; ``spent`` where its input is not used again."""
    if spent and name == "relu":
        return _SpentReLU()
    modules: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "prelu": nn.PReLU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
    }
    return modules[name]()


class _SpentReLU(nn.ReLU):
    """In place, but in bf16: there a CPU takes twice as long in place as it does elsewhere."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, inplace=input.dtype != torch.bfloat16)


def embedding(size: int, dim: int) -> nn.Embedding:
    """(size, dim) embedding table, N(0, 1e-4)."""
    table = nn.Embedding(size, dim)
    nn.init.normal_(table.weight, std=EMBEDDING_STD)
    return table


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """Linear layer, Xavier normal, zero bias."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def product_type(values: Tensor) -> torch.dtype:
    """What products of ``values`` are computed in: autocast's type where it is on."""
    device = values.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else values.dtype


def concat(parts: Sequence[Tensor]) -> Tensor:
    """(n, d_1), (n, d_2)... -> (n, d_1 + d_2 + ...), in what products of it are computed in."""
    return torch.cat([part.to(product_type(part)) for part in parts], dim=-1)


class Score(nn.Linear):
    """A Linear to one number.

    Compiled, it is a sum that is taken as its input is made; a product would have it written out.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(n, d) -> (n, 1)."""
        if eager_on_cpu(input):
            return super().forward(input)
        products = input * self.weight.to(input.dtype)
        return products.sum(-1, keepdim=True, dtype=torch.float32) + self.bias


class Layers(nn.Sequential):
    """One layer after another; a ReLU and the dropout after it as one."""

    def forward(self, input: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs)."""
        left = list(self)
        while left:
            layer = left.pop(0)
            rate = _rate(left[0], input) if left and isinstance(layer, nn.ReLU) else 0.0
            if rate:
                left.pop(0)
                input = relu_dropout(input, rate)
            else:
                input = layer(input)
        return input


class MLP(Layers):
    """Per hidden width: Linear, BatchNorm if on, activation, dropout. Then a Linear to ``out``.

    Input (B, inputs), output (B, out); with ``out`` None the last Linear is left out, and the
    output has the last hidden width.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        *,
        out: int | None,
        act: Activation,
        dropout: float,
        batch_norm: bool,
    ) -> None:
        layers: list[nn.Module] = []
        for width in hidden:
            layers.append(linear(inputs, width))
            if batch_norm:
                layers.append(nn.BatchNorm1d(width))
            layers.append(activation(act))
            if dropout:
                layers.append(Dropout(dropout))
            inputs = width
        if out is not None:
            layers.append(linear(inputs, out))
        super().__init__(*layers)


def _rate(layer: nn.Module, values: Tensor) -> float:
    """That of a dropout for :func:`relu_dropout`, which a CPU has no use for; 0 if it is none."""
    if eager_on_cpu(values) or not isinstance(layer, Dropout) or not layer.training:
        return 0.0
    return layer.p if layer.p < 1 else 0.0


class SqueezeExcitation(nn.Module):
    """Re-weighs fields by what all of them show: SENET of FiBiNET (Huang et al., RecSys 2019).

    Each of the F fields is squeezed to its mean; two fully connected layers, F -> ceil(F / ratio)
    -> F with a ReLU between, give each field one factor in 0..1 (a sigmoid, as Hu et al., CVPR
    2018, have it; FiBiNET's ReLU can switch a field off for good).
    """

    def __init__(self, fields: int, ratio: int) -> None:
        super().__init__()
        squeezed = -(-fields // ratio)
        self.excite = nn.Sequential(
            linear(fields, squeezed), nn.ReLU(), linear(squeezed, fields), nn.Sigmoid()
        )

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """F fields (B, d_f) of any widths -> the same, each row times its factor."""
        factor = self.excite(torch.stack([field.mean(-1) for field in fields], dim=-1))  # (B, F)
        return [field * f for field, f in zip(fields, factor.split(1, dim=-1), strict=True)]


class TargetAttention(nn.Module):
    """DIN's attention (Zhou et al. 2018): an MLP on [q, k, q - k, q * k], no softmax.

    The first layer is evaluated as q(Wq + Wd) + k(Wk - Wd) + (q * k)Wp, so that its q part is
    computed once a row and its k part once a distinct item, not once a position. The ``signals`` of
    a position are further inputs of that layer. The weights begin around ``start``.
    """

    heads = 1

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        act: Activation,
        dropout: float,
        *,
        signals: int = 0,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        self.width = width
        self.first = linear(4 * width, hidden[0])
        self.signal = linear(signals, hidden[0], bias=False) if signals else None
        rest: list[nn.Module] = []
        for inputs, outputs in pairwise(hidden):
            rest += [activation(act, spent=True), Dropout(dropout), linear(inputs, outputs)]
        output = Score(hidden[-1], 1)
        nn.init.xavier_normal_(output.weight)
        nn.init.constant_(output.bias, start)
        rest += [activation(act), Dropout(dropout), output]
        self.rest = Layers(*rest)

    def attend(
        self, target: Tensor, table: Tensor, index: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Pooled history (B, D) from the target (B, D) and the keys ``table[index]`` (``table``
        (K, D), ``index`` (P,) or None as in :func:`gather`), and the weights (P, 1) that pooled it
        (anything at dummies)."""
        wq, wk, wd, wp = torch.split(self.first.weight, self.width, dim=1)
        per_row = F.linear(target, wq + wd, self.first.bias)
        low = per_row.dtype  # that of products, which positions are gathered in too
        keys = table.to(low)
        row, offsets = batch.row, batch.offsets
        product = row_products(target.to(low), keys, index, row, offsets)
        # Mostly in place: each is as large as all positions by the hidden width.
        if index is None:
            # Both parts in one product, which is written once.
            both = torch.cat([keys, product], dim=1)
            hidden = rows_to_positions(per_row, row, offsets)
            hidden = hidden.add_(F.linear(both, torch.cat([wk - wd, wp], dim=1)))
        else:
            per_item = F.linear(keys, wk - wd)
            hidden = row_and_item_sums(per_row, per_item, index, row, offsets)
            hidden = hidden.addmm_(product, wp.to(low).T)
        if self.signal is not None:
            hidden = hidden + self.signal(batch.signals)
        weight = self.rest(hidden)
        pooled = weighted_sum(weight, table, index, row, offsets)
        return pooled, weight
