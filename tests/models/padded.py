"""Every model written a second time, plainly: histories padded to (B, L), every position computed.

Item vectors and the heads above the history are the model's own modules; what lies between, where
packing changes the work, is spelled out after the papers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din import DIN
from mmctr_kit.models.din_target_encoder import CrossAttention, DINTargetEncoder
from mmctr_kit.models.layers.attention import MultiHeadTargetAttention, TargetAttention
from mmctr_kit.models.qin import QIN
from mmctr_kit.models.transformer_dcn import TransformerDCN, TransformerDCNMomo
from mmctr_kit.testing import Pass


def run_pass(model: nn.Module, forward: Callable[..., Tensor], batch: Batch) -> Pass:
    """Call ``forward(model, batch)`` and take the gradient of a weighted sum of its logits."""
    logits = forward(model, batch)
    weight = torch.linspace(-1, 1, len(logits), device=logits.device)
    return Pass.backward(model, logits, (logits * weight).sum())


@dataclass(frozen=True)
class Padded:
    """``items`` (B, L) left-padded with 0, ``real`` (B, L) bool, ``signals`` (B, L, S)."""

    items: Tensor
    real: Tensor
    signals: Tensor


def pad(batch: Batch, length: int) -> Padded:
    """The ``length`` most recent positions of each row, laid out one by one."""
    rows = len(batch.item)
    items = torch.zeros(rows, length, dtype=torch.long)
    signals = torch.zeros(rows, length, batch.signals.shape[1])
    for row in range(rows):
        begin, end = int(batch.offsets[row]), int(batch.offsets[row + 1])
        n = min(end - begin, length)
        if n:
            items[row, -n:] = batch.history[end - n : end]
            signals[row, -n:] = batch.signals[end - n : end]
    return Padded(items, items != 0, signals)


def vectors(model: Any, ids: Tensor) -> Tensor:
    found: Tensor = model.items(ids.flatten())
    return found.view(*ids.shape, -1)


def din(model: DIN, batch: Batch) -> Tensor:
    padded = pad(batch, int(batch.offsets.diff().max()))
    target, fields = vectors(model, batch.item), []
    if model.likes_level is not None and model.views_level is not None:
        fields += [model.likes_level(batch.likes_level), model.views_level(batch.views_level)]
    fields += target.split(model.items.widths, dim=1)
    if model.attention is not None:
        history = vectors(model, padded.items)
        pooled, scores = _attended(model.attention, target, history, padded)
        count = padded.real.sum(1, keepdim=True).clamp(min=1) if model.mean else 1
        if not isinstance(model.attention, MultiHeadTargetAttention):
            pooled = pooled / count
        fields.append(pooled)
        if model.interaction:
            fields.append(pooled * target)
            if model.attention.heads:
                fields.append((scores * padded.real[:, :, None]).sum(1) / count)
        if model.buckets is not None:
            near = similarities(model, batch.item, padded)
            fields.append(near.sum(1).log1p() @ model.buckets.weight)
        if model.row_signals:
            fields.append(batch.row_signals)
    if model.se is not None:
        fields[model.se_slice] = model.se(fields[model.se_slice])
    logit: Tensor = model.mlp(torch.cat(fields, 1)).squeeze(1)
    return logit


def similarities(model: DIN, target: Tensor, padded: Padded) -> Tensor:
    """(B, L, buckets): 1 in the bucket of each similarity of the target and a history item."""
    similarity: Any = model.similarity
    codes, buckets = similarity.codes.tolist(), len(similarity.lower)
    near = torch.zeros(*padded.items.shape, similarity.width)
    for row, place in torch.nonzero(padded.real).tolist():
        a, b = int(target[row]), int(padded.items[row, place])
        begin, column = 0, 0
        for modality, width in enumerate(similarity.widths):
            x, y = (model.items.item_emb[item, begin : begin + width].tolist() for item in (a, b))
            begin += width
            if all(model.items.present[item, modality] and any(v) for item, v in ((a, x), (b, y))):
                cosine = (
                    sum(p * q for p, q in zip(x, y, strict=True)) / math.hypot(*x) / math.hypot(*y)
                )
                u = math.copysign(math.sqrt(abs(cosine)), cosine)  # equal steps of u from -1 to 1
                bucket = min(math.floor((u + 1) / 2 * buckets), buckets - 1)
                near[row, place, column + bucket] = 1
            column += buckets
        if codes[a] and codes[a][0] and codes[b][0]:
            same = [p == q for p, q in zip(codes[a], codes[b], strict=True)]
            near[row, place, column + ([*same, False]).index(False)] = 1
    return near


def _attended(
    attention: nn.Module, target: Tensor, history: Tensor, padded: Padded
) -> tuple[Tensor, Tensor]:
    """(B, D) pooled and (B, L, H) scores."""
    if isinstance(attention, TargetAttention):
        weight = _din_weights(attention, target, history, padded.signals)
    elif isinstance(attention, MultiHeadTargetAttention):
        return _softmax_attended(attention, target, history, padded)
    else:
        weight = torch.ones(*padded.real.shape, 1)
    return (weight * padded.real[:, :, None] * history).sum(1), weight


def _din_weights(
    attention: TargetAttention, target: Tensor, history: Tensor, signals: Tensor
) -> Tensor:
    """MLP([q, k, q - k, q * k]), and the signals beside them: (B, L, 1)."""
    query = target[:, None].expand_as(history)
    hidden = attention.first(torch.cat([query, history, query - history, query * history], dim=-1))
    if attention.signal is not None:
        hidden = hidden + attention.signal(signals)
    weight: Tensor = attention.rest(hidden)
    return weight


def _softmax_attended(
    attention: MultiHeadTargetAttention, target: Tensor, history: Tensor, padded: Padded
) -> tuple[Tensor, Tensor]:
    heads, (rows, length) = attention.heads, padded.real.shape
    query = attention.query(target).view(rows, 1, heads, -1)
    key = attention.key(history).view(rows, length, heads, -1)
    value = attention.value(history).view(rows, length, heads, -1)
    scores = (query * key).sum(-1) / math.sqrt(query.shape[-1])
    if attention.signal is not None:
        scores = scores + attention.signal(padded.signals)
    weight = _masked_softmax(scores, padded.real)
    return attention.out((weight[..., None] * value).sum(1).flatten(1)), scores


def _masked_softmax(scores: Tensor, real: Tensor) -> Tensor:
    """(B, L, H) over the real positions; zeros for a row without any."""
    hidden = ~real[:, :, None]
    weight = scores.masked_fill(hidden, -1e30).softmax(1)
    return weight.masked_fill(hidden, 0.0)


def qin(model: QIN, batch: Batch) -> Tensor:
    padded = pad(batch, int(batch.offsets.diff().max()))
    target, history = vectors(model, batch.item), vectors(model, padded.items)
    attention = model.attention
    query, key = attention.W_q(target)[:, None], attention.W_k(history)
    score = (query * key).sum(-1) / math.sqrt(key.shape[-1])  # (B, L)
    weight = torch.relu(score) * padded.real
    pooled = attention.W_o((weight[:, :, None] * attention.W_v(history)).sum(1)) + target
    levels = [model.likes_level(batch.likes_level), model.views_level(batch.views_level)]
    logit: Tensor = model.network(torch.cat([*levels, target, pooled], 1))
    return logit


def din_target_encoder(model: DINTargetEncoder, batch: Batch) -> Tensor:
    padded = pad(batch, int(batch.offsets.diff().max()))
    target, history = vectors(model, batch.item), vectors(model, padded.items)
    encoded = target
    for layer in model.encoder:
        found = _crossed(layer.cross_attn, encoded, layer.attn_norm(history), padded.real)
        x = layer.attn_norm(encoded + found)
        encoded = x + layer.ffn(x)
    fields = [
        model.user(batch.user),
        model.items.likes_level(batch.likes_level),
        model.items.views_level(batch.views_level),
        target,
        _attended(model.attention, target, history, padded)[0],
        encoded,
    ]
    logit: Tensor = model.mlp(torch.cat(fields, 1)).squeeze(1)
    return logit


def _crossed(attention: CrossAttention, query: Tensor, history: Tensor, real: Tensor) -> Tensor:
    """Each projection, then the multi-head module's own; the keys' biases are in it."""
    rows, length = real.shape
    wq, wk, wv = attention.in_proj.weight.chunk(3)
    bq, bk, bv = attention.in_proj.bias.chunk(3)
    q = F.linear(attention.query_proj(query), wq, bq).view(rows, 1, attention.heads, -1)
    k = F.linear(attention.key_proj(history), wk, bk).view(rows, length, attention.heads, -1)
    v = F.linear(attention.value_proj(history), wv, bv).view(rows, length, attention.heads, -1)
    weight = _masked_softmax((q * k).sum(-1) / math.sqrt(q.shape[-1]), real)
    found: Tensor = attention.out_proj((weight[..., None] * v).sum(1).flatten(1))
    return found


def transformer_dcn(model: TransformerDCN, batch: Batch) -> Tensor:
    padded = pad(batch, model.max_length)
    target, history = vectors(model, batch.item), vectors(model, padded.items)
    ignored = padded.real if isinstance(model, TransformerDCNMomo) else ~padded.real
    ignored = ignored.clone()
    ignored[ignored.all(1), -1] = False
    x = torch.cat([history, target[:, None].expand_as(history)], -1)
    for layer in model.encoder:
        x = _torchs_own(layer, x, ignored)
    hidden = ignored[:, :, None]
    parts = [x.masked_fill(hidden, 0.0)[:, -model.first_k_cols :].flatten(1)]
    if model.out_linear is not None:
        parts.append(model.out_linear(x.masked_fill(hidden, -torch.inf).amax(1)))
    levels = [model.likes_level(batch.likes_level), model.views_level(batch.views_level)]
    fields = torch.cat([*levels, target, *parts], 1)
    head = torch.cat([model.cross(fields), model.deep(fields)], 1)
    logit: Tensor = model.mlp(head).squeeze(1)
    return logit


def _torchs_own(layer: Any, x: Tensor, ignored: Tensor) -> Tensor:
    """The layer's weights in torch's encoder layer, in training: not the fused path."""
    width, wide = layer.linear1.in_features, layer.linear1.out_features
    theirs = nn.TransformerEncoderLayer(
        width, layer.self_attn.heads, wide, dropout=0.0, batch_first=True
    )
    weights = dict(layer.named_parameters())
    found: Tensor = functional_call(
        theirs.train(), weights, (x,), {"src_key_padding_mask": ignored}
    )
    return found


PADDED: dict[str, Callable[[Any, Batch], Tensor]] = {
    "din": din,
    "qin": qin,
    "din_target_encoder": din_target_encoder,
    "transformer_dcn": transformer_dcn,
    "transformer_dcn_momo": transformer_dcn,
}
"""By the registry's names."""
