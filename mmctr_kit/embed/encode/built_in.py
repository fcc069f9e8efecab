"""Encoders that come with this package: they know nothing but the data set's titles and pictures.

``words`` gives a title the leading singular vectors of TF-IDF over all titles (latent semantic
analysis: Deerwester et al. 1990). Terms are words and, for spelling and for scripts without spaces,
runs of 3 and 4 characters.

``colours`` gives a picture the mean colours of 8 x 8 fields, how much edge of each direction 4 x 4
fields hold (as in Dalal and Triggs, CVPR 2005), and its spectrum by frequency and direction, which
shows texture. It is not fitted to anything.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mmctr_kit.embed.encode.content import Content
from mmctr_kit.embed.encode.encoders import Encoder, Item
from mmctr_kit.embed.encode.models import Model
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Floats, Floats32

WIDTH = 256
"""Values of a title's vector, or fewer if there are fewer titles or terms."""
_TERMS = 50_000
"""At most this many words, and as many runs of characters, are counted: the most frequent."""
SIDE = 64
"""Pictures are reduced to this width and height in pixels."""
_FIELDS, _EDGE_FIELDS, _DIRECTIONS, _RINGS = 8, 4, 8, 6
_EDGE_WEIGHT, _TEXTURE_WEIGHT = 2.0, 0.1
"""They make the three parts vary about as much, since a PCA sees what varies most."""


def load_built_in(model: Model, content: Content) -> Encoder:
    """The encoder of that name, for these titles or pictures; it runs on the CPU."""
    if model.name == "words":
        vectors = _fit_words(content.titles)
        return _encoder(lambda items: vectors([str(item.text) for item in items]))
    return _encoder(lambda items: np.stack([look(item.image) for item in items]), SIDE)


def _encoder(vectors: Any, size: int = 0) -> Encoder:
    def prepare(items: Sequence[Item]) -> torch.Tensor:
        return torch.from_numpy(vectors(items))

    return Encoder(prepare, lambda made: made, torch.nn.Identity(), "cpu", False, size)


def _fit_words(titles: Sequence[str]) -> Any:
    """Fit TF-IDF and its singular vectors on all titles that are not empty.

    Returns a function from n titles to (n, d) float32, which does not depend on the titles beside
    one. A title without a term that others share has zeros.
    """
    from scipy.sparse import hstack
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    some = [title for title in titles if title]
    shared: dict[str, Any] = {"min_df": 2, "max_features": _TERMS, "sublinear_tf": True}
    counters = []
    for terms in (words_of, runs_of):  # each is of unit length, so that both count as much
        with suppress(ValueError):  # no two titles share such a term
            counters.append(TfidfVectorizer(analyzer=terms, dtype=np.float32, **shared).fit(some))
    if not counters:
        raise DataError(
            "no two titles share a word or a run of 3 characters, from which words would learn; "
            "name another encoder"
        )

    def count(given: Sequence[str]) -> Any:
        return hstack([counter.transform(given) for counter in counters], format="csr")

    counts = count(some)
    svd = TruncatedSVD(min(WIDTH, *counts.shape), n_iter=4, random_state=0)
    with threadpool_limits(limits=1, user_api="blas"):  # so that cores change no bit
        svd.fit(counts)
    axes = np.ascontiguousarray(svd.components_.T, np.float32)
    return lambda given: np.asarray(count(given) @ axes, np.float32)


def words_of(title: str) -> list[str]:
    """The words of a title, in lower case."""
    return re.findall(r"\w+", title.casefold())


def runs_of(title: str) -> list[str]:
    """The runs of 3 and 4 characters of a title's words, with a space at each end of a word."""
    ends = [f" {word} " for word in words_of(title)]
    return [w[i : i + n] for w in ends for n in (3, 4) for i in range(len(w) - n + 1)]


def look(image: Any) -> Floats32:
    """(368,) float32: colours, edges and texture of an RGB picture, whatever its shape."""
    from PIL.Image import Resampling

    small = image.resize((SIDE, SIDE), Resampling.BOX)
    rgb = np.asarray(small, np.float64) / 255
    field = SIDE // _FIELDS
    colours = rgb.reshape(_FIELDS, field, _FIELDS, field, 3).mean(axis=(1, 3))
    grey = rgb.mean(axis=2)
    parts = (colours.ravel(), _EDGE_WEIGHT * _edges(grey), _TEXTURE_WEIGHT * _texture(grey))
    return np.concatenate(parts).astype(np.float32)


def _edges(grey: Floats) -> Floats:
    """The strength of edges of each direction in each field, relative to all of the picture's."""
    down, across = np.gradient(grey)
    strength = np.hypot(down, across)
    turn = np.floor(np.arctan2(down, across) / np.pi * _DIRECTIONS + 0.5).astype(np.int64)
    place = np.arange(SIDE) // (SIDE // _EDGE_FIELDS)
    field = place[:, None] * _EDGE_FIELDS + place
    cells = field * _DIRECTIONS + turn % _DIRECTIONS
    size = _EDGE_FIELDS**2 * _DIRECTIONS
    sums = np.bincount(cells.ravel(), strength.ravel(), size)
    return np.asarray(sums / (np.linalg.norm(sums) + 1e-6))


def _texture(grey: Floats) -> Floats:
    """The logarithm of mean power at each frequency (octaves) and direction."""
    window = np.hanning(SIDE)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window[:, None] * window)) ** 2
    cells, count = _cells()
    size = _RINGS * _DIRECTIONS + 1
    sums = np.bincount(cells.ravel(), power.ravel(), size)[:-1]
    return np.asarray(np.log(sums / count + 1e-2))


@cache
def _cells() -> tuple[Any, Floats]:
    """Which cell of frequency and direction each point of a spectrum is in, and their sizes."""
    y, x = np.meshgrid(*2 * [np.fft.fftfreq(SIDE) * SIDE], indexing="ij")
    radius = np.hypot(y, x)
    ring = np.floor(np.log2(np.maximum(radius, 1)) / np.log2(SIDE / 2) * _RINGS).astype(np.int64)
    turn = np.floor(np.arctan2(y, x) / np.pi * _DIRECTIONS + 0.5).astype(np.int64) % _DIRECTIONS
    outside = (radius < 1) | (ring >= _RINGS)
    size = _RINGS * _DIRECTIONS
    cells = np.where(outside, size, ring * _DIRECTIONS + turn)
    return cells, np.maximum(np.bincount(cells.ravel(), minlength=size + 1)[:-1], 1.0)
