"""mmctr_kit.models.layers.fusion: each kind is its formula, and modality dropout what it says."""

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from mmctr_kit.errors import UsageError
from mmctr_kit.models.layers.blocks import linear
from mmctr_kit.models.layers.fusion import CrossModalAttention, ModalityFusion

Kind = Literal["concat", "sum", "gated", "cross"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ROWS, OUT = 40, 6
each_kind = pytest.mark.parametrize("kind", KINDS)
each_kind_and_size = pytest.mark.parametrize(
    ("kind", "widths"),
    [(kind, widths) for kind in KINDS for widths in [(5, 3), (2, 4, 3)]]
    + [("concat", (4,)), ("sum", (4,))],
    ids=str,
)


def build(
    kind: Kind = "concat",
    widths: Sequence[int] = (5, 3),
    out: int = OUT,
    *,
    heads: int = 2,
    dropout: float = 0.0,
    seed: int = 0,
) -> ModalityFusion:
    """A fusion whose missing vectors and norm differ from how they begin."""
    torch.manual_seed(seed)
    fusion = ModalityFusion(widths, out, kind=kind, heads=heads, dropout=dropout)
    for parameter in fusion.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.5)
    return fusion


def inputs(
    widths: Sequence[int] = (5, 3), rows: int = ROWS, lacking: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Vectors (rows, sum(widths)) and present (rows, M), a share ``lacking`` of it zero."""
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(rows, sum(widths), generator=generator)
    return vectors, torch.rand(rows, len(widths), generator=generator) >= lacking


def replaced(fusion: ModalityFusion, vectors: Tensor, kept: Sequence[bool]) -> Tensor:
    """``vectors`` with the missing vectors in place of the modalities that are not kept."""
    assert fusion.missing is not None
    parts = vectors.split(fusion.widths, 1), fusion.missing.split(fusion.widths)
    pieces = zip(*parts, kept, strict=True)
    return torch.cat([x if keep else m.expand(len(x), -1) for x, m, keep in pieces], 1)


def seen_mask(modalities: int, dropout: float, present: Tensor) -> Tensor:
    """(n, M) bool: which modalities of ones a fusion in training let through."""
    fusion = ModalityFusion([1] * modalities, modalities, kind="concat", heads=1, dropout=dropout)
    assert fusion.weight is not None
    nn.init.eye_(fusion.weight)
    found: Tensor = fusion(torch.ones(present.shape), present)  # the missing vectors begin as zeros
    return found == 1


def array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().numpy()


def test_concat_is_the_bias_free_linear_layer_of_the_kit_bit_for_bit() -> None:
    vectors, present = inputs()
    torch.manual_seed(3)
    expected = linear(8, OUT, bias=False)
    after = torch.rand(1)
    torch.manual_seed(3)
    fusion = ModalityFusion([5, 3], OUT, kind="concat", heads=1, dropout=0.0)
    assert torch.equal(torch.rand(1), after)  # what is initialised next begins as it did
    assert {name: p.shape for name, p in fusion.state_dict().items()} == {"weight": (OUT, 8)}
    assert torch.equal(fusion(vectors, present), expected(vectors))


def test_sum_adds_a_projection_of_each_modality() -> None:
    fusion = build("sum", (2, 4, 3))
    vectors, present = inputs((2, 4, 3))
    x = array(vectors)
    weights = [array(w) for w in fusion.projections()]
    expected = x[:, :2] @ weights[0].T + x[:, 2:6] @ weights[1].T + x[:, 6:] @ weights[2].T
    assert np.allclose(array(fusion(vectors, present)), expected, atol=1e-6)


@pytest.mark.parametrize("widths", [(5, 3), (2, 4, 3)])
def test_gated_is_the_gated_multimodal_unit(widths: tuple[int, ...]) -> None:
    fusion = build("gated", widths, out=4)
    vectors, present = inputs(widths)
    x = array(vectors)
    ends = np.cumsum(widths)
    hidden = [
        np.tanh(x[:, end - width : end] @ array(w).T)
        for end, width, w in zip(ends, widths, fusion.projections(), strict=True)
    ]
    assert fusion.gate is not None
    wz = array(fusion.gate.weight)  # the gates of a modality are together
    exponential = [np.exp(x @ wz[4 * m : 4 * m + 4].T) for m in range(len(widths))]
    expected = sum(e * h for e, h in zip(exponential, hidden, strict=True)) / sum(exponential)
    assert np.allclose(array(fusion(vectors, present)), expected, atol=1e-6)
    if len(widths) == 2:
        z = 1 / (1 + np.exp(-(x @ (wz[:4] - wz[4:]).T)))  # the paper's bimodal unit
        assert np.allclose(expected, z * hidden[0] + (1 - z) * hidden[1])


def cross_by_hand(fusion: ModalityFusion, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The fused vector (out,) of one item x (sum(widths),), in loops."""
    attention = fusion.attention
    assert attention is not None
    pieces = np.split(x, np.cumsum(fusion.widths)[:-1])
    tokens = [array(w) @ piece for w, piece in zip(fusion.projections(), pieces, strict=True)]
    layers = (attention.query, attention.key, attention.value)
    query, key, value = ([array(layer.weight) @ t for t in tokens] for layer in layers)
    size = len(tokens[0]) // attention.heads
    fused = []
    for m, token in enumerate(tokens):
        mixed = np.zeros(len(token))
        for head in range(attention.heads):
            s = slice(head * size, (head + 1) * size)
            scores = [np.exp(query[m][s] @ k[s] / np.sqrt(size)) for k in key]
            for score, v in zip(scores, value, strict=True):
                mixed[s] += score / np.sum(scores) * v[s]
        y = token + array(attention.out.weight) @ mixed
        normed = (y - y.mean()) / np.sqrt(y.var() + 1e-5)
        fused.append(normed * array(attention.norm.weight) + array(attention.norm.bias))
    return np.asarray(np.mean(fused, axis=0))


@pytest.mark.parametrize(("widths", "heads"), [((5, 3), 1), ((5, 3), 2), ((2, 4, 3), 3)])
def test_cross_is_multi_head_attention_with_residual_norm_and_mean(
    widths: tuple[int, ...], heads: int
) -> None:
    fusion = build("cross", widths, heads=heads)
    assert fusion.attention is not None
    for name in ("query", "key"):  # sharp enough for the softmax to matter
        nn.init.normal_(getattr(fusion.attention, name).weight, std=1.0)
    vectors, present = inputs(widths)
    expected = np.stack([cross_by_hand(fusion, x) for x in array(vectors)])
    assert np.allclose(array(fusion(vectors, present)), expected, atol=1e-5)


def test_the_attention_of_cross_equals_torchs_own() -> None:
    torch.manual_seed(0)
    ours, tokens = CrossModalAttention(6, 3), torch.randn(ROWS, 4, 6)
    torchs = nn.MultiheadAttention(6, 3, bias=False, batch_first=True)
    weights = [m.weight.detach() for m in (ours.query, ours.key, ours.value)]
    torchs.in_proj_weight.data = torch.cat(weights)
    torchs.out_proj.weight.data = ours.out.weight.detach()
    expected = ours.norm(tokens + torchs(tokens, tokens, tokens)[0])
    assert torch.allclose(ours(tokens), expected, atol=1e-6)


@each_kind_and_size
def test_without_dropout_present_is_not_looked_at_and_nothing_is_drawn(
    kind: Kind, widths: tuple[int, ...]
) -> None:
    fusion = build(kind, widths)
    vectors, present = inputs(widths)
    assert "missing" not in fusion.state_dict()
    in_training = fusion.train()(vectors, ~present)
    assert torch.equal(in_training, fusion.eval()(vectors, present))


def test_a_modality_is_dropped_at_the_stated_rate_each_pattern_as_often_as_it_should() -> None:
    rows, p, m = 60_000, 0.4, 3
    torch.manual_seed(0)
    kept = seen_mask(m, p, torch.ones(rows, m, dtype=torch.bool))
    for pattern in product([True, False], repeat=m):
        dropped = pattern.count(False)
        expected = p**dropped * (1 - p) ** (m - dropped) if dropped < m else 0.0
        expected += p**m / m if dropped == m - 1 else 0.0  # all dropped: one of them stays
        found = (kept == torch.tensor(pattern)).all(1).double().mean().item()
        assert abs(found - expected) <= 5 * np.sqrt(expected * (1 - expected) / rows)
    rate = (~kept).double().mean(0)
    assert torch.allclose(rate, torch.full((m,), p - p**m / m, dtype=torch.double), atol=0.01)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    modalities=st.integers(1, 5),
    dropout=st.floats(0.01, 0.999),
    seed=st.integers(0, 2**31),
)
def test_what_stays_is_present_and_the_last_one_present_always_stays(
    data: st.DataObject, modalities: int, dropout: float, seed: int
) -> None:
    rows = st.lists(st.booleans(), min_size=modalities, max_size=modalities)
    present = torch.tensor(data.draw(st.lists(rows, min_size=1, max_size=20)))
    torch.manual_seed(seed)
    kept = seen_mask(modalities, dropout, present)
    assert not (kept & ~present).any()
    assert torch.equal(kept.any(1), present.any(1))


