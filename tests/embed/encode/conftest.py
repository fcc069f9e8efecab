"""A data folder with pictures, and an encoder that needs no library."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmctr_kit.data.contract import Modality
from mmctr_kit.embed.encode.encoders import Encoder, Item, Reading
from mmctr_kit.embed.encode.models import Model
from mmctr_kit.embed.encode.plan import Column

WIDTH = 3


def draw(path: Path, seed: int) -> None:
    squares = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(squares).resize((48, 36), Image.Resampling.NEAREST).save(path)


@pytest.fixture(scope="session")
def pictured(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """The tiny data set (300 items) with pictures: 7, 8 and 9 are bad, and 50, 100, ... absent."""
    folder = tmp_path_factory.mktemp("pictured") / "data"
    folder.mkdir()
    for entry in (tiny_root / "data").iterdir():
        if entry.name != "item_images":
            (folder / entry.name).symlink_to(entry)
    images = folder / "item_images"
    images.mkdir()
    for item in range(1, 301):
        if item % 50:
            draw(images / f"{item}.jpg", item)
    (images / "7.jpg").write_text("no")
    Image.new("RGB", (64, 64)).save(images / "8.jpg")
    (images / "9.jpg").write_bytes((images / "9.jpg").read_bytes()[:500])
    return folder


def fake_encoder(calls: list[int] | None = None) -> Encoder:
    """A text's length, its first letter, and how many items were encoded with it."""

    def prepare(items: Sequence[Item]) -> list[tuple[float, float]]:
        made = []
        for item in items:
            mean = 0.0 if item.image is None else float(np.asarray(item.image).mean())
            text = item.text or " "
            made.append((float(len(text)) + mean, float(ord(text[0]))))
        return made

    def forward(prepared: list[tuple[float, float]]) -> torch.Tensor:
        if calls is not None:
            calls.append(len(prepared))
        return torch.tensor([[*values, float(len(prepared))] for values in prepared])

    return Encoder(prepare, forward, torch.nn.Linear(2, 3), "cpu", False, 32)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every model is the fake encoder; the sizes of the batches that it was given."""
    calls: list[int] = []
    monkeypatch.setattr("mmctr_kit.embed.encode.run.load_encoder", lambda *_: fake_encoder(calls))
    monkeypatch.setattr("mmctr_kit.embed.encode.models.require_installed", lambda _: None)
    return calls


def model_folder(path: Path, **config: object) -> Path:
    """A folder with a configuration and weights that nothing loads."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(b"weights")
    return path


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "models" / "bert", model_type="bert", vocab_size=9)


ColumnOf = Callable[..., Column]


@pytest.fixture
def column_of(bert: Path) -> ColumnOf:
    def column(modality: Modality = "text", layer: int = -1) -> Column:
        model = Model("bert", "text", bert, None, {})
        return Column(modality, model, Reading(layer, "mean", 448))

    return column
