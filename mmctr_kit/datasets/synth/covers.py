"""Covers: small pictures whose look follows an item's latent factors.

Twelve latent dimensions set colours, a pattern of stripes and a shape. The four that text does not
show set stripes and shape, which networks trained on photographs see better than colours. The rest
is nuisance: the stripes' phase, where the shape lies, brightness and noise.

Ridge regression to each dimension, cross-validated on the 2,000 covers of the demo preset, has R^2
of 0.27 to 0.76 for the first eight and 0.76 to 0.87 for those four from the pooled features of an
ImageNet EfficientNet-Lite0, and of 0.81 to 0.87 for the first seven from mean colours of 8 x 8
fields.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmctr_kit.data.contract import IMAGES_FOLDER
from mmctr_kit.metrics.ranks import Flags, Floats

SIDE = 96
"""Width and height of a cover in pixels."""
_NOISE = 0.25
"""Standard deviation of what a cover adds to each latent dimension (whose own is 1)."""
_PIXEL_NOISE = 0.03
_BRIGHTNESS_NOISE = 0.06
_SHIFT = 8
"""Standard deviation, in pixels, of where the shape lies."""
_QUALITY = 85
_CHUNK = 256


def write_covers(
    data: Path,
    latent: Floats,
    present: Flags,
    seed: np.random.SeedSequence,
    workers: int,
    progress: Callable[[int], None],
) -> None:
    """Write ``item_images/{item_id}.jpg`` under ``data`` for the items that are ``present``.

    ``latent`` (n_items, 12) are the dimensions that images show, row ``i`` of item ``i + 1``.
    ``progress`` gets how many items were done. The number of threads, ``workers``, changes no byte.
    """
    folder = data / IMAGES_FOLDER
    folder.mkdir()
    starts = range(0, len(latent), _CHUNK)

    def draw(start: int, child: np.random.SeedSequence) -> int:
        part = latent[start : start + _CHUNK]
        pictures = draw_covers(part, np.random.default_rng(child))
        for row, pixels in enumerate(pictures, start):
            if present[row]:
                path = folder / f"{row + 1}.jpg"
                Image.fromarray(pixels).save(path, "JPEG", quality=_QUALITY)
        return len(part)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        for done in pool.map(draw, starts, seed.spawn(len(starts))):
            progress(done)


def draw_covers(latent: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures (n, 96, 96, 3) of items with these latent dimensions (n, 12)."""
    n = len(latent)
    shown = np.tanh((latent + _NOISE * rng.standard_normal(latent.shape)) / 2)
    look = shown.astype(np.float32)[:, :, None, None]
    phase, dx, dy, light = rng.standard_normal((4, n, 1, 1)).astype(np.float32)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE - 0.5
    # The background: one colour above, another below.
    above, below = look[:, :3], look[:, 3:6]
    share = (y + 0.5)[None, None]
    picture = 0.5 + 0.4 * ((1 - share) * above + share * below)
    # Stripes, which differ in width, direction and strength.
    width, angle, strength = look[:, 8], look[:, 9], look[:, 7]
    turned = x * np.cos(np.pi / 4 * (1 + angle)) + y * np.sin(np.pi / 4 * (1 + angle))
    wave = np.sin(2 * np.pi * (7 * 2**width * turned + phase))
    picture += (0.14 + 0.1 * strength)[:, None] * wave[:, None]
    # A shape from a diamond to a square, of one grey.
    corners, size, grey = 2 ** (1 + look[:, 11]), 0.25 + 0.13 * look[:, 10], look[:, 6]
    across, down = np.abs(x - dx * _SHIFT / SIDE), np.abs(y - dy * _SHIFT / SIDE)
    inside = (across**corners + down**corners < size**corners)[:, None]
    picture = np.where(inside, (0.5 + 0.45 * grey)[:, None], picture)
    picture += (_BRIGHTNESS_NOISE * light)[:, None]
    picture += _PIXEL_NOISE * rng.standard_normal(picture.shape, dtype=np.float32)
    pixels: NDArray[np.uint8] = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return pixels.transpose(0, 2, 3, 1)
