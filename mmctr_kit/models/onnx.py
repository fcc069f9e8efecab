"""Networks as ONNX models, whose rows have padded histories as in the challenge's files.

A network reads packed histories (:mod:`mmctr_kit.models.batch`), in which rows have as many
positions as items. An ONNX model is fed by somebody else's service, so it takes left-padded
histories of one length and packs them itself: real positions first, the padding as dummies after
them, so that no shape depends on a value.

Shapes: B rows, L slots of a history, S signals of a position, R signals of a row.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.data.contract import PAD
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.ops.segments import multiplied

NEEDED = ("onnx", "onnxscript", "onnxruntime")
"""The packages of the extra ``onnx``."""
OPSET = 18
"""The version of ONNX's operations: the first whose scattering has a maximum."""
OUTPUT = "logit"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Input:
    """One input of an ONNX model: ``shape`` has a name in place of a size that is free."""

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    meaning: str


def inputs_of(slots: int, users: int, signals: int, row_signals: int) -> tuple[Input, ...]:
    """The inputs of a network with L = ``slots``; of ``users``, and signals, only if it has any."""
    inputs = [
        Input("item_id", "int64", ("rows",), "the target item, 1..n_items as in item_info"),
        Input("likes_level", "int64", ("rows",), "likes_level of the row, 0..10"),
        Input("views_level", "int64", ("rows",), "views_level of the row, 0..10"),
        Input(
            "item_seq",
            "int64",
            ("rows", slots),
            "the most recent items of the history, left-padded with 0, the newest last",
        ),
    ]
    if users:
        meaning = (
            f"the user's number among the {users} distinct user_id of train in ascending order, "
            "from 1 on; 0 for any other user"
        )
        inputs.append(Input("user", "int64", ("rows",), meaning))
    if signals:
        inputs += [
            Input("signals", "float32", ("rows", slots, signals), "signals of item_seq's items"),
            Input("row_signals", "float32", ("rows", row_signals), "signals of the row"),
        ]
    return tuple(inputs)


