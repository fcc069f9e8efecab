"""Building blocks shared by the model files.

Shapes: B rows, P packed history positions, D the width of an item vector, N items. The official
pipeline's initialisation: embeddings N(0, 1e-4), linear layers Xavier normal with zero bias.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.models.ops.dropout import Dropout, relu_dropout
from mmctr_kit.models.ops.gather import eager_on_cpu
from mmctr_kit.models.option_types import Activation

EMBEDDING_STD = 1e-4


def activation(name: Activation, spent: bool = False) -> nn.Module:
    """The pointwise non-linearity of that name; ``spent``: its input is not used again."""
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
    """ReLU in place, except in bf16, in which a CPU takes twice as long for it in place."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, inplace=input.dtype != torch.bfloat16)


class Embedding(nn.Embedding):
    """(size, dim) embedding table, N(0, 1e-4)."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=EMBEDDING_STD)


class IdEmbedding(Embedding):
    """Embedding table with a row for each item or each user.

    Tables of this class are those that ``training.embedding_restart: ids`` draws anew.
    """


def embedding(size: int, dim: int, kind: type[Embedding] = Embedding) -> Embedding:
    """(size, dim) embedding table of this ``kind``, N(0, 1e-4)."""
    table = kind(size, dim)
    table.reset_parameters()  # once more, so that a seed still draws the weights that it always did
    return table


class UserEmbedding(IdEmbedding):
    """Vectors of users (n_users + 1, dim), N(0, 1e-4), to be looked up by a batch's ``user`` alone.

    Row 0, of users that the model was not trained on, is zero and stays so. Tables of this class
    are those that ``training.user_updates: rows`` trains by rows; see
    :mod:`mmctr_kit.training.user_rows`.
    """

    def __init__(self, n_users: int, dim: int) -> None:
        super().__init__(n_users + 1, dim, padding_idx=0)
        self.reset_parameters()  # once more, as in embedding()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            self.weight[0] = 0


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """Linear layer, Xavier normal, zero bias."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def product_type(values: Tensor) -> torch.dtype:
    """The type in which products of ``values`` are computed: autocast's, if it is on."""
    device = values.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else values.dtype


def concat(parts: Sequence[Tensor]) -> Tensor:
    """(n, d_1), (n, d_2)... -> (n, d_1 + d_2 + ...), in the type of its products."""
    return torch.cat([part.to(product_type(part)) for part in parts], dim=-1)


def logloss(logit: Tensor, labels: Tensor) -> Tensor:
    """The mean logloss (), in float32, of logits (B,) and labels (B,) of 0 and 1."""
    return F.binary_cross_entropy_with_logits(logit.float(), labels)


class Layers(nn.Sequential):
    """One layer after another; a ReLU and the dropout after it as one, except on a CPU."""

    __call__: Callable[..., Tensor]

    def forward(self, input: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs)."""
        left = list(self)
        while left:
            layer = left.pop(0)
            after = left[0] if left and isinstance(layer, nn.ReLU) else None
            if isinstance(after, Dropout) and after.acts and not eager_on_cpu(input):
                left.pop(0)
                input = relu_dropout(input, after.rate)
            else:
                input = layer(input)
        return input


class MLP(Layers):
    """Per hidden width: Linear, BatchNorm if on, activation, dropout. Then a Linear to one number.

    (B, inputs) -> (B, 1); without ``last``, the Linear to one number, (B, last hidden width).
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        act: Activation,
        dropout: float = 0.0,
        batch_norm: bool = False,
        last: bool = True,
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
        if last:
            layers.append(linear(inputs, 1))
        super().__init__(*layers)


class SqueezeExcitation(nn.Module):
    """Re-weighs fields by the means of all fields: SENET of FiBiNET (Huang et al., RecSys 2019).

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
