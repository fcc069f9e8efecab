"""What texts, images, levels and tags show of an item."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tests.datasets.synth.made import demo_content, demo_world


def test_joint_pca_loses_the_image_and_separate_pca_keeps_both() -> None:
    world, given_vectors = demo_world(), demo_content().given
    latent = world.factors[np.argsort(world.item_id)]

    def explained(*parts: NDArray[np.float32]) -> tuple[float, float]:
        """Share of the variance of text's own, and of images' own, latent dimensions."""
        x = np.column_stack([np.ones(len(latent)), *parts])
        rest = latent - x @ np.linalg.lstsq(x, latent)[0]
        kept = 1 - (rest**2).sum(axis=0) / (latent**2).sum(axis=0)
        return float(kept[:4].mean()), float(kept[12:].mean())

    v1, v2, v3 = (given_vectors[v] for v in ("v1", "v2", "v3"))
    for joint, separate in (
        ((v3,), (v1[:, :64], v2[:, :64])),
        ((v3[:, :32],), (v1[:, :16], v2[:, :16])),
    ):
        text_joint, image_joint = explained(*joint)
        text_separate, image_separate = explained(*separate)
        assert min(text_joint, text_separate, image_separate) > 0.65
        assert image_joint < 0.3


def test_each_modality_is_missing_for_three_percent_of_items_and_image_is_half_scale() -> None:
    content = demo_content()
    missing = [
        ~x.any(axis=1)
        for x in (content.feature["txt_emb_BERT"], content.feature["img_emb_CLIPRN50"])
    ]
    assert all(0.015 < m.mean() < 0.045 for m in missing)
    text, image = (
        np.linalg.norm(x, axis=1).max()
        for x in (content.feature["txt_emb_BERT"], content.feature["img_emb_CLIPRN50"])
    )
    assert image / text == pytest.approx(0.5, abs=0.05)
    assert all(
        (title == "") == lost
        for title, lost in zip(content.feature["item_title"], missing[0], strict=True)
    )


def test_levels_follow_popularity_and_tags_follow_clusters() -> None:
    world, content = demo_world(), demo_content()
    slot = np.argsort(world.item_id)
    for level in (content.feature["likes_level"], content.feature["views_level"]):
        assert (np.bincount(level) == [0] + [200] * 10).all()
        assert 0.7 < spearmanr(level, world.popularity[slot]).statistic < 0.97
    tags = content.feature["item_tags"]
    first = tags.offsets[:-1][tags.lengths > 0]
    owner = world.cluster[slot][tags.lengths > 0]
    tag = tags.values[first]
    same = np.mean(
        [(owner[tag == t] == np.bincount(owner[tag == t]).argmax()).mean() for t in set(tag)]
    )
    assert same > 0.5
