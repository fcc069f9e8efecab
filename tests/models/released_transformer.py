"""The 1st place's network written a second time, padded and in float64, for its tests."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.models.published import load_published
from mmctr_kit.models.transformer_dcn import TransformerDCN
from tests.models.reference import packed

TABLES = "embedding_layer.embedding_layer.embedding_layers"
PROJECTION = "embedding_layer.embedding_layer.feature_encoders.item_emb_d128.weight"
LAYERS = "transformer_encoder.transformer_encoder.layers"

Config = dict[str, Any]
Arrays = dict[str, Tensor]


def build(kind: type[TransformerDCN], config: Config, arrays: Arrays, state: Arrays) -> Any:
    return kind(
        item_tags=arrays["input/item_tags"],
        item_emb=arrays["input/item_emb"],
        n_tags=len(state[f"{TABLES}.item_tags.weight"]),
        embedding_dim=config["embedding_dim"],
        max_length=arrays["input/item_seq"].shape[1],
        transformer_layers=config["transformer_layers"],
        num_heads=config["num_heads"],
        dim_feedforward=config["dim_feedforward"],
        transformer_dropout=config["transformer_dropout"],
        first_k_cols=config["first_k_cols"],
        max_pool=config["concat_max_pool"],
        cross_layers=config["dcn_cross_layers"],
        dcn_hidden=tuple(config["dcn_hidden_units"]),
        dcn_dropout=config["net_dropout"],
        batch_norm=config["batch_norm"],
        mlp_hidden=tuple(config["mlp_hidden_units"]),
    )


def loaded_logits(
    kind: type[TransformerDCN], config: Config, arrays: Arrays, state: Arrays
) -> Tensor:
    model = build(kind, config, arrays, state)
    load_published(model, state)
    model.eval()
    with torch.inference_mode():
        logit: Tensor = model(packed(arrays))
    return logit


def released_logits(config: Config, arrays: Arrays, state: Arrays, *, inverted: bool) -> Tensor:
    """The reference's README with torch's own encoder layers; ``inverted`` is as released."""
    p = {k: v.double() for k, v in state.items() if v.is_floating_point()}
    sequence, item = arrays["input/item_seq"], arrays["input/item_id"]
    target, history = _vectors(p, arrays, item), _vectors(p, arrays, sequence)
    x = torch.cat([history, target[:, None].expand_as(history)], -1)
    ignored = (sequence != 0) if inverted else (sequence == 0)
    ignored[ignored.all(1), -1] = False
    for i in range(config["transformer_layers"]):
        layer = nn.TransformerEncoderLayer(
            x.shape[2], config["num_heads"], config["dim_feedforward"], 0.0, batch_first=True
        )
        layer.double().load_state_dict(_under(f"{LAYERS}.{i}.", p))
        x = layer.train()(x, src_key_padding_mask=ignored)  # training: not the fused path
    hidden = ignored[:, :, None]
    parts = [x.masked_fill(hidden, 0.0)[:, -config["first_k_cols"] :].flatten(1)]
    if config["concat_max_pool"]:
        highest = x.masked_fill(hidden, -1e9).max(1).values
        name = "transformer_encoder.out_linear"
        parts.append(F.linear(highest, p[f"{name}.weight"], p[f"{name}.bias"]))
    levels = [
        p[f"{TABLES}.{name}_level.weight"][arrays[f"input/{name}_level_of_item"][item]]
        for name in ("likes", "views")
    ]
    x0 = torch.cat([*levels, target, *parts], -1)
    cross = x0
    for i in range(config["dcn_cross_layers"]):
        name = f"crossnet.cross_layers.{i}"
        cross = cross + x0 * F.linear(cross, p[f"{name}.weight"], p[f"{name}.bias"])
    deep = _blocks(_under("parallel_dnn.mlp.", p), x0, last=True)
    return _blocks(_under("mlp.mlp.", p), torch.cat([cross, deep], -1), last=False).squeeze(-1)


def _vectors(p: Arrays, arrays: Arrays, ids: Tensor) -> Tensor:
    tags = arrays["input/item_tags"][ids]
    real = (tags != 0).double()
    total = (p[f"{TABLES}.item_tags.weight"][tags] * real[..., None]).sum(-2)
    mean = total / (real.sum(-1, keepdim=True) + 1e-12)
    emb = arrays["input/item_emb"].double()[ids] @ p[PROJECTION].T
    return torch.cat([p[f"{TABLES}.item_id.weight"][ids], mean, emb], -1)


def _blocks(p: Arrays, x: Tensor, *, last: bool) -> Tensor:
    """Linear layers and batch norms in the order of their numbers; ReLU before each next Linear.

    ``last``: and after the last one.
    """
    waiting = False
    for number in sorted({int(name.split(".")[0]) for name in p}):
        weight, bias = p[f"{number}.weight"], p[f"{number}.bias"]
        if weight.dim() == 2:
            x = F.linear(x.relu() if waiting else x, weight, bias)
            waiting = True
        else:
            mean, var = p[f"{number}.running_mean"], p[f"{number}.running_var"]
            x = (x - mean) / (var + 1e-5).sqrt() * weight + bias
    return x.relu() if last else x


def _under(prefix: str, p: Arrays) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in p.items() if k.startswith(prefix)}


SIZES: list[Config] = [
    {"length": 1, "first_k_cols": 1, "transformer_layers": 1, "concat_max_pool": True},
    {"length": 9, "first_k_cols": 9, "num_heads": 3, "concat_max_pool": False},
    {"length": 64, "first_k_cols": 16, "num_heads": 2, "transformer_layers": 3},
    {"length": 20, "batch_norm": True, "net_dropout": 0.0, "mlp_hidden_units": []},
    {"length": 6, "dcn_cross_layers": 1, "transformer_dropout": 0.0, "dcn_hidden_units": [7]},
]
BASE: Config = {
    "embedding_dim": 5,
    "dcn_cross_layers": 2,
    "dcn_hidden_units": [11, 6],
    "mlp_hidden_units": [9],
    "num_heads": 1,
    "transformer_layers": 2,
    "transformer_dropout": 0.3,
    "dim_feedforward": 13,
    "net_dropout": 0.1,
    "first_k_cols": 3,
    "batch_norm": False,
    "concat_max_pool": True,
}


def made_up(size: Config, seed: int = 0) -> tuple[Config, Arrays, Arrays]:
    """A configuration, inputs with histories of every length from none to full, parameters."""
    config = BASE | {k: v for k, v in size.items() if k != "length"}
    length, items, rows, n_tags, emb = size["length"], 30, 24, 8, 2
    g = torch.Generator().manual_seed(seed)
    lengths = torch.arange(rows)[:, None] * (length + 1) // rows
    lengths[-2:] = length
    real = torch.arange(length) >= length - lengths
    arrays = {
        "input/item_tags": torch.randint(0, n_tags, (items + 1, 5), generator=g),
        "input/item_emb": torch.randn(items + 1, emb, generator=g),
        "input/likes_level_of_item": torch.randint(1, N_LEVELS, (items + 1,), generator=g),
        "input/views_level_of_item": torch.randint(1, N_LEVELS, (items + 1,), generator=g),
        "input/item_seq": torch.randint(1, items + 1, (rows, length), generator=g) * real,
        "input/item_id": torch.randint(1, items + 1, (rows,), generator=g),
        "input/user_id": torch.zeros(rows, dtype=torch.long),
    }
    for name in ("item_tags", "item_emb"):
        arrays[f"input/{name}"][0] = 0
    shapes = _shapes(config, items + 1, n_tags, emb)
    state = {k: torch.randn(s, generator=g) / s[-1] ** 0.5 for k, s in shapes.items()}
    state = {k: v.abs() + 0.5 if k.endswith("_var") else v for k, v in state.items()}
    for name in [k for k in state if k.endswith("_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(3)
    return config, arrays, state


def _shapes(config: Config, items: int, n_tags: int, emb: int) -> dict[str, tuple[int, ...]]:
    d, width = config["embedding_dim"], 2 * (2 * config["embedding_dim"] + emb)
    sizes = {"item_id": items, "item_tags": n_tags}
    sizes |= {"likes_level": N_LEVELS, "views_level": N_LEVELS}
    shapes: dict[str, tuple[int, ...]] = {f"{TABLES}.{k}.weight": (n, d) for k, n in sizes.items()}
    shapes[PROJECTION] = (emb, emb)
    feed = config["dim_feedforward"]
    for i in range(config["transformer_layers"]):
        own = {
            "self_attn.in_proj_weight": (3 * width, width),
            "self_attn.in_proj_bias": (3 * width,),
        }
        own |= _linear("self_attn.out_proj", width, width)
        own |= _linear("linear1", width, feed) | _linear("linear2", feed, width)
        own |= {f"norm{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
        shapes |= {f"{LAYERS}.{i}.{k}": s for k, s in own.items()}
    if config["concat_max_pool"]:
        shapes |= _linear("transformer_encoder.out_linear", width, width)
    x = 2 * d + width // 2 + (config["first_k_cols"] + config["concat_max_pool"]) * width
    for i in range(config["dcn_cross_layers"]):
        shapes |= _linear(f"crossnet.cross_layers.{i}", x, x)
    deep, norm = config["dcn_hidden_units"], config["batch_norm"]
    step = 2 + norm + (config["net_dropout"] > 0)  # Linear, BatchNorm, ReLU, Dropout
    for i, (inputs, outputs) in enumerate(pairwise([x, *deep])):
        shapes |= _linear(f"parallel_dnn.mlp.{i * step}", inputs, outputs)
        if norm:
            kinds = ("weight", "bias", "running_mean", "running_var")
            shapes |= {f"parallel_dnn.mlp.{i * step + 1}.{kind}": (outputs,) for kind in kinds}
    head = [x + deep[-1], *config["mlp_hidden_units"], 1]
    for i, (inputs, outputs) in enumerate(pairwise(head)):
        shapes |= _linear(f"mlp.mlp.{2 * i}", inputs, outputs)
    return shapes


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
