"""What the files show of an item: levels, tags, a title, a text and an image vector.

A modality's vector holds some of the latent dimensions (TEXT_DIMS, IMAGE_DIMS), nuisance factors
that have nothing to do with clicks, and noise, all along orthonormal directions. The variances are
chosen so that fusing matters:

- within a modality the latent dimensions vary most, so its own PCA finds them first;
- the image is half the scale of the text, so its latent dimensions vary less than text's nuisance
  factors, of which there are more than PCA to 128 keeps: joint PCA without scaling loses the image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mmctr_kit.data.contract import IMAGE_DIM, TEXT_DIM, GivenEmbedding
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.pca import given_embeddings
from mmctr_kit.datasets.synth.bad import BadItem
from mmctr_kit.datasets.synth.titles import make_titles
from mmctr_kit.datasets.synth.world import IMAGE_DIMS, TEXT_DIMS, World
from mmctr_kit.metrics.ranks import Floats, Floats32, Ints

LEVELS = 10
IMAGE_SCALE = 0.5
"""Scale of the image vectors; text's is 1."""
MISSING_SHARE = 0.03
"""Share of the items that lack text, and, independently, an image."""
_VIEW_NOISE = 0.5
"""Standard deviation of what a modality adds to each latent dimension (whose own is 1)."""
_NUISANCE_VARIANCES = np.linspace(0.6, 0.4, 256)
_COORDINATE_NOISE = 0.05
_OFFSET_LENGTH = 1.5
"""Length of a modality's mean vector, in its own scale."""
_LEVEL_NOISE = {"likes": 0.4, "views": 0.6}
"""Standard deviation of each level's noise, in those of log popularity."""
_TAG_COUNTS = np.array([0.05, 0.12, 0.18, 0.2, 0.17, 0.14, 0.08, 0.06])
"""Share of the items with 0, 1, 2... tags."""
_OWN_TAG_SHARE = 0.8
_TITLE_TAGS = 4
_SYLLABLES = [c + v for c in "bdfghjklmnprstvz" for v in "aeiou"]
_CHUNK = 8_192


@dataclass(frozen=True)
class Content:
    """The item tables, row ``i`` being the item of id ``i + 1``.

    ``feature`` are the columns of item_feature but item_id: ``likes_level`` and ``views_level``
    (n_items,) int64 in 1..10; ``item_tags``, a Ragged of distinct ids; ``item_title``, empty if the
    item lacks text; ``txt_emb_BERT`` (n_items, 768) and ``img_emb_CLIPRN50`` (n_items, 1024)
    float32, zero if missing. ``given`` are the embeddings, (n_items, 128) float32 each. ``bad`` are
    the items that were spoilt.
    """

    feature: Mapping[str, Any]
    given: Mapping[GivenEmbedding, Floats32]
    bad: tuple[BadItem, ...]


Spoil = Callable[[list[str], Floats32, Floats32], tuple[BadItem, ...]]
"""Spoils some of the titles, text vectors and image vectors that it gets, and says which."""


def make_content(
    world: World,
    rng: np.random.Generator,
    workers: int,
    english: np.random.Generator | None = None,
    spoil: Spoil = lambda _titles, _text, _image: (),
) -> Content:
    """The item tables of ``world``; ``workers`` threads do the PCA and change no result.

    Titles are made-up names of the tags or, with ``english``, words that follow the factors.
    """
    slot = np.argsort(world.item_id)
    popularity = np.log(world.popularity[slot])
    latent = world.factors[slot]
    likes, views = (_levels(popularity, noise, rng) for noise in _LEVEL_NOISE.values())
    tags = _tags(world.cluster[slot], world.preset.n_tags, rng)
    text = _modality(latent[:, TEXT_DIMS], TEXT_DIM, 1.0, rng)
    image = _modality(latent[:, IMAGE_DIMS], IMAGE_DIM, IMAGE_SCALE, rng)
    ends = tags.offsets.tolist()
    described = np.any(text != 0, axis=1).tolist()
    if english is None:
        titles = [_title(tags.values[low:high].tolist()) for low, high in pairwise(ends)]
    else:
        titles = make_titles(latent[:, TEXT_DIMS], english)
    titles = [title if has else "" for title, has in zip(titles, described, strict=True)]
    bad = spoil(titles, text, image)
    feature = {
        "item_title": titles,
        "item_tags": tags,
        "likes_level": likes,
        "views_level": views,
        "txt_emb_BERT": text,
        "img_emb_CLIPRN50": image,
    }
    return Content(feature, given_embeddings(text, image, workers), bad)


