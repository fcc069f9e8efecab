"""The PCA of a modality, or of both side by side: fitted once for a data folder, then cached."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.cache import Arrays, cached
from mmctr_kit.challenge.contract import FILES
from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.challenge.modalities import Modality, load_modality
from mmctr_kit.items.pca import PCA, fit_pca

_FORMAT = 1

Modalities = tuple[Modality, ...]


def item_vectors(data: ChallengeData, modalities: Modalities) -> list[NDArray[np.float32]]:
    """One (n_items, d) float32 a modality, row i of item i + 1. Raises as load_modality does."""
    return [load_modality(data, m)[1:] for m in modalities]


def modality_pca(data: ChallengeData, modalities: Modalities) -> PCA:
    """The full-width PCA of the modalities side by side, over all items but the padding item.

    An item without a title or image takes part with its zero vector, as in the challenge's own
    embeddings. Raises as load_modality does.
    """
    vectors = item_vectors(data, modalities)

    def build() -> tuple[Arrays, dict[str, Any]]:
        pca = fit_pca(vectors)
        return {"mean": pca.mean, "components": pca.components, "variance": pca.variance}, {}

    files = {"file": data.folder / FILES["item_feature"].path}
    settings = {"modalities": list(modalities), "items": data.n_items, "format": _FORMAT}
    arrays, _ = cached("pca", files, settings, build)
    return PCA(arrays["mean"], arrays["components"], arrays["variance"])
