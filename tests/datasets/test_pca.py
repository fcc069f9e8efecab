"""The given embeddings against a plain PCA."""

import numpy as np
import pytest

from mmctr_kit.datasets.pca import given_embeddings


@pytest.mark.parametrize("items", [40, 90])
def test_given_embeddings_are_pca(items: int) -> None:
    rng = np.random.default_rng(0)
    text, image = (rng.standard_normal((items, d)).astype(np.float32) + 1 for d in (20, 30))
    found = given_embeddings(text, image, workers=2)
    for name, x in (("v1", text), ("v2", image), ("v3", np.hstack([text, image]))):
        left, scale, _ = np.linalg.svd(x - x.mean(axis=0, dtype=np.float64), full_matrices=False)
        k = min(items - 1, x.shape[1])
        expected = (left * scale)[:, :k]
        signs = np.sign((found[name][:, :k] * expected).sum(axis=0))
        assert found[name][:, :k] == pytest.approx(expected * signs, abs=1e-4)
        assert not found[name][:, k:].any()
    assert (found["e4"] == np.hstack([found["v1"][:, :64], found["v2"][:, :64]])).all()
    alone = given_embeddings(text, None, workers=2)
    assert list(alone) == ["v1"]
    assert alone["v1"] == pytest.approx(found["v1"], abs=1e-4)
    assert given_embeddings(None, image, 2)["v2"] == pytest.approx(found["v2"], abs=1e-4)
