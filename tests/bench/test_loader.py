"""mmctr_kit.bench.loader: the same rows as ours, the official way."""

import numpy as np
import pytest
import torch

from mmctr_kit.bench.loader import OfficialBatch, official_loader, sample_matrix
from mmctr_kit.data.dataset import ChallengeData


@pytest.fixture(scope="module")
def batch(tiny: ChallengeData) -> OfficialBatch:
    rows = np.arange(100, 164)
    found = list(official_loader(tiny, tiny.item_emb, rows, 64, 32))
    assert len(found) == 2
    assert isinstance(found[0], OfficialBatch)
    return found[0]


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
    there = set(zip(*(a[100:164].tolist() for a in arrays), strict=True))
    assert set(rows) <= there
