"""mmctr_kit.models.din_target_encoder: the published network, number for number, at any size."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din_target_encoder import DINTargetEncoder
from mmctr_kit.models.published import load_published
from tests.models.reference import packed, read_reference

NAME = "din_target_encoder"
TABLES = "embedding_layer.embedding_layer.embedding_layers"
PROJECTION = "embedding_layer.embedding_layer.feature_encoders.item_emb_d128.weight"
DIN_MLP = "attention_layers.attention_layer.mlp"
UNUSED = {"cross_attn.norm.weight", "cross_attn.norm.bias", "cross_attn.key_proj.bias"}

State = dict[str, Tensor]


def build(config: dict[str, Any], arrays: State, state: State, **more: Any) -> DINTargetEncoder:
    return DINTargetEncoder(
        item_tags=arrays["input/item_tags"],
        item_emb=arrays["input/item_emb"],
        item_likes_level=arrays["input/likes_level_of_item"],
        item_views_level=arrays["input/views_level_of_item"],
        n_tags=len(state[f"{TABLES}.item_tags.weight"]),
        n_users=len(state[f"{TABLES}.user_id.weight"]) - 1,
        embedding_dim=config["embedding_dim"],
        attention_hidden=tuple(config["attention_hidden_units"]),
        attention_activation=config["attention_hidden_activations"].lower(),
        attention_dropout=config["attention_dropout"],
        encoder_layers=config["num_layers"],
        mlp_hidden=tuple(config["dnn_hidden_units"]),
        mlp_activation=config["dnn_activations"].lower(),
        batch_norm=config["batch_norm"],
        **more,
    )


def numbers(state: State, prefix: str) -> list[str]:
    """The layers under ``prefix`` that hold a matrix, first to last."""
    found = {int(k[len(prefix) + 1 :].split(".")[0]) for k in state if k.startswith(f"{prefix}.")}
    return [f"{prefix}.{n}" for n in sorted(found) if state[f"{prefix}.{n}.weight"].dim() == 2]


def published_logits(config: dict[str, Any], arrays: State, state: State) -> Tensor:
    """The reference's README in float64, padded and with torch's own multi-head attention."""
    p = {k: v.double() for k, v in state.items()}

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def look(name: str, ids: Tensor) -> Tensor:
        return p[f"{TABLES}.{name}.weight"][ids]

    likes, views = arrays["input/likes_level_of_item"], arrays["input/views_level_of_item"]

    def vectors(ids: Tensor) -> Tensor:
        tags = arrays["input/item_tags"][ids]
        real = (tags != 0).double()
        mean = (look("item_tags", tags) * real[..., None]).sum(-2)
        mean = mean / (real.sum(-1, keepdim=True) + 1e-12)
        emb = arrays["input/item_emb"].double()[ids] @ p[PROJECTION].T
        levels = [look("likes_level", likes[ids]), look("views_level", views[ids])]
        return torch.cat([*levels, look("item_id", ids), mean, emb], -1)

    sequence, item = arrays["input/item_seq"], arrays["input/item_id"]
    q, k, real = vectors(item), vectors(sequence), sequence != 0
    x = torch.cat([q[:, None].expand_as(k), k, q[:, None] - k, q[:, None] * k], -1)
    *hidden, last = numbers(state, DIN_MLP)
    for name in hidden:
        x = linear(x, name).relu()
    pooled = (linear(x, last) * real[..., None] * k).sum(1)
    encoded = q[:, None]
    for i in range(config["num_layers"]):
        encoded = published_layer(p, f"target_attention.layers.{i}", encoded, k, real)
    row = [look("user_id", arrays["input/user_id"])]
    row += [look("likes_level", likes[item]), look("views_level", views[item])]
    x = torch.cat([*row, q, pooled, encoded[:, 0]], -1)
    *hidden, last = numbers(state, "dnn.mlp")
    for name in hidden:
        x = linear(x, name)
        if config["batch_norm"]:
            stem, _, number = name.rpartition(".")
            norm = f"{stem}.{int(number) + 1}"
            mean, var = p[f"{norm}.running_mean"], p[f"{norm}.running_var"]
            x = F.batch_norm(x, mean, var, p[f"{norm}.weight"], p[f"{norm}.bias"])
        x = x.relu()
    return linear(x, last).squeeze(-1)


def published_layer(p: State, name: str, query: Tensor, history: Tensor, real: Tensor) -> Tensor:
    def linear(x: Tensor, part: str) -> Tensor:
        return F.linear(x, p[f"{name}.{part}.weight"], p[f"{name}.{part}.bias"])

    def norm(x: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * p[f"{name}.attn_norm.weight"]

    inner = f"{name}.cross_attn.multihead_attn."
    attention = nn.MultiheadAttention(query.shape[-1], 4, batch_first=True, dtype=torch.float64)
    attention.load_state_dict({k[len(inner) :]: v for k, v in p.items() if k.startswith(inner)})
    h = norm(history)
    parts = zip(("query", "key", "value"), (query, h, h), strict=True)
    projected = [linear(x, f"cross_attn.{part}_proj") for part, x in parts]
    x = norm(query + attention(*projected, key_padding_mask=~real)[0])
    ffn = [n.removeprefix(f"{name}.") for n in numbers(p, f"{name}.ffn")]
    return x + linear(linear(x, ffn[0]).relu(), ffn[1])


def made_up(config: dict[str, Any], *, emb: int, length: int, seed: int) -> tuple[State, State]:
    """Inputs and a state dict, both random and under the published names."""
    g = torch.Generator().manual_seed(seed)
    items, rows, users, n_tags, d = 30, 17, 9, 11, config["embedding_dim"]
    width = 4 * d + emb
    lengths = torch.randint(1, length + 1, (rows, 1), generator=g)
    lengths[0], lengths[1] = length, 1
    levels = torch.randint(1, N_LEVELS, (2, items + 1), generator=g)
    arrays = {
        "input/item_tags": torch.randint(0, n_tags, (items + 1, 5), generator=g),
        "input/item_emb": torch.randn(items + 1, emb, generator=g),
        "input/likes_level_of_item": levels[0],
        "input/views_level_of_item": levels[1],
        "input/item_seq": torch.randint(1, items + 1, (rows, length), generator=g)
        * (torch.arange(length) >= length - lengths),
        "input/item_id": torch.randint(1, items + 1, (rows,), generator=g),
        "input/user_id": torch.randint(0, users + 1, (rows,), generator=g),
    }
    sizes = {"item_id": items + 1, "item_tags": n_tags, "user_id": users + 1}
    sizes |= {"likes_level": N_LEVELS, "views_level": N_LEVELS}
    shapes: dict[str, tuple[int, ...]] = {f"{TABLES}.{k}.weight": (n, d) for k, n in sizes.items()}
    shapes[PROJECTION] = (emb, emb)

    def add(name: str, inputs: int, outputs: int, join: str = ".") -> None:
        shapes[f"{name}{join}weight"] = (outputs, inputs)
        shapes[f"{name}{join}bias"] = (outputs,)

    def add_mlp(prefix: str, inputs: int, hidden: list[int], norm: bool, dropout: bool) -> None:
        number = 0
        for wide in hidden:
            add(f"{prefix}.{number}", inputs, wide)
            if norm:
                for part in ("weight", "bias", "running_mean", "running_var"):
                    shapes[f"{prefix}.{number + 1}.{part}"] = (wide,)
            number, inputs = number + 2 + norm + dropout, wide
        add(f"{prefix}.{number}", inputs, 1)

    dropout = bool(config["attention_dropout"])
    add_mlp(DIN_MLP, 4 * width, config["attention_hidden_units"], False, dropout)
    add_mlp("dnn.mlp", 3 * d + 3 * width, config["dnn_hidden_units"], config["batch_norm"], dropout)
    for i in range(config["num_layers"]):
        layer = f"target_attention.layers.{i}"
        for part in ("query_proj", "key_proj", "value_proj", "multihead_attn.out_proj"):
            add(f"{layer}.cross_attn.{part}", width, width)
        add(f"{layer}.cross_attn.multihead_attn.in_proj", width, 3 * width, "_")
        for part in ("cross_attn.norm.weight", "cross_attn.norm.bias", "attn_norm.weight"):
            shapes[f"{layer}.{part}"] = (width,)
        for number in (0, 3):
            add(f"{layer}.ffn.{number}", width, width)
    state = {k: 2 * torch.randn(s, generator=g) / s[-1] ** 0.5 for k, s in shapes.items()}
    state = {k: v.abs() + 0.5 if k.endswith("_var") else v for k, v in state.items()}
    means = [k for k in state if k.endswith("running_mean")]
    counts = {k.replace("running_mean", "num_batches_tracked"): torch.tensor(3) for k in means}
    return arrays, state | counts


def logits(model: nn.Module, batch: Batch) -> Tensor:
    model.eval()
    with torch.inference_mode():
        found: Tensor = model(batch)
    return found


def loaded(config: dict[str, Any], arrays: State, state: State) -> DINTargetEncoder:
    model = build(config, arrays, state)
    load_published(model, state)
    return model


def reference() -> tuple[DINTargetEncoder, State, State]:
    config, arrays, state = read_reference(NAME)
    return loaded(config, arrays, state), arrays, state


def agree(found: Tensor, expected: Tensor) -> bool:
    return bool(((found - expected).abs() <= 1e-4 * expected.abs().clamp(min=1)).all())


def test_it_equals_the_published_logits_on_every_row() -> None:
    model, arrays, _ = reference()
    logit = logits(model, packed(arrays))
    assert len(logit) == 24
    assert agree(logit, arrays["output/logit"])
    assert torch.allclose(torch.sigmoid(logit), arrays["output/probability"], atol=1e-5)


def test_the_formula_that_other_sizes_are_held_to_is_the_published_one() -> None:
    config, arrays, state = read_reference(NAME)
    assert agree(published_logits(config, arrays, state), arrays["output/logit"])


@pytest.mark.parametrize(
    ("layers", "dim", "emb", "length", "attention", "mlp", "dropout", "batch_norm"),
    [
        (1, 3, 4, 1, [5], [7], 0.0, True),
        (3, 8, 16, 20, [9, 8, 7], [12, 10, 8, 6], 0.2, False),
        (2, 16, 32, 64, [64, 32], [128, 64, 32, 16, 8], 0.0, True),
        (4, 5, 8, 7, [6, 4], [9, 5], 0.1, True),
    ],
)
def test_other_sizes_and_options_agree_too(
    layers: int,
    dim: int,
    emb: int,
    length: int,
    attention: list[int],
    mlp: list[int],
    dropout: float,
    batch_norm: bool,
) -> None:
    config = {
        "embedding_dim": dim,
        "dnn_hidden_units": mlp,
        "dnn_activations": "ReLU",
        "attention_hidden_units": attention,
        "attention_hidden_activations": "ReLU",
        "attention_dropout": dropout,
        "batch_norm": batch_norm,
        "num_layers": layers,
    }
    arrays, state = made_up(config, emb=emb, length=length, seed=layers)
    found = logits(loaded(config, arrays, state), packed(arrays))
    assert found.std() > 0.05
    assert agree(found, published_logits(config, arrays, state))


def test_only_the_parameters_that_cannot_matter_get_no_gradient() -> None:
    model, arrays, _ = reference()
    model.train()
    model(packed(arrays)).square().sum().backward()
    untouched = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert untouched == {f"encoder.{i}.{name}" for i in range(2) for name in UNUSED}
    key_bias = model.encoder[0].cross_attn.in_proj.bias.grad.chunk(3)[1]
    assert not key_bias.any()


def test_the_unused_parameters_of_a_checkpoint_are_kept_and_change_nothing() -> None:
    config, arrays, state = read_reference(NAME)
    other = {k: v + 3 if any(k.endswith(u) for u in UNUSED) else v for k, v in state.items()}
    model = loaded(config, arrays, other)
    assert agree(logits(model, packed(arrays)), arrays["output/logit"])
    name = "cross_attn.norm.weight"
    kept = model.state_dict()[f"encoder.1.{name}"]
    assert torch.equal(kept, other[f"target_attention.layers.1.{name}"])


def test_an_unseen_user_has_a_zero_vector_that_training_leaves_alone() -> None:
    config, arrays, state = read_reference(NAME)
    model = build(config, arrays, state)
    batch = packed(arrays)
    batch = replace(batch, user=batch.user * (torch.arange(len(batch.user)) % 2))
    before = model.user.weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(batch).sum().backward()
    optimizer.step()
    assert not model.user.weight[0].any()
    moved = (model.user.weight != before).any(1).nonzero().flatten().tolist()
    assert moved == sorted(set(batch.user.tolist()) - {0})


def test_a_history_item_carries_its_own_levels() -> None:
    config, arrays, state = read_reference(NAME)
    item = int(arrays["input/item_seq"][0, -1])
    assert item not in arrays["input/item_id"][:1]
    for name in ("likes", "views"):
        levels = arrays[f"input/{name}_level_of_item"].clone()
        levels[item] = levels[item] % 10 + 1
        changed = loaded(config, {**arrays, f"input/{name}_level_of_item": levels}, state)
        found, expected = logits(changed, packed(arrays))[0], arrays["output/logit"][0]
        assert not agree(found, expected)


def test_an_empty_history_attends_to_nothing() -> None:
    model, arrays, _ = reference()
    batch = packed({**arrays, "input/item_seq": torch.zeros_like(arrays["input/item_seq"])})
    assert len(batch.history) == 0
    assert torch.isfinite(logits(model, batch)).all()
    attention = model.encoder[0].cross_attn
    width = attention.out_proj.in_features
    none = torch.zeros(0, dtype=torch.long)
    found = attention(
        torch.randn(3, width), torch.randn(5, width), none, none, torch.zeros(4).int()
    )
    assert torch.equal(found, attention.out_proj.bias.expand(3, -1))


def test_dropout_acts_in_the_encoder_as_in_the_attention_while_training() -> None:
    config, arrays, state = read_reference(NAME)
    layer = build(config, arrays, state).encoder[0]
    rates = [m.p for m in layer.modules() if isinstance(m, nn.Dropout)]
    assert rates == [config["attention_dropout"]] * 3
    attention = layer.cross_attn.train()
    width = attention.out_proj.in_features
    query, table = torch.randn(1, width), torch.randn(40, width)
    index, row = torch.arange(40), torch.zeros(40, dtype=torch.long)
    draws = [attention(query, table, index, row, torch.tensor([0, 40])) for _ in range(2)]
    assert not torch.allclose(*draws)
    with torch.no_grad():
        for last in (attention.out_proj, layer.ffn[3]):
            last.weight.zero_()
            last.bias.fill_(1.0)
    nothing = (index[:0], row[:0], torch.zeros(51, dtype=torch.long))
    found = layer.train()(torch.zeros(50, width), table, *nothing)
    assert not found.all(), "nowhere are both branches dropped"


def test_it_runs_in_bfloat16() -> None:
    model, arrays, _ = reference()
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(packed(arrays)).float()
    assert torch.allclose(found, arrays["output/logit"], atol=0.05)


def test_heads_that_do_not_divide_the_width_are_refused_in_one_line() -> None:
    config, arrays, state = read_reference(NAME)
    with pytest.raises(UsageError, match=r"divisor of the item vector's width 36 .*, not 5;"):
        build(config, arrays, state, encoder_heads=5)


def test_a_checkpoint_of_another_depth_is_refused_by_name() -> None:
    config, arrays, state = read_reference(NAME)
    deeper, shallower = ({**config, "num_layers": n} for n in (3, 1))
    with pytest.raises(DataError, match=r"has 0 layers in target_attention\.layers\.2\.ffn"):
        load_published(build(deeper, arrays, state), state)
    with pytest.raises(DataError, match=r"unknown target_attention\.layers\.1\.attn_norm\.weight"):
        load_published(build(shallower, arrays, state), state)
