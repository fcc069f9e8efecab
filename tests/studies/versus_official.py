"""Training speed of the official baseline's pipeline and of this project's, in one process.

    pip install fuxictr
    python tests/studies/versus_official.py --data DATA --out versus.json
    mmctr-kit bench --data DATA --versus versus.json

Both train the official DIN in turn, so that a drift of the machine's speed meets both, under the
same allocator and threads. The official side is built of the fuxictr package's own layers, with the
baseline's loader, loss, regulariser and optimizer: a sample is fetched at a time, each history
position is looked up in a pandas table of items, histories are padded, arithmetic is float32.
Options: --recipe and --set (sizes and training of the official network), --device, --threads,
--seconds (the longest time for this project's side of a round).
"""

import argparse
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from mmctr_kit.bench.result import Round, Speeds, Versus
from mmctr_kit.bench.speed import Chunk, Setting, stream_of, timed_steps
from mmctr_kit.cv.executors.local import available_cores
from mmctr_kit.cv.fold import fold_rows
from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.data.load import load
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.errors import plural
from mmctr_kit.files import write_json
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.training.device import describe_device, prepare, resolve_device
from mmctr_kit.training.neural import NeuralLearner

ROUNDS = 3
BATCHES = 8
"""Batches of rows that the official loader goes through, again and again."""
OURS_SECONDS = 2.0
WARM_UP = 2

Columns = Mapping[str, slice]


@dataclass(frozen=True)
class OfficialBatch:
    """A batch of B rows with histories of length L.

    ``row``: each row's columns and its label, (B,). ``item``: item_id (n,), item_tags (n, 5) and
    item_emb_d128 (n, d) of the n = B * (L + 1) items: a row's history, then its target. ``mask``
    (B, L) float32, 1 = a real position.
    """

    row: dict[str, Tensor]
    item: dict[str, Tensor]
    mask: Tensor


def official_loader(
    data: ChallengeData,
    item_emb: NDArray[np.float32],
    rows: NDArray[np.int64],
    max_history: int,
    batch_size: int,
) -> DataLoader[Any]:
    """Batches of the given train rows, shuffled; an incomplete last batch is left out.

    ``item_emb`` (n_items + 1, d) are the item vectors.
    """
    matrix, columns = sample_matrix(data, data.examples("train", max_history).take(rows))
    return DataLoader(
        Samples(matrix),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=Collator(columns, item_frame(data, item_emb)),
    )


def sample_matrix(data: ChallengeData, examples: Examples) -> tuple[NDArray[np.int64], Columns]:
    """The samples as one matrix (rows, L + 5) int64, and the columns of each name.

    L is the longest history. The most recent item comes last, as in the challenge's item_seq.
    """
    longest = int(examples.lengths.max(initial=1))
    padded = np.zeros((len(examples), longest), np.int64)
    positions, owner = expand_ranges(examples.begin, examples.lengths)
    padded[owner, longest - (examples.end[owner] - positions)] = data.histories.values[positions]
    assert examples.label is not None
    parts: dict[str, NDArray[Any]] = {
        "user_id": examples.user_id,
        "item_seq": padded,
        "item_id": examples.item_id,
        "likes_level": examples.likes_level,
        "views_level": examples.views_level,
        "label": examples.label,
    }
    columns, begin = {}, 0
    for name, part in parts.items():
        width = 1 if part.ndim == 1 else part.shape[1]
        columns[name] = slice(begin, begin + width)
        begin += width
    return np.column_stack(list(parts.values())).astype(np.int64), columns


def item_frame(data: ChallengeData, item_emb: NDArray[np.float32]) -> pd.DataFrame:
    """item_info as pandas reads it: an array per item in each of the two array columns."""
    return pd.DataFrame(
        {
            "item_id": np.arange(len(item_emb)),
            "item_tags": list(data.item_tags.astype(np.int64)),
            "item_emb_d128": list(item_emb.astype(np.float64)),
        }
    )


class Samples(Dataset[Any]):
    """The rows of a sample matrix."""

    def __init__(self, matrix: NDArray[np.int64]) -> None:
        self.matrix = matrix

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        sample: NDArray[np.int64] = self.matrix[number]
        return sample


