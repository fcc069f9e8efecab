"""mmctr_kit.models.qin: the published network, number for number, at any size."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.errors import DataError
from mmctr_kit.models.published import load_published
from mmctr_kit.models.qin import QIN, QuadraticNetwork
from tests.models.reference import packed, read_reference

TABLES = "embedding_layer.embedding_layer.embedding_layers"
PROJECTION = "embedding_layer.embedding_layer.feature_encoders.item_emb_d128.weight"


def build(config: dict[str, Any], arrays: dict[str, Tensor], n_tags: int) -> QIN:
    return QIN(
        item_tags=arrays["input/item_tags"],
        item_emb=arrays["input/item_emb"],
        n_tags=n_tags,
        embedding_dim=config["embedding_dim"],
        num_layers=config["num_layers"],
        num_row=config["num_row"],
        net_dropout=config["net_dropout"],
        batch_norm=config["batch_norm"],
    )


def published_logits(
    config: dict[str, Any], arrays: dict[str, Tensor], state: dict[str, Tensor]
) -> Tensor:
    """The reference's README in float64, padded and term by term."""
    p = {k: v.double() for k, v in state.items() if v.is_floating_point()}

    def vectors(ids: Tensor) -> Tensor:
        tags = arrays["input/item_tags"][ids]
        real = (tags != 0).double()
        of_tags = (p[f"{TABLES}.item_tags.weight"][tags] * real[..., None]).sum(-2)
        mean = of_tags / (real.sum(-1, keepdim=True) + 1e-12)
        emb = arrays["input/item_emb"].double()[ids] @ p[PROJECTION].T
        return torch.cat([p[f"{TABLES}.item_id.weight"][ids], mean, emb], -1)

    sequence, item = arrays["input/item_seq"], arrays["input/item_id"]
    target, history = vectors(item), vectors(sequence)
    q, k, v = (
        x @ p[f"attention_layers.W_{name}.weight"].T
        for name, x in (("q", target), ("k", history), ("v", history))
    )
    score = (q[:, None] * k).sum(-1) / q.shape[1] ** 0.5 * (sequence != 0)
    pooled = (score.clamp(min=0)[..., None] * v).sum(1)
    interest = pooled @ p["attention_layers.W_o.weight"].T + target
    levels = [
        p[f"{TABLES}.{name}_level.weight"][arrays[f"input/{name}_level_of_item"][item]]
        for name in ("likes", "views")
    ]
    x = torch.cat([*levels, target, interest], -1)
    for i in range(config["num_layers"]):
        weight, bias = (p[f"qnn.layer.{i}.linear.0.{n}"] for n in ("weight", "bias"))
        maps = zip(weight.split(x.shape[1]), bias.split(x.shape[1]), strict=True)
        y = torch.stack([x * (x @ w.T + b) for w, b in maps]).sum(0)
        if config["batch_norm"]:
            m, s, w, b = (
                p[f"qnn.norm.{i}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")
            )
            y = (y - m) / (s + 1e-5).sqrt() * w + b
        x = x + torch.where(y > 0, y, y * p[f"qnn.activation.{i}.weight"])
    return (x @ p["qnn.fc.weight"].T + p["qnn.fc.bias"]).squeeze(-1)


