"""mmctr_kit.bench.speed: one recipe's speed, and what it is a share of."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmctr_kit.bench import speed
from mmctr_kit.bench.result import Result
from mmctr_kit.bench.roofline import Ceiling, measure_ceiling
from mmctr_kit.bench.speed import Chunk, Subject, measure
from mmctr_kit.cv import model_cost as cost
from mmctr_kit.recipe import load_recipe

SMALL = ("model.attention_hidden=[16,8]", "model.mlp_hidden=[32,16]", "model.embedding_dim=8")
SIZES = ("training.batch_size=64", "training.max_history=4", "items.embedding=none")


def subject(root: Path, name: str, *settings: str) -> Subject:
    recipe = load_recipe(name, settings)
    return Subject(recipe.resolved(), root / "data", "cpu", 1, seconds=0.01, steps=3)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few requests, and a ceiling that takes no time."""
    monkeypatch.setattr(cost, "_LEAST", 3)
    monkeypatch.setattr(cost, "_REQUESTS", 3)
    monkeypatch.setattr(speed, "measure_ceiling", lambda _, kind: Ceiling(kind, 1e12, 1e10))


def test_the_work_is_counted_by_hand(tiny_root: Path) -> None:
    found = measure(subject(tiny_root, "din_official", *SMALL, *SIZES))
    assert found.work is not None
    # Of a row in the head: likes, views, id, tags and the pooled id and tags, 8 each.
    head = 48 * 32 + 32 * 16 + 16
    # Three products a layer, forward and for two gradients, each a multiplication and an addition.
    assert found.work.flops > 3 * 2 * head
    positions = 3 * 2 * 4 * (16 * 16 + 16 * 8 + 8)  # at most 4 a row: W_p, then two layers
    keys = 3 * 2 * 5 * 16 * 16  # at most each position's and the target's own
    assert found.work.flops < 3 * 2 * head + positions + keys
    assert found.work.bytes == pytest.approx(28 * found.parameters / 64)
    assert found.work.ceiling.dtype == "float32"


def checked(found: Result) -> None:
    assert found.training.rows_per_second > 0
    assert found.prediction.rows_per_second > 0
    assert [each.candidates for each in found.latency] == [1, 64, 1024]
    assert found.memory_of == "process"
    assert found.memory_mb > 50


def test_so_many_steps_are_timed_and_where_their_time_goes(tiny_root: Path) -> None:
    found = measure(subject(tiny_root, "din_official", *SMALL, *SIZES))
    checked(found)
    assert found.training.batch_size == 64
    assert found.training.rows == 3 * 64
    assert found.training.granted is not None
    assert 0 < found.training.granted < 1.5
    assert found.phases is not None
    assert list(found.phases) == ["data", "forward", "backward", "optimizer"]
    assert sum(found.phases.values()) == pytest.approx(1.0)
    assert found.prediction.rows == found.prediction.split_rows == 400


def test_trees_are_measured_too_without_products(tiny_root: Path) -> None:
    found = measure(subject(tiny_root, "gbdt", "training.epochs=1"))
    checked(found)
    assert found.work is None
    assert found.phases is None


def test_the_ceiling_is_above_what_one_product_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = measure_ceiling(torch.device("cpu"), "float32")
    assert found.dtype == "float32"
    assert np.isfinite([found.flops, found.bytes]).all()
    assert found.flops > 1e8
    assert found.bytes > 1e7


def test_what_is_reported_is_the_median_chunk_whatever_the_slowest_took() -> None:
    chunks = [Chunk(10, seconds, 2 * seconds) for seconds in (9.0, 1.0, 1.1, 1.2, 80.0)]
    assert Chunk.middle(chunks) == Chunk(10, 1.2, 2.4)
    assert Chunk.middle(chunks[:2]) == chunks[1]
