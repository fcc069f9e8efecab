"""Covers: pictures that show the latent dimensions of images."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmctr_kit.datasets.synth.covers import SIDE, draw_covers, write_covers
from mmctr_kit.datasets.synth.world import IMAGE_DIMS
from tests.datasets.synth.made import demo_world, explained_by_ridge


def demo_latent() -> NDArray[np.float64]:
    world = demo_world()
    return world.factors[np.argsort(world.item_id)][:, IMAGE_DIMS]


@pytest.mark.slow
def test_mean_colours_of_fields_explain_most_of_the_dimensions_that_set_colours() -> None:
    latent = demo_latent()
    fields = (draw_covers(latent, np.random.default_rng(0)) / 255.0).reshape(-1, 8, 12, 8, 12, 3)
    explained = explained_by_ridge(fields.mean(axis=(2, 4)).reshape(len(latent), -1), latent)
    assert explained[:7].min() > 0.7


def test_two_covers_of_equal_nuisance_differ_by_the_dimensions_that_set_stripes_and_shape() -> None:
    for dimension in (8, 9, 10, 11):
        latent = np.zeros((2, 12))
        latent[:, dimension] = -2, 2
        # The same nuisance for both: each is the first that its generator draws.
        one, other = (draw_covers(row[None], np.random.default_rng(0))[0] for row in latent)
        assert np.abs(one.astype(int) - other).mean() > 1


def test_items_without_an_image_have_no_file_and_threads_change_no_byte(tmp_path: Path) -> None:
    latent, present = demo_latent()[:600], np.arange(600) % 10 != 3
    done: list[int] = []
    for name, workers in (("one", 1), ("four", 4)):
        (tmp_path / name).mkdir()
        seed = np.random.SeedSequence(5)
        write_covers(tmp_path / name, latent, present, seed, workers, done.append)
    assert sum(done) == 2 * 600
    files = sorted((tmp_path / "one" / "item_images").iterdir())
    assert {int(f.stem) for f in files} == set(np.flatnonzero(present) + 1)
    for file in files:
        assert (tmp_path / "four" / "item_images" / file.name).read_bytes() == file.read_bytes()
    with Image.open(files[0]) as picture:
        assert (picture.size, picture.mode) == ((SIDE, SIDE), "RGB")
