"""The official baseline of the challenge, of the ``fuxictr`` package's own layers.

Its network, loss, regulariser and optimizer as the baseline has them: padded histories, float32,
torch's plain Adam. The package is asked for its layers alone; the training step is written here,
in the order in which the package's has it. Imported only where that package is installed.
"""

from collections import OrderedDict
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from mmctr_kit.bench.loader import OfficialBatch
from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.recipe import Recipe

INSTALL = "pip install fuxictr"


def installed() -> bool:
    """Whether the fuxictr package can be imported."""
    return find_spec("fuxictr") is not None


def is_official(recipe: Recipe) -> bool:
    """Whether the recipe is the official network, whatever its sizes and training."""
    if recipe.model_name != "din" or recipe.signals.kinds or recipe.items.embedding == "none":
        return False
    plain = {
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
    options = recipe.model_arguments
    return all(options[key] == value for key, value in plain.items())


class OfficialDIN(nn.Module):
    """The official DIN with the recipe's sizes, under its published parameter names.

    ``n_items`` and ``n_tags`` are the vocabularies with their padding, ``item_dim`` the width of
    the multimodal vector.
    """

    def __init__(self, recipe: Recipe, n_items: int, n_tags: int, item_dim: int) -> None:
        from fuxictr.pytorch.layers import DIN_Attention, FeatureEmbedding, MLP_Block

        super().__init__()
        options = recipe.model_arguments
        width = int(options["embedding_dim"])
        projected = int(options["item_emb_dim"] or item_dim)
        features = _feature_map(n_items, n_tags, width, item_dim, projected)
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


class OfficialTraining:
    """Trains it as the official baseline does: BCE of a float32 sigmoid, the regulariser as part
    of the loss, clipping, Adam."""

    def __init__(self, model: OfficialDIN, recipe: Recipe, device: torch.device) -> None:
        self.model = model.to(device).train()
        self.device = device
        self.options = recipe.training
        self.optimizer = torch.optim.Adam(model.parameters(), lr=recipe.training.learning_rate)

    def step(self, batch: OfficialBatch) -> float:
        """One step; the loss before it."""
        batch = OfficialBatch(
            {k: v.to(self.device) for k, v in batch.row.items()},
            {k: v.to(self.device) for k, v in batch.item.items()},
            batch.mask.to(self.device),
        )
        self.optimizer.zero_grad()
        probability = torch.sigmoid(self.model(batch))
        label = batch.row["label"].float()
        loss = nn.functional.binary_cross_entropy(probability, label) + self._regulariser()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        return float(loss.item())

    def _regulariser(self) -> Tensor | float:
        """(lambda / 2) * ||W||^2 over the embedding layer's weights, and the other layers'."""
        total: Tensor | float = 0.0
        for name, weight in self.model.named_parameters():
            table = name.startswith("embedding_layer.")
            strength = self.options.embedding_regularizer if table else self.options.net_regularizer
            if strength:
                total = total + (strength / 2) * torch.norm(weight, 2) ** 2
        return total


def _feature_map(n_items: int, n_tags: int, width: int, item_dim: int, projected: int) -> Any:
    """What the official configuration says of the columns."""
    from fuxictr.features import FeatureMap

    level = {"type": "categorical", "source": "", "vocab_size": N_LEVELS}
    found = FeatureMap("bench", "")
    found.labels = ["label"]
    found.default_emb_dim = width
    found.features = OrderedDict(
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
    return found