@each_kind_and_size
def test_a_modality_that_is_absent_counts_as_its_missing_vector_in_every_mode(
    kind: Kind, widths: tuple[int, ...]
) -> None:
    fusion = build(kind, widths, dropout=1e-9)  # in training, too, nothing is drawn out
    vectors, _ = inputs(widths)
    for pattern in product([True, False], repeat=len(widths)):
        present = torch.tensor(pattern).expand(ROWS, -1)
        whole = torch.ones(ROWS, len(widths), dtype=torch.bool)
        expected = fusion.eval()(replaced(fusion, vectors, pattern), whole)
        assert torch.equal(fusion(vectors, present), expected)
        assert torch.equal(fusion.train()(vectors, present), expected)
        columns = present.repeat_interleave(torch.tensor(widths), 1)
        hidden = vectors.where(columns, torch.nan)
        assert torch.equal(fusion.eval()(hidden, present), expected)  # what it held is not seen


@each_kind
def test_a_dropped_modality_counts_as_an_absent_one(kind: Kind) -> None:
    fusion = build(kind, dropout=0.7)
    vectors, present = inputs()
    fusion.eval()
    patterns = [(True, True), (True, False), (False, True)]
    possible = [fusion(vectors, torch.tensor(p).expand(ROWS, -1)) for p in patterns]
    fusion.train()
    torch.manual_seed(0)
    found = fusion(vectors, present)
    same = torch.stack([torch.isclose(found, p, atol=1e-6).all(1) for p in possible])
    assert (same.sum(0) == 1).all()  # one of the three
    assert same.any(1).all()  # and each of them for some row