class Collator:
    """Turns samples into a batch, with a look-up of each item in a pandas table."""

    def __init__(self, columns: Columns, items: pd.DataFrame) -> None:
        self.columns = columns
        self.items = items

    def __call__(self, samples: list[NDArray[np.int64]]) -> OfficialBatch:
        batch = default_collate(samples)
        parts = {name: batch[:, columns] for name, columns in self.columns.items()}
        history, target = parts["item_seq"], parts["item_id"]
        ids = np.hstack([history.numpy(), target.numpy()]).flatten()
        rows = self.items.iloc[ids]
        item = {name: torch.from_numpy(np.array(rows[name].to_list())) for name in rows.columns}
        row = {n: parts[n].squeeze(1) for n in ("likes_level", "views_level", "label")}
        return OfficialBatch(row, item, (history > 0).float())


OFFICIAL_OPTIONS = {
    "fusion": "concat",
    "use_item_id": True,
    "use_tags": True,
    "use_levels": True,
    "use_history": True,
    "attention": "mlp",
    "attention_activation": "relu",
    "pooling": "sum",
    "interaction": False,
    "se": False,
    "mlp_activation": "relu",
}


def is_official(recipe: Recipe) -> bool:
    """Whether the recipe is the official network, whatever its sizes and training."""
    if recipe.model_name != "din" or recipe.signals.kinds or recipe.items.embedding == "none":
        return False
    options = recipe.model_arguments
    return all(options[key] == value for key, value in OFFICIAL_OPTIONS.items())


class OfficialDIN(nn.Module):
    """The official DIN with the recipe's sizes, under its published parameter names.

    ``n_items`` and ``n_tags`` are the vocabularies with their padding, ``item_dim`` the width of
    the item vectors.
    """

    def __init__(self, recipe: Recipe, n_items: int, n_tags: int, item_dim: int) -> None:
        from fuxictr.pytorch.layers import DIN_Attention, FeatureEmbedding, MLP_Block

        super().__init__()
        options = recipe.model_arguments
        width = int(options["embedding_dim"])
        projected = int(options["item_emb_dim"] or item_dim)
        features = feature_map(n_items, n_tags, width, item_dim, projected)
        self.item_width = 2 * width + projected
        self.embedding_layer = FeatureEmbedding(features, width)
        self.attention_layers = DIN_Attention(
            self.item_width,
            attention_units=list(options["attention_hidden"]),
            hidden_activations="ReLU",
            dropout_rate=options["attention_dropout"],
        )
        self.dnn = MLP_Block(
            input_dim=2 * width + 2 * self.item_width,
            output_dim=1,
            hidden_units=list(options["mlp_hidden"]),
            hidden_activations="ReLU",
            dropout_rates=options["mlp_dropout"],
            batch_norm=options["batch_norm"],
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, batch: OfficialBatch) -> Tensor:
        """(B,) logits."""
        row = {k: v for k, v in batch.row.items() if k != "label"}
        fields = self.embedding_layer(row, flatten_emb=True)  # (B, 2 * width)
        items = self.embedding_layer(batch.item, flatten_emb=True)
        items = items.view(len(batch.mask), -1, self.item_width)  # (B, L + 1, D)
        target, history = items[:, -1], items[:, :-1]
        pooled = self.attention_layers(target, history, batch.mask)
        logit: Tensor = self.dnn(torch.cat([fields, target, pooled], dim=-1)).squeeze(-1)
        return logit


def feature_map(n_items: int, n_tags: int, width: int, item_dim: int, projected: int) -> Any:
    """The columns as the official configuration describes them."""
    from fuxictr.features import FeatureMap

    level = {"type": "categorical", "source": "", "vocab_size": N_LEVELS}
    features = FeatureMap("bench", "")
    features.labels = ["label"]
    features.default_emb_dim = width
    features.features = OrderedDict(
        likes_level=level,
        views_level=level,
        item_id={"type": "categorical", "source": "item", "vocab_size": n_items, "padding_idx": 0},
        item_tags={
            "type": "sequence",
            "source": "item",
            "vocab_size": n_tags,
            "padding_idx": 0,
            "feature_encoder": "layers.MaskedAveragePooling()",
        },
        item_emb_d128={
            "type": "embedding",
            "source": "item",
            "embedding_dim": projected,
            "pretrain_dim": item_dim,
        },
    )
    return features