class PaddedRows(nn.Module):
    """The mean logit of networks, (B,), from the inputs of :func:`inputs_of`.

    ``known`` are the users (users + 1,) bool that each network was trained on.
    """

    def __init__(self, networks: Sequence[nn.Module], known: Sequence[Tensor]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks).eval().requires_grad_(False)
        self.known = list(known)

    def forward(
        self,
        item_id: Tensor,
        likes_level: Tensor,
        views_level: Tensor,
        item_seq: Tensor,
        user: Tensor | None = None,
        signals: Tensor | None = None,
        row_signals: Tensor | None = None,
    ) -> Tensor:
        """(B,) logits of rows; ``item_seq`` (B, L), ``signals`` (B, L, S), else (B,) or (B, R)."""
        rows, length = item_seq.shape
        items = item_seq.flatten()
        real = items != PAD
        before = torch.cumsum(real.long(), 0)  # real positions up to and with each
        position = torch.arange(rows * length, device=items.device)
        # Real positions first, in order; then the padding, as dummies.
        slot = torch.where(real, before - 1, before[-1:] + position - before)
        owner = torch.where(real, position // length, rows)
        empty = items.new_zeros((rows * length, 0), dtype=torch.float32)
        batch = Batch(
            item=item_id,
            likes_level=likes_level,
            views_level=views_level,
            user=torch.zeros_like(item_id) if user is None else user,
            history=torch.zeros_like(items).scatter(0, slot, items),
            row=torch.zeros_like(items).scatter(0, slot, owner),
            offsets=F.pad(torch.cumsum((item_seq != PAD).sum(1), 0), (1, 0)),
            signals=empty if signals is None else _moved(signals.flatten(0, 1), slot),
            row_signals=empty[:rows] if row_signals is None else row_signals,
        )
        logits = []
        for network, known in zip(self.networks, self.known, strict=True):
            one = batch
            if user is not None:
                one = Batch(**{**vars(batch), "user": user * known.long()[user]})
            logits.append(network(one))
        return torch.stack(logits).mean(0)


def _moved(values: Tensor, slot: Tensor) -> Tensor:
    """(P, S) values, each moved to its slot (P,)."""
    return torch.zeros_like(values).scatter(0, slot[:, None].expand_as(values), values)


def padded_inputs(batch: Batch, slots: int, inputs: Sequence[Input]) -> dict[str, NDArray[Any]]:
    """The inputs, by name, that hold the rows of a batch."""
    rows, count = len(batch.item), batch.offsets.diff()
    real = int(batch.offsets[-1])
    row = batch.row[:real].long()
    column = slots - count[row] + torch.arange(real) - batch.offsets[row]

    def laid_out(values: Tensor) -> Tensor:
        wide = values.new_zeros(rows, slots, *values.shape[1:])
        wide[row, column] = values[:real]
        return wide

    tensors = {
        "item_id": batch.item,
        "likes_level": batch.likes_level,
        "views_level": batch.views_level,
        "item_seq": laid_out(batch.history),
        "user": batch.user,
        "signals": laid_out(batch.signals),
        "row_signals": batch.row_signals,
    }
    return {each.name: tensors[each.name].numpy().astype(each.dtype) for each in inputs}


def require_extra() -> None:
    """Raise UsageError unless the packages of the extra are installed."""
    if absent := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(
            f"export-model needs {', '.join(absent)}, not installed here; "
            "pip install 'mmctr-kit[onnx]'"
        )


def to_onnx(module: PaddedRows, example: Arrays, properties: Mapping[str, str]) -> bytes:
    """The ONNX model of ``module``, with any number of rows, as the bytes of a file.

    ``example``: some rows' inputs, two or more. ``properties`` become the model's metadata. Raises
    RunError that names the operation if one of the network's has no counterpart.
    """
    import onnx

    arguments = {name: torch.from_numpy(array) for name, array in example.items()}
    shapes = {name: {0: torch.export.Dim.AUTO} for name in arguments}
    try:
        with torch.no_grad(), _quietly():
            program = torch.export.export(module, (), arguments, dynamic_shapes=shapes, strict=True)
            table = torch.export.default_decompositions()
            for operation, function in _DECOMPOSED.items():
                table[operation] = function
            program = program.run_decompositions(table)
            made = torch.onnx.export(
                program,
                (),
                kwargs=arguments,
                dynamo=True,
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
                optimize=False,  # it drops small summands, and runtimes optimise what they load
            )
        assert made is not None
        model: Any = made.model_proto
        _strip(model)
        onnx.helper.set_model_props(model, dict(properties))
        content: bytes = model.SerializeToString()
    except Exception as e:  # torch's exporter and protobuf leak errors of every kind
        raise RunError(f"the network cannot be exported to ONNX: {_reason(e)}") from e
    return content


def onnx_logits(content: bytes, inputs: Arrays, batch_rows: Sequence[int]) -> NDArray[np.float64]:
    """(B,) logits that onnxruntime computes of the inputs, in batches of these numbers of rows."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    asked = [each.name for each in session.get_inputs()]
    parts, begin = [], 0
    for count in batch_rows:
        part = {name: inputs[name][begin : begin + count] for name in asked}
        parts.append(session.run([OUTPUT], part)[0])
        begin += count
    return np.concatenate(parts).astype(np.float64)


def _strip(model: Any) -> None:
    """Delete what the exporter notes of each operation: lines and paths of this machine's code."""
    for graph in (model.graph, *model.functions):
        parts = [*graph.node, *graph.value_info]
        if graph is model.graph:
            parts += [*graph.initializer, *graph.input, *graph.output]
        for part in (graph, *parts):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what torch's exporter says of itself, and of libraries that are not there."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The innermost cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:160]}..."


def _segment_sum(
    values: Tensor, offsets: Tensor, weight: Tensor | None, other: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """:func:`mmctr_kit.models.ops.segments.segment_sum` of operations that ONNX has."""
    values = multiplied(values, weight, other)
    rows = offsets.shape[0] - 1
    # The row of each position is the number of rows that have ended before it.
    ends = offsets.new_zeros(values.shape[0] + 1)
    ends = ends.scatter_add(0, offsets[1:], torch.ones_like(offsets[1:]))
    row = torch.cumsum(ends, 0)[:-1]
    total = values.new_zeros((rows + 1, values.shape[1]), dtype=torch.float32)
    index = row[:, None].expand(-1, values.shape[1])
    return total.scatter_add(0, index, values)[:-1].to(dtype)


def _bucketize(
    values: Tensor, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    below = boundaries <= values[..., None] if right else boundaries < values[..., None]
    return below.sum(-1).to(torch.int32 if out_int32 else torch.int64)


def _cumprod(values: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    parts = list(torch.unbind(values if dtype is None else values.to(dtype), dim))
    for number in range(1, len(parts)):
        parts[number] = parts[number] * parts[number - 1]
    return torch.stack(parts, dim)


_DECOMPOSED: dict[Any, Callable[..., Any]] = {
    torch.ops.mmctr_kit.segment_sum.default: _segment_sum,
    torch.ops.aten.bucketize.Tensor: _bucketize,
    torch.ops.aten.cumprod.default: _cumprod,
}
"""Operations that ONNX, or its exporter, lacks: by operations that it has."""