@each_kind_and_size
@pytest.mark.parametrize("lacking", [0.0, 0.3])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradient_reaches_every_parameter(
    kind: Kind, widths: tuple[int, ...], dropout: float, lacking: float
) -> None:
    fusion = build(kind, widths, dropout=dropout)
    vectors, present = inputs(widths, lacking=lacking)
    (fusion.train()(vectors, present) * torch.randn(ROWS, OUT)).sum().backward()
    gradients = {n: p.grad for n, p in fusion.named_parameters()}
    untouched = [n for n, g in gradients.items() if g is None or not (g != 0).all()]
    nothing_missing = dropout and not lacking and len(widths) == 1  # an only one is never dropped
    assert untouched == (["missing"] if nothing_missing else [])


@each_kind
def test_gradient_reaches_missing_vectors_where_they_begin_and_where_nothing_is_dropped(
    kind: Kind,
) -> None:
    fusion = ModalityFusion((5, 3), OUT, kind=kind, heads=2, dropout=0.2).eval()
    vectors, present = inputs(lacking=0.3)
    (fusion(vectors, present) * torch.randn(ROWS, OUT)).sum().backward()
    assert fusion.missing is not None
    assert fusion.missing.grad is not None
    assert (fusion.missing.grad != 0).all()


@each_kind_and_size
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_rows_are_independent_of_each_other(
    kind: Kind, widths: tuple[int, ...], dropout: float
) -> None:
    fusion = build(kind, widths, dropout=dropout).eval()
    vectors, present = inputs(widths, lacking=0.3)
    together = fusion(vectors, present)
    alone = torch.cat([fusion(vectors[[r]], present[[r]]) for r in range(ROWS)])
    assert torch.allclose(together, alone, atol=1e-6)
    found = fusion.train()(vectors.requires_grad_(), torch.ones_like(present))
    (gradient,) = torch.autograd.grad((found[3] * torch.randn(OUT)).sum(), vectors)
    assert gradient.any(1).nonzero().flatten().tolist() == [3]


