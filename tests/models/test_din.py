"""mmctr_kit.models.din: each option keeps the contract, and does what it says."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.errors import UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din import DIN

ITEMS, TAGS, DIM, EMB, CODES = 12, 5, 6, 8, 4
LENGTHS = torch.tensor([3, 0, 1, 7, 2, 4])
ROWS = len(LENGTHS)

OPTIONS: list[dict[str, Any]] = [
    {},
    {"pooling": "mean"},
    {"interaction": True},
    {"interaction": True, "pooling": "mean"},
    {"attention": "multihead"},
    {"attention": "multihead", "attention_heads": 1, "attention_dim": 3},
    {"attention": "multihead", "interaction": True, "pooling": "mean"},
    {"attention": "none"},
    {"attention": "none", "pooling": "mean", "interaction": True},
    {"se": True},
    {"se": True, "se_fields": "item", "se_ratio": 1},
    {"attention": "multihead", "se": True, "interaction": True},
    {"attention": "none", "se": True, "interaction": True, "use_levels": False},
    {"use_history": False},
    {"use_history": False, "se": True, "interaction": True},
    {"use_levels": False},
    {"use_levels": False, "se": True, "se_fields": "item"},
    {"use_tags": False},
    {"n_signals": 2, "n_row_signals": 9},
    {"n_signals": 2, "n_row_signals": 9, "attention": "multihead", "se": True},
    {"n_signals": 2, "n_row_signals": 9, "attention": "none", "interaction": True},
    {"fusion": "sum", "item_emb_dim": 6},
    {"fusion": "gated", "item_emb_dim": 6, "modality_dropout": 0.3},
    {"fusion": "cross", "fusion_heads": 2, "item_emb_dim": 6},
    {"use_item_id": False},
    {"use_item_id": False, "use_tags": False, "attention": "multihead", "se": True},
]


def _id(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else value


CODED = torch.randint(1, CODES, (ITEMS + 1, 3), generator=torch.Generator().manual_seed(0))
CODED[[0, 4, 9]] = 0  # the padding item, and two without codes
OPTIONS += [
    {"similarity_histogram": True},
    {"similarity_histogram": True, "pooling": "mean", "se": True},
    {"similarity_histogram": True, "attention": "multihead"},
    {"similarity_histogram": True, "attention": "none", "interaction": True},
    {"item_codes": CODED},
    {"item_codes": CODED, "code_fusion": "concat", "se": True, "se_fields": "item"},
    {"item_codes": CODED, "code_prefix": True, "use_item_id": False},
    {"item_codes": CODED, "similarity_histogram": True},
]
each_option = pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda o: ",".join(f"{k}={_id(v)}" for k, v in o.items()) or "defaults"
)


def build(emb: int = EMB, **options: Any) -> DIN:
    """A small DIN whose embeddings are large enough to matter."""
    torch.manual_seed(0)
    tags, table = torch.randint(0, TAGS, (ITEMS + 1, 3)), torch.randn(ITEMS + 1, emb)
    tags[0], table[0] = 0, 0
    small = {"embedding_dim": DIM, "attention_hidden": (7, 5), "mlp_hidden": (16, 8)}
    supplied = {
        "item_emb_widths": (emb // 2, emb - emb // 2),
        "item_present": torch.rand(ITEMS + 1, 2) < 0.7,
        "item_codes": torch.zeros(ITEMS + 1, 0, dtype=torch.long),
        "n_codes": CODES,
        "n_signals": 0,
        "n_row_signals": 0,
    }
    model = DIN(item_tags=tags, item_emb=table, n_tags=TAGS, **(small | supplied | options))
    torch.manual_seed(1)  # the same embeddings whatever else the options add
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
    return model


def make_batch() -> Batch:
    g = torch.Generator().manual_seed(1)
    return Batch(
        item=torch.randint(1, ITEMS + 1, (ROWS,), generator=g),
        likes_level=torch.randint(1, N_LEVELS, (ROWS,), generator=g),
        views_level=torch.randint(1, N_LEVELS, (ROWS,), generator=g),
        user=torch.zeros(ROWS, dtype=torch.long),
        history=torch.randint(1, ITEMS + 1, (int(LENGTHS.sum()),), generator=g),
        row=torch.repeat_interleave(LENGTHS),
        offsets=F.pad(LENGTHS.cumsum(0), (1, 0)),
        signals=torch.randn(int(LENGTHS.sum()), 2, generator=g),
        row_signals=torch.randn(ROWS, 9, generator=g),
    )


def take(batch: Batch, rows: list[int]) -> Batch:
    """The batch of these rows, in this order."""
    spans = [slice(int(batch.offsets[r]), int(batch.offsets[r + 1])) for r in rows]
    return Batch(
        item=batch.item[rows],
        likes_level=batch.likes_level[rows],
        views_level=batch.views_level[rows],
        user=batch.user[rows],
        history=torch.cat([batch.history[s] for s in spans]),
        row=torch.repeat_interleave(LENGTHS[rows]),
        offsets=F.pad(LENGTHS[rows].cumsum(0), (1, 0)),
        signals=torch.cat([batch.signals[s] for s in spans]),
        row_signals=batch.row_signals[rows],
    )


def logits(model: nn.Module, batch: Batch) -> Tensor:
    model.eval()
    with torch.inference_mode():
        found: Tensor = model(batch)
    return found


def head_input(model: DIN, batch: Batch) -> Tensor:
    """What the head is given, (B, its width)."""
    seen: list[Tensor] = []
    handle = model.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(batch)
    handle.remove()
    return seen[0]


@each_option
def test_padding_changes_neither_logits_nor_gradients(options: dict[str, Any]) -> None:
    model, batch = build(**options), make_batch()
    padded = replace(
        batch,
        history=torch.cat([batch.history, torch.tensor([0, 3, ITEMS, 3])]),
        row=torch.cat([batch.row, torch.full((4,), ROWS)]),
        signals=torch.cat([batch.signals, torch.randn(4, 2)]),
    )
    assert torch.allclose(logits(model, batch), logits(model, padded), atol=1e-5)
    if model.items.project is not None:
        model.items.project.dropout.p = 0.0  # it draws numbers for dummy positions too
    gradients = []
    for each in (batch, padded):
        model.train()
        model.zero_grad()
        model(each).square().sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-4)


@each_option
def test_gradient_reaches_every_parameter(options: dict[str, Any]) -> None:
    model = build(**options)
    model.train()
    (model(make_batch()) * torch.randn(ROWS)).sum().backward()
    untouched = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []


@each_option
def test_rows_are_independent_of_their_order_and_of_each_other(options: dict[str, Any]) -> None:
    model, batch = build(**options), make_batch()
    together = logits(model, batch)
    order = [4, 1, 5, 0, 3, 2]
    assert torch.allclose(together[order], logits(model, take(batch, order)), atol=1e-5)
    alone = torch.cat([logits(model, take(batch, [r])) for r in range(ROWS)])
    assert torch.allclose(together, alone, atol=1e-5)


@each_option
def test_the_target_and_its_history_count_unless_the_history_is_left_out(
    options: dict[str, Any],
) -> None:
    model, batch = build(**options), make_batch()
    before = logits(model, batch)
    other_target = replace(batch, item=batch.item % ITEMS + 1)
    assert not torch.allclose(before, logits(model, other_target))
    changed = (before != logits(model, replace(batch, history=batch.history % ITEMS + 1))).tolist()
    has_history = (LENGTHS > 0).tolist()
    assert changed == (has_history if options.get("use_history", True) else [False] * ROWS)


@each_option
def test_saved_weights_give_the_same_logits_in_a_fresh_model(options: dict[str, Any]) -> None:
    model, batch = build(**options), make_batch()
    model.train()
    model(batch)
    for parameter in model.parameters():
        parameter.data.add_(0.1)
    fresh = build(**options)
    assert not torch.equal(logits(model, batch), logits(fresh, batch))
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(logits(model, batch), logits(fresh, batch))


@pytest.mark.parametrize("attention", ["mlp", "multihead", "none"])
def test_no_multimodal_vector_and_no_history_at_all_give_finite_logits(attention: str) -> None:
    model = build(emb=0, attention=attention, interaction=True, se=True, pooling="mean")
    assert torch.isfinite(logits(model, make_batch())).all()
    empty = replace(
        make_batch(),
        history=torch.zeros(0, dtype=torch.long),
        row=torch.zeros(0, dtype=torch.long),
        offsets=torch.zeros(ROWS + 1, dtype=torch.long),
    )
    assert torch.isfinite(logits(model, empty)).all()


def test_the_head_sees_levels_target_and_pooled_history_in_that_order() -> None:
    model, batch = build(), make_batch()
    width = model.items.width
    likes, views, target, pooled = torch.split(
        head_input(model, batch), [DIM, DIM, width, width], dim=1
    )
    assert model.likes_level is not None
    assert model.views_level is not None
    assert torch.equal(likes, model.likes_level(batch.likes_level))
    assert torch.equal(views, model.views_level(batch.views_level))
    assert torch.allclose(target, model.items(batch.item))
    attention: Any = model.attention
    keys, q = model.items(batch.history), target[batch.row]
    weight = attention.rest(attention.first(torch.cat([q, keys, q - keys, q * keys], 1)))
    expected = [(weight * keys)[batch.row == r].sum(0) for r in range(ROWS)]
    assert torch.allclose(pooled, torch.stack(expected), atol=1e-5)


def test_mean_pooling_divides_by_the_length_and_begins_as_the_plain_mean() -> None:
    batch = make_batch()
    keys = build().items(batch.history)
    mean = torch.stack([keys[batch.row == r].sum(0) / max(1, LENGTHS[r]) for r in range(ROWS)])
    plain = build(attention="none", pooling="mean")
    assert torch.allclose(head_input(plain, batch)[:, -plain.items.width :], mean, atol=1e-5)
    weighted = build(pooling="mean")
    attention: Any = weighted.attention
    for parameter in (*attention.first.parameters(), attention.rest[-1].weight):
        nn.init.zeros_(parameter)
    assert torch.allclose(head_input(weighted, batch)[:, -weighted.items.width :], mean, atol=1e-5)


@pytest.mark.parametrize("pooling", ["sum", "mean"])
def test_multi_head_attention_equals_torchs_own_on_each_row(pooling: str) -> None:
    batch = make_batch()
    model = build(attention="multihead", attention_heads=2, pooling=pooling)
    ours: Any = model.attention
    width = model.items.width
    torchs = nn.MultiheadAttention(width, 2, bias=False, batch_first=True)
    for parameter in ours.parameters():  # the beginning has keys equal to queries
        nn.init.normal_(parameter, std=0.3)
    weights = [m.weight.detach() for m in (ours.query, ours.key, ours.value)]
    torchs.in_proj_weight.data = torch.cat(weights)
    torchs.out_proj.weight.data = ours.out.weight.detach()
    pooled = head_input(model, batch)[:, -width:]
    target = model.items(batch.item)
    for r in range(ROWS):
        keys = model.items(batch.history[batch.row == r])[None]
        if LENGTHS[r]:
            expected = torchs(target[None, [r]], keys, keys)[0][0, 0]
            assert torch.allclose(pooled[r], expected, atol=1e-5)
        else:
            assert not pooled[r].any()


@pytest.mark.parametrize("pooling", ["sum", "mean"])
@pytest.mark.parametrize("attention", ["mlp", "multihead"])
def test_interaction_adds_the_product_and_the_attentions_scores(
    attention: str, pooling: str
) -> None:
    options: dict[str, Any] = {"attention": attention, "pooling": pooling}
    model, batch = build(**options, interaction=True, attention_heads=2), make_batch()
    width, layer = model.items.width, model.attention
    assert layer is not None
    seen = head_input(model, batch)[:, -2 * width - layer.heads :]
    pooled, product, score = torch.split(seen, [width, width, layer.heads], dim=1)
    target = model.items(batch.item)
    assert torch.allclose(product, pooled * target)
    scores = layer.attend(target, model.items(batch.history), torch.arange(16 + 1), batch)[1]
    total = torch.stack([scores[batch.row == r].sum(0) for r in range(ROWS)])
    expected = total / LENGTHS.clamp(min=1)[:, None] if pooling == "mean" else total
    assert torch.allclose(score, expected, atol=1e-5)


@pytest.mark.parametrize(("which", "first", "count"), [("all", 0, 6), ("item", 2, 3)])
def test_squeeze_and_excitation_weighs_whole_fields_by_their_means(
    which: str, first: int, count: int
) -> None:
    batch = make_batch()
    model = build(se=True, se_fields=which, se_ratio=2)
    se: Any = model.se
    seen = head_input(model, batch)
    model.se = None
    plain = head_input(model, batch)
    widths = [DIM, DIM, *model.items.widths, model.items.width]
    fields = list(torch.split(plain, widths, dim=1))
    one, two = se.excite[0], se.excite[2]
    assert one.weight.shape == (-(-count // 2), count)
    means = torch.stack([f.mean(1) for f in fields[first : first + count]], dim=1)
    factor = torch.sigmoid(two(torch.relu(one(means))))
    for i in range(count):
        fields[first + i] = fields[first + i] * factor[:, [i]]
    assert torch.allclose(seen, torch.cat(fields, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "absent"),
    [
        ({"use_levels": False}, ("likes_level", "views_level")),
        ({"use_tags": False}, ("items.item_tags",)),
        ({"use_item_id": False}, ("items.item_id",)),
        ({"use_history": False}, ("attention",)),
        ({"attention": "none"}, ("attention",)),
    ],
)
def test_what_is_left_out_has_no_parameters_and_narrows_the_head(
    options: dict[str, Any], absent: tuple[str, ...]
) -> None:
    before, after = (dict(build(**o).named_parameters()) for o in ({}, options))
    gone = {name for name in before if name.startswith(absent)}
    assert gone
    assert set(after) == set(before) - gone
    head = (before["mlp.0.weight"].shape[1], after["mlp.0.weight"].shape[1])
    assert (head[1] < head[0]) == (options != {"attention": "none"})


def test_the_official_sizes_are_the_defaults() -> None:
    model = DIN(
        item_tags=torch.zeros(11, 5, dtype=torch.long),
        item_emb=torch.zeros(11, 128),
        item_emb_widths=(128,),
        item_present=torch.ones(11, 1, dtype=torch.bool),
        item_codes=torch.zeros(11, 0, dtype=torch.long),
        n_codes=1,
        n_tags=3,
        n_signals=0,
        n_row_signals=0,
    )
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["attention.first.weight"] == (512, 4 * 256)
    assert shapes["items.project.weight"] == (128, 128)
    assert shapes["mlp.0.weight"] == (1024, 2 * 64 + 2 * 256)
    tables = {f"items.{n}" for n in ("item_id", "item_tags", "project")}
    tables |= {"likes_level", "views_level"}
    assert {n.removesuffix(".weight") for n in shapes if not n.startswith(("mlp", "att"))} == tables


def test_heads_share_as_much_of_an_items_width_as_they_divide() -> None:
    model = build(attention="multihead", attention_heads=3)
    assert model.attention.query.weight.shape == (18, 20)
    assert build(attention="multihead").attention.query.weight.shape == (20, 20)


def test_heads_that_do_not_divide_their_width_are_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"^model\.attention_heads is 3, .* width 10; set .*$"):
        build(attention="multihead", attention_heads=3, attention_dim=10)
    with pytest.raises(UsageError, match=r"is 4, which does not divide .* 10;"):
        build(attention="multihead", attention_dim=10)
    assert build(attention="mlp", attention_heads=3)


def test_an_item_of_which_nothing_is_left_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"^model\.use_item_id .* keep one of the three$"):
        build(emb=0, use_item_id=False, use_tags=False)
    assert build(emb=0, use_item_id=False).items.widths == [DIM]