class OfficialTraining:
    """Trains as the official baseline does: BCE of a float32 sigmoid, the regulariser as part of
    the loss, clipping, Adam."""

    def __init__(self, model: OfficialDIN, recipe: Recipe, device: torch.device) -> None:
        self.model = model.to(device).train()
        self.device = device
        self.options = recipe.training
        self.optimizer = torch.optim.Adam(model.parameters(), lr=recipe.training.learning_rate)

    def step(self, batch: OfficialBatch) -> float:
        """Train one step; returns the loss before it."""
        batch = OfficialBatch(
            {k: v.to(self.device) for k, v in batch.row.items()},
            {k: v.to(self.device) for k, v in batch.item.items()},
            batch.mask.to(self.device),
        )
        self.optimizer.zero_grad()
        probability = torch.sigmoid(self.model(batch))
        label = batch.row["label"].float()
        loss = nn.functional.binary_cross_entropy(probability, label) + self.regulariser()
        loss.backward()
        if self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        return float(loss.item())

    def regulariser(self) -> Tensor | float:
        """(lambda / 2) * ||W||^2 over the weights, with a lambda of its own for embeddings."""
        total: Tensor | float = 0.0
        for name, weight in self.model.named_parameters():
            table = name.startswith("embedding_layer.")
            strength = self.options.embedding_regularizer if table else self.options.net_regularizer
            if strength:
                total = total + (strength / 2) * torch.norm(weight, 2) ** 2
        return total


class OfficialSteps:
    """Training steps of the official pipeline, its loader included."""

    def __init__(
        self,
        recipe: Recipe,
        data: ChallengeData,
        items: ItemFeatures,
        train: NDArray[np.int64],
        size: int,
        device: torch.device,
    ) -> None:
        rows = np.random.default_rng(0).permutation(train)[: BATCHES * size]
        self.loader = official_loader(data, items.table, rows, recipe.training.max_history, size)
        model = OfficialDIN(recipe, len(data.item_tags), data.n_tags, items.table.shape[1])
        self.training = OfficialTraining(model, recipe, device)
        self.batches = self.endless()

    def endless(self) -> Iterator[OfficialBatch]:
        while True:
            yield from self.loader

    def step(self) -> float:
        """Load a batch and train on it; returns the seconds that loading took."""
        began = time.perf_counter()
        batch = next(self.batches)
        loading = time.perf_counter() - began
        self.training.step(batch)  # waits for the loss
        return loading


def compare(recipe: Recipe, setting: Setting) -> Versus:
    """:data:`ROUNDS` rounds: an official step, then this project's steps for about as long."""
    prepare(setting.device, setting.threads)
    data = load(setting.folder)
    items = ItemFeatures.derive(recipe, data)
    learner = NeuralLearner(recipe, data, items, setting.device)
    fit, train = learner.begin(fold_rows(recipe, data, 0).train, 0)
    fit.known_user[:] = True
    stream = stream_of(fit, train)
    size, ours = stream.batch_size, timed_steps(fit, stream, setting)
    next(ours)
    official = OfficialSteps(recipe, data, items, train, size, fit.source.device)
    for _ in range(WARM_UP):
        official.step()
    rounds = tuple(one_round(official, ours, size, setting.seconds) for _ in range(ROUNDS))
    where = describe_device(setting.device)
    if setting.device == "cpu":
        where += f", {plural(setting.threads, 'thread')}"
    return Versus(recipe.name, where, size, fit.step.precision, rounds)


def one_round(official: OfficialSteps, ours: Iterator[Chunk], size: int, longest: float) -> Round:
    began, cpu = time.perf_counter(), time.process_time()
    loading = official.step()
    taken, cpu_taken = time.perf_counter() - began, time.process_time() - cpu
    theirs: Speeds = {"wall": size / taken, "cpu": size / cpu_taken}
    chunks = [next(ours)]
    while sum(c.seconds for c in chunks) < min(max(taken, OURS_SECONDS), longest):
        chunks.append(next(ours))
    one = Chunk.middle(chunks)
    mine: Speeds = {"wall": one.rows / one.seconds, "cpu": one.rows / one.cpu}
    return Round(theirs, mine, loading / taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="din_official")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    recipe = load_recipe(given.recipe, given.settings)
    if not is_official(recipe):
        parser.error(f"'{given.recipe}' is not the official network; din_official is")
    device = resolve_device(given.device).split(",")[0]
    setting = Setting(given.data, device, given.threads, given.seconds, steps=None)
    versus = compare(recipe, setting)
    write_json(given.out, versus.as_json())
    wall, cpu = versus.speeds("wall")[2], versus.speeds("cpu")[2]
    print(f"{versus.recipe}: {wall:.1f} times the official rows/s by wall time,")
    print(f"{cpu:.1f} times by CPU time; wrote {given.out}")


if __name__ == "__main__":
    main()