@each_kind
def test_evaluation_is_deterministic_and_a_seed_fixes_training(kind: Kind) -> None:
    vectors, present = inputs(lacking=0.3)

    def outputs(seed: int) -> tuple[Tensor, Tensor]:
        fusion = build(kind, dropout=0.5, seed=seed)
        trained = fusion.train()(vectors, present)
        return trained, fusion.eval()(vectors, present)

    first, again, other = outputs(5), outputs(5), outputs(6)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    fusion = build(kind, dropout=0.5)
    assert torch.equal(fusion.eval()(vectors, present), fusion(vectors, present))
    assert not torch.equal(fusion.train()(vectors, present), fusion(vectors, present))


@each_kind_and_size
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_zeros_and_nothing_present_give_finite_values_and_gradients(
    kind: Kind, widths: tuple[int, ...], dropout: float
) -> None:
    torch.manual_seed(0)
    fusion = ModalityFusion(widths, OUT, kind=kind, heads=2, dropout=dropout)
    vectors, present = inputs(widths)
    vectors[:, -widths[-1] :] = 0
    vectors[0], present[0] = 0, False
    found = fusion(vectors, present)
    assert found.shape == (ROWS, OUT)
    assert torch.isfinite(found).all()
    found.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters() if p.grad is not None)
    assert fusion(vectors[:0], present[:0]).shape == (0, OUT)


@each_kind
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_bf16_autocast_is_near_float32_forward_and_backward(kind: Kind, dropout: float) -> None:
    fusion = build(kind, dropout=dropout)
    vectors, present = inputs(lacking=0.2)

    def run() -> tuple[Tensor, Tensor]:
        fusion.zero_grad()
        torch.manual_seed(1)
        found = fusion(vectors, present)
        found.float().square().mean().backward()
        grads = [p.grad for p in fusion.parameters() if p.grad is not None]
        return found.detach().float(), torch.cat([g.flatten() for g in grads])

    exact = run()
    with torch.autocast("cpu", torch.bfloat16):
        rough = run()
    for a, b in zip(exact, rough, strict=True):
        assert (a - b).norm() < 0.02 * a.norm()


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("concat", {"weight"}),
        ("sum", {"modality.0.weight", "modality.1.weight"}),
        ("gated", {"modality.0.weight", "modality.1.weight"}),
        ("cross", {"modality.0.weight", "modality.1.weight"}),
    ],
)
def test_the_projections_are_the_weights_on_the_modalities_and_no_others(
    kind: Kind, names: set[str]
) -> None:
    fusion = build(kind, dropout=0.1)
    known = {id(p): name for name, p in fusion.named_parameters()}
    assert {known[id(weight)] for weight in fusion.projections()} == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "gated", "widths": (4,)}, r"model\.fusion: gated fuses two .* gives one; set .*"),
        ({"kind": "cross", "widths": (4,)}, r"model\.fusion: cross fuses two .* gives one; set .*"),
        ({"kind": "cross", "heads": 4}, r"model\.fusion_heads is 4, .* width 6; set .*"),
        ({"kind": "cross", "out": 2}, r"model\.fusion: cross normalises .* is 2; set .* or more"),
    ],
)
def test_what_cannot_be_fused_is_refused_in_one_line(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        build(**arguments)


def test_heads_count_for_cross_alone() -> None:
    assert all(build(kind, heads=4) for kind in ("concat", "sum", "gated"))


@pytest.mark.cuda
@each_kind
def test_cpu_and_gpu_agree_on_a_catalogue_of_the_challenges_size(kind: Kind) -> None:
    fusion = build(kind, dropout=0.1).eval()
    vectors, present = inputs(rows=91_718, lacking=0.2)
    here = fusion(vectors, present)
    there = fusion.cuda()(vectors.cuda(), present.cuda()).cpu()
    assert torch.allclose(here, there, atol=1e-4)
