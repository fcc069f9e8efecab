"""mmctr_kit.embed.contrast: what training on pairs finds in content, and its loss."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.contrast import _device, align, contrastive_loss
from tests.embed.test_pairs import contexts_of


@pytest.mark.slow
def test_held_out_pairs_are_found_better_than_by_raw_vectors_for_cold_items_too(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    """Each user takes items of one of ten groups, which the vectors show below louder noise."""
    random, n = np.random.default_rng(0), tiny.n_items
    group = np.arange(n) % 10
    loud = 3 * random.standard_normal((n, 30)) / np.sqrt(30)
    vectors = np.hstack([loud, np.eye(10)[group]]).astype(np.float32)
    column = pa.array(vectors.tolist(), pa.list_(pa.float32(), 40))
    path = tmp_path / "encoded.parquet"
    pq.write_table(pa.table({"item_id": np.arange(1, n + 1), "text": column}), path)
    users = [
        (random.choice(np.flatnonzero(group == u % 10), 15, replace=False) + 1).tolist()
        for u in range(300)
    ]
    _, made = align(Content(tiny, path), contexts_of(users, n), 16, 8)
    recall = made["recall"]
    assert recall["aligned"]["pairs"] > 2 * recall["text, PCA"]["pairs"]
    assert recall["aligned"]["cold"] > 1.5 * recall["text, PCA"]["cold"]
    assert recall["chance"]["pairs"] == pytest.approx(50 / (n - 1))
    assert recall["aligned text alone"]["cold"] > 1.5 * recall["text, raw"]["cold"]


def test_the_loss_leaves_out_popularity_and_what_the_user_took() -> None:
    random = np.random.default_rng(0)
    scores, log_q = random.standard_normal((5, 5)), np.log(random.random(5))
    theirs = random.random((5, 5)) < 0.3
    theirs[np.arange(5), np.arange(5)] = False
    losses = []
    for i in range(5):
        corrected = {j: scores[i, j] - log_q[j] for j in range(5) if not theirs[i, j]}
        losses.append(np.log(sum(map(np.exp, corrected.values()))) - corrected[i])
    made = contrastive_loss(*(torch.from_numpy(x) for x in (scores, log_q, theirs)))
    assert made.item() == pytest.approx(np.mean(losses))


def test_a_card_without_kernels_leaves_it_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = ["no kernel image is available for execution on the device", "out of memory"]

    def ones(*_: object, **__: object) -> None:
        raise RuntimeError(f"CUDA error: {faults.pop(0)}")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch, "ones", ones)
    assert _device() == torch.device("cpu")
    with pytest.raises(RuntimeError, match="out of memory"):
        _device()
