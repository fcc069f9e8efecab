"""tests/studies/versus_official.py: the official loader and network agree with this project's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmctr_kit.bench.speed import Setting
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import load_recipe
from tests.studies.versus_official import (
    OfficialBatch,
    OfficialDIN,
    OfficialTraining,
    compare,
    is_official,
    official_loader,
    sample_matrix,
)
from tests.training.learners import learner_of

SMALL = ("model.attention_hidden=[16,8]", "model.mlp_hidden=[32,16]", "model.embedding_dim=8")


@pytest.fixture(scope="module")
def batch(tiny: ChallengeData) -> OfficialBatch:
    rows = np.arange(100, 164)
    first, second = official_loader(tiny, tiny.item_emb, rows, 64, 32)
    assert isinstance(first, OfficialBatch)
    assert len(second.mask) == 32
    return first


def test_a_sample_has_its_columns_and_its_history_padded_on_the_left(tiny: ChallengeData) -> None:
    examples = tiny.examples("train", 5)
    matrix, columns = sample_matrix(tiny, examples)
    assert matrix.shape == (len(tiny.train), 5 + 5)
    for row in (0, 7, len(matrix) - 1):
        items = tiny.histories.values[examples.begin[row] : examples.end[row]]
        wanted = [0] * (5 - len(items)) + items.tolist()
        assert matrix[row, columns["item_seq"]].tolist() == wanted
    np.testing.assert_array_equal(matrix[:, columns["item_id"]][:, 0], tiny.train.item_id)
    np.testing.assert_array_equal(matrix[:, columns["label"]][:, 0], tiny.train.labels())


def test_a_batch_looks_each_position_and_target_up_among_the_items(
    tiny: ChallengeData, batch: OfficialBatch
) -> None:
    length = batch.mask.shape[1]
    ids = batch.item["item_id"].view(32, length + 1)
    assert torch.equal(batch.mask, (ids[:, :-1] > 0).float())
    flat = ids.flatten().numpy()
    np.testing.assert_array_equal(batch.item["item_tags"], tiny.item_tags[flat])
    np.testing.assert_array_equal(batch.item["item_emb_d128"], tiny.item_emb[flat])


def test_a_batchs_rows_are_rows_of_the_data(tiny: ChallengeData, batch: OfficialBatch) -> None:
    targets = batch.item["item_id"].view(32, -1)[:, -1]
    columns = (targets, *(batch.row[n] for n in ("likes_level", "views_level", "label")))
    rows = zip(*(c.tolist() for c in columns), strict=True)
    train = tiny.train
    arrays = (train.item_id, train.likes_level, train.views_level, train.labels())
    assert set(rows) <= set(zip(*(a[100:164].tolist() for a in arrays), strict=True))


@pytest.mark.parametrize(
    ("recipe", "setting", "wanted"),
    [
        ("din_official", "model.embedding_dim=8", True),
        ("din_official", "model.se=true", False),
        ("din_official", "signals.kinds=all", False),
        ("din_mha_se_pca", "training.epochs=1", False),
        ("qin", "training.epochs=1", False),
    ],
)
def test_only_the_official_network_is_compared(recipe: str, setting: str, wanted: bool) -> None:
    assert is_official(load_recipe(recipe, (setting,))) is wanted


def test_the_packages_layers_compute_our_logits_and_training_lowers_the_loss(
    tiny: ChallengeData,
) -> None:
    pytest.importorskip("fuxictr", reason="fuxictr is not installed")
    recipe = load_recipe("din_official", (*SMALL, "model.mlp_dropout=0"))
    rows = np.arange(128)
    torch.manual_seed(0)
    theirs = OfficialDIN(recipe, len(tiny.item_tags), tiny.n_tags, tiny.item_emb.shape[1])
    with torch.no_grad():  # as published they begin so small that all logits are nearly equal
        for name, weight in theirs.named_parameters():
            if "embedding_layers" in name:
                weight[1:] = torch.randn_like(weight[1:])
    learner = learner_of(recipe, tiny)
    learner.load_published({k: v.numpy() for k, v in theirs.state_dict().items()})
    batch = next(iter(official_loader(tiny, tiny.item_emb, rows, 64, 128)))
    with torch.inference_mode():
        logits = theirs.eval()(batch).numpy()
    ours = learner.predict("train", rows)
    np.testing.assert_allclose(np.sort(logits), np.sort(ours), atol=1e-4, rtol=1e-4)
    assert np.ptp(logits) > 0.1

    training = OfficialTraining(theirs, recipe, torch.device("cpu"))
    losses = [training.step(batch) for _ in range(20)]
    assert losses[-1] < losses[0]


def test_both_pipelines_are_timed_in_turn(tiny_root: Path) -> None:
    pytest.importorskip("fuxictr", reason="fuxictr is not installed")
    recipe = load_recipe("din_official", (*SMALL, "training.batch_size=64"))
    versus = compare(recipe, Setting(tiny_root / "data", "cpu", 1, 0.01, None))
    assert len(versus.rounds) == 3
    assert versus.ratio("wall") > 0
    assert all(0 < r.loading < 1 for r in versus.rounds)
