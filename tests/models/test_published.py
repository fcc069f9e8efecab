"""mmctr_kit.models.published: the published models, reproduced from their checkpoints."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmctr_kit.errors import DataError
from mmctr_kit.models.din import DIN
from mmctr_kit.models.published import load_published
from tests.models.reference import packed, read_reference


def build_din(config: dict[str, Any], arrays: dict[str, Tensor], n_tags: int) -> DIN:
    return DIN(
        item_tags=arrays["input/item_tags"],
        item_emb=arrays["input/item_emb"],
        item_emb_widths=(arrays["input/item_emb"].shape[1],),
        item_present=torch.ones(len(arrays["input/item_emb"]), 1, dtype=torch.bool),
        item_codes=torch.zeros(len(arrays["input/item_emb"]), 0, dtype=torch.long),
        n_codes=1,
        n_tags=n_tags,
        n_signals=0,
        n_row_signals=0,
        embedding_dim=config["embedding_dim"],
        attention_hidden=tuple(config["attention_hidden_units"]),
        attention_activation=config["attention_hidden_activations"].lower(),
        attention_dropout=config["attention_dropout"],
        mlp_hidden=tuple(config["dnn_hidden_units"]),
        mlp_activation=config["dnn_activations"].lower(),
        batch_norm=config["batch_norm"],
    )


TAGS = "embedding_layer.embedding_layer.embedding_layers.item_tags.weight"


@pytest.fixture
def din() -> tuple[DIN, dict[str, Tensor], dict[str, Tensor]]:
    config, arrays, parameters = read_reference("din_official")
    return build_din(config, arrays, len(parameters[TAGS])), arrays, parameters


def test_din_official_equals_the_published_logits_on_every_row(
    din: tuple[DIN, dict[str, Tensor], dict[str, Tensor]],
) -> None:
    model, arrays, parameters = din
    load_published(model, parameters)
    model.eval()
    with torch.inference_mode():
        logit = model(packed(arrays))
    expected = arrays["output/logit"]
    assert len(expected) == 24
    assert ((logit - expected).abs() <= 1e-4 * expected.abs().clamp(min=1)).all()
    assert torch.allclose(torch.sigmoid(logit), arrays["output/probability"], atol=1e-5)


def test_every_published_parameter_is_used(
    din: tuple[DIN, dict[str, Tensor], dict[str, Tensor]],
) -> None:
    model, _, parameters = din
    load_published(model, parameters)
    ours = sum(v.numel() for v in model.state_dict().values())
    assert ours == sum(v.numel() for v in parameters.values())


def test_a_missing_an_extra_and_a_misshapen_parameter_are_named(
    din: tuple[DIN, dict[str, Tensor], dict[str, Tensor]],
) -> None:
    model, _, parameters = din
    with pytest.raises(DataError, match=r"lacks .*item_tags\.weight"):
        load_published(model, {k: v for k, v in parameters.items() if k != TAGS})
    with pytest.raises(DataError, match=r"unknown surplus\.weight"):
        load_published(model, parameters | {"surplus.weight": torch.zeros(1)})
    with pytest.raises(DataError, match=r"item_tags\.weight of shape \(2, 6\); expected \(16, 6\)"):
        load_published(model, parameters | {TAGS: torch.zeros(2, 6)})
    with pytest.raises(DataError, match=r"2 layers in dnn\.mlp; expected 7"):
        load_published(
            model,
            {k: v for k, v in parameters.items() if not k.startswith("dnn.mlp.")}
            | {f"dnn.mlp.{i}.weight": torch.zeros(1) for i in (0, 3)},
        )
