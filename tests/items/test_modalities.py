"""The PCA of a folder's modalities: over its items alone, fitted once, kept by content."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import PCA as Reference  # noqa: N811

from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.data.modalities import load_modality
from mmctr_kit.items import table as modalities
from mmctr_kit.items.table import Modalities, item_vectors, modality_pca

ALL: list[Modalities] = [("text",), ("image",), ("text", "image")]


@pytest.mark.parametrize("which", ALL, ids=" + ".join)
def test_the_padding_row_takes_no_part_in_the_fit(tiny: ChallengeData, which: Modalities) -> None:
    real = np.hstack([load_modality(tiny, m)[1:] for m in which]).astype(np.float64)
    pca = modality_pca(tiny, which)
    np.testing.assert_allclose(pca.mean, real.mean(axis=0), atol=1e-12)
    theirs = Reference(50, svd_solver="full").fit(real)
    np.testing.assert_allclose(pca.variance[:50], theirs.explained_variance_, rtol=1e-9)
    assert [len(v) for v in item_vectors(tiny, which)] == [tiny.n_items] * len(which)


def test_a_fit_is_made_once_for_the_same_content_wherever_it_lies(
    tiny: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = modality_pca(tiny, ("text",))
    shutil.copytree(tiny.folder, tmp_path / "data")
    fits = []
    fit = modalities.fit_pca
    monkeypatch.setattr(modalities, "fit_pca", lambda v: fits.append(len(v)) or fit(v))
    copy = load(tmp_path / "data")
    np.testing.assert_array_equal(modality_pca(copy, ("text",)).components, first.components)
    assert fits == []

    path = tmp_path / "data" / FILES["item_feature"].path
    table = pq.read_table(path)
    place = table.column_names.index("txt_emb_BERT")
    doubled = pa.array([[2 * v for v in row] for row in table.column(place).to_pylist()])
    pq.write_table(table.set_column(place, "txt_emb_BERT", doubled), path)
    again = modality_pca(copy, ("text",))
    assert fits == [1]
    np.testing.assert_allclose(again.variance, 4 * first.variance, rtol=1e-9, atol=1e-12)