def made_up(
    config: dict[str, Any], *, n_tags: int, emb: int, length: int, seed: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and a state dict, both random and under the published names."""
    g = torch.Generator().manual_seed(seed)
    items, rows, d = 30, 17, config["embedding_dim"]
    width = 2 * d + emb
    head = 2 * d + 2 * width
    lengths = torch.randint(0, length + 1, (rows, 1), generator=g)
    lengths[0], lengths[1] = length, 0
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
    sizes = {"item_id": items + 1, "item_tags": n_tags, "likes_level": N_LEVELS}
    sizes["views_level"] = N_LEVELS
    shapes: dict[str, tuple[int, ...]] = {f"{TABLES}.{k}.weight": (n, d) for k, n in sizes.items()}
    shapes[PROJECTION] = (emb, emb)
    for name in ("q", "k", "v"):
        shapes[f"attention_layers.W_{name}.weight"] = (2 * width, width)
    shapes["attention_layers.W_o.weight"] = (width, 2 * width)
    for i in range(config["num_layers"]):
        shapes[f"qnn.layer.{i}.linear.0.weight"] = (config["num_row"] * head, head)
        shapes[f"qnn.layer.{i}.linear.0.bias"] = (config["num_row"] * head,)
        shapes[f"qnn.activation.{i}.weight"] = (1,)
        if config["batch_norm"]:
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"qnn.norm.{i}.{name}"] = (head,)
    shapes |= {"qnn.fc.weight": (1, head), "qnn.fc.bias": (1,)}
    state = {k: torch.randn(s, generator=g) / s[-1] ** 0.5 for k, s in shapes.items()}
    # Each layer squares: what is not tamed leaves float32 after ten of them.
    tame = 1 / config["num_layers"]
    state = {k: v * tame if k.startswith("qnn.layer") else v for k, v in state.items()}
    state = {k: v.abs() + 0.5 if k.endswith("_var") else v for k, v in state.items()}
    if config["batch_norm"]:
        for i in range(config["num_layers"]):
            state[f"qnn.norm.{i}.num_batches_tracked"] = torch.tensor(3)
    return arrays, state


def loaded_logits(
    config: dict[str, Any], arrays: dict[str, Tensor], state: dict[str, Tensor]
) -> Tensor:
    model = build(config, arrays, len(state[f"{TABLES}.item_tags.weight"]))
    load_published(model, state)
    model.eval()
    with torch.inference_mode():
        logit: Tensor = model(packed(arrays))
    return logit


def agree(found: Tensor, expected: Tensor) -> bool:
    return bool(((found - expected).abs() <= 1e-4 * expected.abs().clamp(min=1)).all())


def test_qin_equals_the_published_logits_on_every_row() -> None:
    config, arrays, state = read_reference("qin")
    logit = loaded_logits(config, arrays, state)
    assert len(logit) == 24
    assert agree(logit, arrays["output/logit"])
    assert torch.allclose(torch.sigmoid(logit), arrays["output/probability"], atol=1e-5)


def test_the_formula_that_other_sizes_are_held_to_is_the_published_one() -> None:
    config, arrays, state = read_reference("qin")
    assert agree(published_logits(config, arrays, state), arrays["output/logit"])


@pytest.mark.parametrize(
    ("layers", "rows", "dim", "emb", "length", "dropout", "batch_norm"),
    [
        (1, 1, 4, 3, 1, 0.0, True),
        (2, 3, 8, 5, 20, 0.5, False),
        (4, 4, 16, 32, 64, 0.1, True),
        (12, 2, 3, 7, 9, 0.0, True),
    ],
)
def test_other_sizes_and_options_agree_too(
    layers: int, rows: int, dim: int, emb: int, length: int, dropout: float, batch_norm: bool
) -> None:
    config = {
        "embedding_dim": dim,
        "num_layers": layers,
        "num_row": rows,
        "net_dropout": dropout,
        "batch_norm": batch_norm,
    }
    arrays, state = made_up(config, n_tags=11, emb=emb, length=length, seed=layers)
    assert agree(loaded_logits(config, arrays, state), published_logits(config, arrays, state))


def test_at_the_winners_sizes_it_has_the_parameters_that_their_log_counts() -> None:
    with torch.device("meta"):
        model = QIN(
            item_tags=torch.zeros(91_718, 5, dtype=torch.long),
            item_emb=torch.zeros(91_718, 128),
            n_tags=11_740,
            num_row=4,
        )
    assert sum(p.numel() for p in model.parameters()) == 31_244_293


def test_history_items_that_do_not_fit_the_target_count_for_nothing() -> None:
    config, arrays, _ = read_reference("qin")
    attention = build(config, arrays, 16).attention
    target = torch.randn(1, attention.W_q.in_features)
    place = (torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long))
    with torch.no_grad():
        attention.W_q.weight.copy_(attention.W_k.weight)
        for history, unmoved in ((-target, True), (target, False)):
            found = attention(target, history, *place, torch.tensor([0, 1]))
            assert torch.equal(found, target) is unmoved


def test_dropout_acts_on_each_linear_map_and_again_on_the_layers_output() -> None:
    torch.manual_seed(0)
    network = QuadraticNetwork(900, 1, rows=2, dropout=0.1, batch_norm=False)
    seen: list[Tensor] = []
    network.fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    layer = network.get_submodule("layer.0.linear.0")
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(1.0)
        network(torch.ones(1, 900))
    found = sorted({round(v, 4) for v in seen[0][0].tolist()})
    rate = round(0.1 * 2**16) / 2**16  # as near as dropout comes on a CPU
    assert found == [round(1 + kept / (1 - rate) ** 2, 4) for kept in (0, 1, 2)]


@pytest.mark.parametrize("part", ["layer", "norm", "activation"])
def test_a_checkpoint_of_another_depth_is_refused_with_both_depths(part: str) -> None:
    config, arrays, state = read_reference("qin")
    cut = {k: v for k, v in state.items() if not k.startswith(f"qnn.{part}.2.")}
    with pytest.raises(DataError, match=rf"has 2 layers in qnn\.{part}; expected 3"):
        load_published(build(config, arrays, 16), cut)