def _levels(log_popularity: Floats, noise: float, rng: np.random.Generator) -> Ints:
    """(n_items,) int64: deciles of noisy log popularity, 10 the most popular."""
    n = len(log_popularity)
    noisy = log_popularity + noise * log_popularity.std() * rng.standard_normal(n)
    rank = np.empty(n, np.int64)
    rank[np.argsort(noisy)] = np.arange(n)
    return 1 + rank * LEVELS // n


def _tags(cluster: Ints, n_tags: int, rng: np.random.Generator) -> Ragged[np.int64]:
    """Distinct tags: most of them from the cluster's own share of the ids, its first ones most."""
    n, most = len(cluster), len(_TAG_COUNTS) - 1
    ids = rng.permutation(n_tags) + 1
    n_clusters = int(cluster.max()) + 1
    edges = np.linspace(0, n_tags, n_clusters + 1).astype(np.int64)
    low, size = edges[cluster][:, None], np.diff(edges)[cluster][:, None]
    shape = (n, 2 * most)
    from_cluster = low + (size * rng.random(shape) ** 2).astype(np.int64)
    other = rng.integers(n_tags, size=shape)
    candidates = ids[np.where(rng.random(shape) < _OWN_TAG_SHARE, from_cluster, other)]
    fresh = np.ones(shape, np.bool_)
    for j in range(1, shape[1]):
        fresh[:, j] = (candidates[:, :j] != candidates[:, [j]]).all(axis=1)
    count = rng.choice(most + 1, size=n, p=_TAG_COUNTS)
    chosen = fresh & (np.cumsum(fresh, axis=1) <= count[:, None])
    return Ragged.of(candidates[chosen].astype(np.int64), chosen.sum(axis=1))


def _title(tags: list[int]) -> str:
    return " ".join(_word(t) for t in tags[:_TITLE_TAGS]).capitalize() or "Untitled"


def _word(tag: int) -> str:
    """Three syllables, another for every tag id."""
    base = len(_SYLLABLES)
    # 7919 is prime and no factor of base**3, so ids below base**3 stay apart.
    code = tag * 7919 % base**3
    return "".join(_SYLLABLES[code // base**i % base] for i in range(3))


def _modality(latent: Floats, width: int, scale: float, rng: np.random.Generator) -> Floats32:
    """(n_items, width) float32 vectors that show ``latent`` (n_items, d); some rows are zero."""
    n, shown = latent.shape
    factors = shown + len(_NUISANCE_VARIANCES)
    basis, _ = np.linalg.qr(rng.standard_normal((width, factors)))
    offset = rng.standard_normal(width)
    offset *= _OFFSET_LENGTH / np.linalg.norm(offset)
    spread = np.concatenate([np.full(shown, _VIEW_NOISE), np.sqrt(_NUISANCE_VARIANCES)])
    present = rng.random(n) >= MISSING_SHARE
    out = np.empty((n, width), np.float32)
    for low in range(0, n, _CHUNK):
        part = latent[low : low + _CHUNK]
        values = spread * rng.standard_normal((len(part), factors))
        values[:, :shown] += part
        noise = _COORDINATE_NOISE * rng.standard_normal((len(part), width))
        out[low : low + _CHUNK] = scale * (values @ basis.T + offset + noise)
    out[~present] = 0.0
    return out
