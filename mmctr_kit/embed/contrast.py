"""Training of aligned vectors: the network, its batches of pairs, and when it stops.

See :mod:`mmctr_kit.embed.align`, which says what is computed and why.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.activity import Counter
from mmctr_kit.data.cache import Arrays
from mmctr_kit.data.contexts import Contexts
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.pairs import NEIGHBOURS, Pairs, PairSampler, ranks
from mmctr_kit.metrics.ranks import Floats32, Ints

_HIDDEN = 256
_DROPOUT = 0.3
_LEARNING_RATE = 3e-4
_WARMUP = 50
_TEMPERATURE, _TEMPERATURES = 0.1, (0.03, 0.5)
_COMPONENTS = 256
"""Leading principal components of each modality that are projected."""
_LENGTH = 4.0
"""The root mean square length with which they enter the hidden layer; 1 is that of the sum's."""
_NOISE = 0.5
"""The length of the noise that is added to them in training."""
_TAGS = 1.0
"""The length of a tag's vector at first."""
_BATCH, _FEW_ITEMS = 1024, 10_000
"""Pairs in a batch; half as many for at most this many items."""
_PASSES, _STEPS = 60, (400, 3_000)
"""How often each item is drawn in the whole schedule, within these numbers of steps."""
_LOOKS, _PATIENCE = 20, 6
"""How often the held-out pairs are looked at, and after how many looks without gain it stops."""
_HELD = 2_000


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Seed torch and give it one thread, and undo both: the number of cores changes no bit."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(), threadpool_limits(limits=1, user_api="blas"):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


class _Inputs:
    """The content of items, ready for the projection: leading principal components by modality.

    ``values[m]`` (n_items + 1, r_m) float32 has unit mean square length, and ``present``
    (n_items + 1, M + 1) says which items have each modality, and last which have tags.
    """

    def __init__(self, content: Content, device: torch.device) -> None:
        raw = [content.vectors(m) for m in content.held]
        tags = content.data.item_tags
        self.values = [_components(each) for each in raw]
        self.present = np.stack([each.any(axis=1) for each in (*raw, tags)], axis=1)
        self._values = [torch.from_numpy(each).to(device) for each in self.values]
        self._tags = torch.from_numpy(tags.astype(np.int64)).to(device)
        self._present = torch.from_numpy(self.present.astype(np.float32)).to(device)

    def of(self, items: Ints) -> tuple[list[Tensor], Tensor, Tensor]:
        """The modalities' values (n, r_m), the tags (n, t), and who has what (n, M + 1)."""
        index = torch.from_numpy(items).to(self._tags.device)
        return [v[index] for v in self._values], self._tags[index], self._present[index]


