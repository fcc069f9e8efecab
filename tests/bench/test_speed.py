"""mmctr_kit.bench.speed: one recipe's speed, and what it is a share of."""

from pathlib import Path

import pytest
import torch

from mmctr_kit.bench import speed
from mmctr_kit.bench.result import Result, Roofline
from mmctr_kit.bench.speed import Chunk, Setting, measure, measure_roofline
from mmctr_kit.cv import model_cost as cost
from mmctr_kit.recipe import load_recipe

SMALL = ("model.attention_hidden=[16,8]", "model.mlp_hidden=[32,16]", "model.embedding_dim=8")
SIZES = ("training.batch_size=64", "training.max_history=4", "items.embedding=none")


def measured(root: Path, name: str, *settings: str) -> Result:
    setting = Setting(root / "data", "cpu", 1, seconds=0.01, steps=3)
    result = measure((load_recipe(name, settings), setting))
    assert result.training.rows_per_second > 0
    assert result.prediction.rows_per_second > 0
    assert [each.candidates for each in result.latency] == [1, 64, 1024]
    assert result.memory_of == "process"
    assert result.memory_mb > 50
    return result


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few requests, and a roofline that takes no time."""
    monkeypatch.setattr(cost, "_LEAST", 3)
    monkeypatch.setattr(cost, "_REQUESTS", 3)
    monkeypatch.setattr(speed, "measure_roofline", lambda _, kind: Roofline(kind, 1e12, 1e10))


def test_the_work_is_counted_by_hand(tiny_root: Path) -> None:
    result = measured(tiny_root, "din_official", *SMALL, *SIZES)
    assert result.work is not None
    # Of a row in the head: likes, views, id, tags and the pooled id and tags, 8 each.
    head = 48 * 32 + 32 * 16 + 16
    # Three products a layer, forward and for two gradients, each a multiplication and an addition.
    assert result.work.flops > 3 * 2 * head
    positions = 3 * 2 * 4 * (16 * 16 + 16 * 8 + 8)  # at most 4 a row: W_p, then two layers
    keys = 3 * 2 * 5 * 16 * 16  # at most each position's and the target's own
    assert result.work.flops < 3 * 2 * head + positions + keys
    assert result.work.bytes == pytest.approx(28 * result.parameters / 64)
    assert result.work.roofline.dtype == "float32"


def test_the_given_number_of_steps_is_timed_by_phase(tiny_root: Path) -> None:
    result = measured(tiny_root, "din_official", *SMALL, *SIZES)
    assert result.training.batch_size == 64
    assert result.training.rows == 3 * 64
    assert result.training.cpu_share is not None
    assert 0 < result.training.cpu_share < 1.5
    assert result.phases is not None
    assert list(result.phases) == ["data", "forward", "backward", "optimizer"]
    assert sum(result.phases.values()) == pytest.approx(1.0)
    assert result.prediction.rows == result.prediction.split_rows == 400


def test_trees_are_measured_too_without_products(tiny_root: Path) -> None:
    result = measured(tiny_root, "gbdt", "training.epochs=1")
    assert result.work is None
    assert result.phases is None


def test_the_median_chunk_is_reported_however_slow_the_slowest_was() -> None:
    chunks = [Chunk(10, seconds, 2 * seconds) for seconds in (9.0, 1.0, 1.1, 1.2, 80.0)]
    assert Chunk.middle(chunks) == Chunk(10, 1.2, 2.4)
    assert Chunk.middle(chunks[:2]) == chunks[1]


def test_the_roofline_is_measured_in_plausible_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_PRODUCTS", {"cpu": (256,)})
    monkeypatch.setattr(speed, "_COPY_BYTES", {"cpu": 1 << 22})
    monkeypatch.setattr(speed, "_LONG_ENOUGH", 0.0)
    measured = measure_roofline(torch.device("cpu"), "float32")
    assert measured.dtype == "float32"
    assert 1e8 < measured.flops < 1e15
    assert 1e7 < measured.bytes < 1e13