def _components(raw: Floats32) -> Floats32:
    """Leading principal components (n_items + 1, r) of the rows that are not zero.

    Their root mean square length is 1. Rows of zeros stay so.
    """
    has = np.flatnonzero(raw.any(axis=1))
    mean = raw[has].mean(axis=0, dtype=np.float64) if len(has) else np.zeros(raw.shape[1])
    covariance = np.zeros((raw.shape[1],) * 2)
    chunks = np.array_split(has, len(has) // 8192 + 1)
    for chunk in chunks:
        centred = raw[chunk] - mean
        covariance += centred.T @ centred
    _, axes = np.linalg.eigh(covariance)
    leading = axes[:, ::-1][:, :_COMPONENTS]
    leading = leading * np.where(leading.sum(axis=0) < 0, -1.0, 1.0)
    result = np.zeros((len(raw), leading.shape[1]), np.float32)
    for chunk in chunks:
        result[chunk] = (raw[chunk] - mean) @ leading
    result /= np.sqrt(np.square(result[has], dtype=np.float64).sum(axis=1).mean()) or 1.0
    return result


class _Projection(nn.Module):
    """The content of n items -> their vectors (n, dims) of unit length."""

    def __init__(self, widths: Sequence[int], n_tags: int, dims: int) -> None:
        super().__init__()
        self.linear = nn.ModuleList()
        self.more = nn.ModuleList()
        for width in widths:
            linear = nn.Linear(width, dims, bias=False)
            last = nn.Linear(_HIDDEN, dims)
            with torch.no_grad():
                linear.weight.copy_(torch.eye(dims, width))
                last.weight.zero_()
                last.bias.zero_()
            layers = nn.Linear(width, _HIDDEN), nn.GELU(), nn.Dropout(_DROPOUT), last
            self.linear.append(linear)
            self.more.append(nn.Sequential(nn.Dropout(_DROPOUT), *layers))
        self.tags = nn.Embedding(n_tags, dims, padding_idx=0)
        nn.init.normal_(self.tags.weight, std=_TAGS / np.sqrt(dims))
        with torch.no_grad():
            self.tags.weight[0] = 0
        self.temperature = nn.Parameter(torch.tensor(float(np.log(_TEMPERATURE))))

    def forward(self, values: Sequence[Tensor], tags: Tensor, present: Tensor) -> Tensor:
        """Values (n, r_m), tags (n, t) and who has what (n, M + 1) -> (n, dims)."""
        count = (tags != 0).sum(1, keepdim=True).clamp(min=1)
        total = self.tags(tags).sum(1) / count * present[:, -1:]
        for m, value in enumerate(values):
            if self.training:
                value = value + _NOISE * torch.randn_like(value) / np.sqrt(value.shape[1])
            more = self.more[m](value * _LENGTH)
            total = total + (self.linear[m](value) + more) * present[:, m : m + 1]
        return F.normalize(total, dim=1)

    def bounded(self) -> Tensor:
        """The temperature within its bounds."""
        low, high = np.log(_TEMPERATURES)
        return self.temperature.clamp(float(low), float(high)).exp()


def _device() -> torch.device:
    """The current GPU, or the CPU if there is none that the installed torch has kernels for."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a card without kernels, at length
        device = torch.device("cuda", torch.cuda.current_device())
        try:
            torch.ones(1, device=device).add_(1)
        except RuntimeError as e:
            if "no kernel image" not in str(e):
                raise
            return torch.device("cpu")
    return device


Held = Mapping[str, tuple[Ints, Ints]]
"""Held-out pairs, ``pairs`` and ``cold``: queries (n,) and targets (n,)."""


def align(
    content: Content, sequences: Contexts, dims: int, window: int
) -> tuple[Arrays, dict[str, Any]]:
    """The arrays of an :class:`mmctr_kit.embed.align.Aligned`, and the rest as plain values."""
    device, data = _device(), content.data
    sampler = PairSampler(sequences, window)
    choose, report = (
        {kind: sampler.held_out(_HELD, kind == "cold", chooses) for kind in ("pairs", "cold")}
        for chooses in (True, False)
    )
    with _reproducible(0):
        inputs = _Inputs(content, device)
        widths = [values.shape[1] for values in inputs.values]
        model = _Projection(widths, data.n_tags, dims).to(device)
        steps, batch = _train(
            model, inputs, sampler, sequences, lambda: _gain(_project(model, inputs), choose)
        )
        made = _project(model, inputs)
        others = {"aligned": made}
        for m, name in enumerate(content.held if len(content.held) > 1 else ()):
            # Without the other modality, and without tags, which come last.
            others[f"aligned {name} alone"] = _project(model, inputs, (1 - m, -1))
        for name, values in zip(content.held, inputs.values, strict=True):
            others[f"{name}, raw"] = np.asarray(content.vectors(name))
            others[f"{name}, PCA"] = values[:, :dims]
        recall = {name: _recall(each, report) for name, each in others.items()}
    chance = NEIGHBOURS / max(data.n_items - 1, 1)
    recall["chance"] = {"pairs": chance, "pairs_se": 0.0, "cold": chance, "cold_se": 0.0}
    temperature = model.bounded().item()
    meta = {"recall": recall, "steps": steps, "batch": batch, "temperature": temperature}
    present = np.asarray(inputs.present[:, :-1].any(axis=1))
    return {"vectors": made, "present": present}, meta


def _train(
    model: _Projection,
    inputs: _Inputs,
    sampler: PairSampler,
    sequences: Contexts,
    measure: Callable[[], float],
) -> tuple[int, int]:
    """Train until the measure of held-out pairs falls, and leave the model as it was at its best.

    Returns the number of steps to there, and of pairs in a step.
    """
    n_items = sequences.n_items
    batch = _BATCH if n_items > _FEW_ITEMS else _BATCH // 2
    planned = int(np.clip(_PASSES * n_items / batch, *_STEPS))
    rng = np.random.default_rng(0)
    seen = sampler.training(max(1 << 18, 8 * n_items), rng)
    if len(seen) < 2:
        return 0, batch
    share = np.bincount(np.concatenate([seen.older, seen.newer]), minlength=n_items + 1)
    log_q = torch.from_numpy(np.log(np.maximum(share, 1) / share.sum()).astype(np.float32))
    shape = (len(sequences.users), n_items + 1)
    took = csr_array((np.ones(len(sequences.items)), sequences.items, sequences.offsets), shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE)
    best, best_step = measure(), 0
    state = {key: value.clone() for key, value in model.state_dict().items()}
    every = planned // _LOOKS
    count = Counter("aligning text and image with who took what", planned)
    for step in range(1, planned + 1):
        count.add()
        rate = _LEARNING_RATE * min(step / _WARMUP, 1 - (step - 1) / planned)
        optimizer.param_groups[0]["lr"] = rate
        pairs = sampler.training(batch, rng)
        if len(pairs) < 2:  # a pair has no negative, and none has no loss
            continue
        loss = _loss(model, inputs, pairs, took, log_q, rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % every == 0:
            if (gain := measure()) > best:
                best, best_step = gain, step
                state = {key: value.clone() for key, value in model.state_dict().items()}
            elif step - best_step >= _PATIENCE * every:
                break
    model.load_state_dict(state)
    return best_step, batch


def _loss(
    model: _Projection,
    inputs: _Inputs,
    pairs: Pairs,
    took: Any,
    log_q: Tensor,
    rng: np.random.Generator,
) -> Tensor:
    """InfoNCE of a batch of pairs, either item being the query as often as the other."""
    swap = rng.random(len(pairs)) < 0.5
    query = np.where(swap, pairs.newer, pairs.older)
    target = np.where(swap, pairs.older, pairs.newer)
    positive = np.arange(len(pairs))
    theirs = np.asarray(took[pairs.user][:, target].todense()) > 0  # (B, B)
    theirs |= query[:, None] == target[None, :]
    theirs[positive, positive] = False
    model.train()
    scores = model(*inputs.of(query)) @ model(*inputs.of(target)).T / model.bounded()
    device = scores.device
    log_q = log_q[torch.from_numpy(target)].to(device)
    return contrastive_loss(scores, log_q, torch.from_numpy(theirs).to(device))


def contrastive_loss(scores: Tensor, log_q: Tensor, theirs: Tensor) -> Tensor:
    """InfoNCE of scores (B, B), those of each query's own target being on the diagonal.

    ``log_q`` (B,) is how likely each target is to be drawn, and is taken from its scores.
    ``theirs`` (B, B) bool marks targets that are no negatives of a query.
    """
    corrected = (scores - log_q).masked_fill(theirs, float("-inf"))
    return F.cross_entropy(corrected, torch.arange(len(scores), device=scores.device))


@torch.no_grad()
def _project(model: _Projection, inputs: _Inputs, without: Sequence[int] = ()) -> Floats32:
    """The vectors of all items (n_items + 1, dims); those without text and image are zero.

    ``without`` numbers modalities that are left out.
    """
    model.eval()
    parts = []
    rows = len(inputs.present)
    for items in np.array_split(np.arange(rows), rows // 4096 + 1):
        values, tags, present = inputs.of(items)
        present[:, list(without)] = 0
        parts.append((model(values, tags, present) * present[:, :-1].amax(1, keepdim=True)).cpu())
    vectors: Floats32 = torch.cat(parts).numpy()
    return vectors


def _hits(vectors: Floats32, held: tuple[Ints, Ints]) -> tuple[float, float]:
    """Recall of held-out pairs and its standard error; NaN if there is no pair.

    The standard error is NaN too if none or all of the pairs are found, which shows no spread.
    """
    query, target = held
    if not len(query):
        return float("nan"), float("nan")
    hit = float((ranks(vectors, query, target) < NEIGHBOURS).mean())
    return hit, float(np.sqrt(hit * (1 - hit) / len(query))) or float("nan")


def _recall(vectors: Floats32, held: Held) -> dict[str, float]:
    """The fields of an :class:`mmctr_kit.embed.align.Recall`."""
    shares = {kind: _hits(vectors, pairs) for kind, pairs in held.items()}
    return {k: share for k, (share, _) in shares.items()} | {
        f"{k}_se": se for k, (_, se) in shares.items()
    }


def _gain(vectors: Floats32, held: Held) -> float:
    """The geometric mean of the recall of both kinds of held-out pairs."""
    shares = [share for share in (_hits(vectors, h)[0] for h in held.values()) if share == share]
    return float(np.exp(np.mean(np.log(np.maximum(shares, 1e-6))))) if shares else 0.0
