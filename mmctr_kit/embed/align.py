"""Content vectors aligned with taste: items that the same users took come near each other.

An item's text, image and tags are each projected to d dimensions; the sum, at unit length, is the
item's vector. The projection is trained on pairs of items that a user took, at most ``window``
positions apart, by InfoNCE over the batch (van den Oord et al. 2018, arXiv 1807.03748): the other
items of the batch are the negatives of each pair. Three corrections:

- a batch draws items in proportion to their popularity, so log q of each item, its share of all
  pairs, is taken from its score (Yi et al., RecSys 2019);
- negatives that the pair's user took too are left out;
- the temperature is learned, within bounds.

The projection begins as the PCA of the raw vectors, and what it adds begins as zero, so that items
that no user took keep the neighbours that their content gives them. A tenth of the items and a
twentieth of the pairs are held out: training stops where the recall of both is best, and they say
how well the vectors find pairs that were not trained on.

As factors are, aligned vectors are learned for each fold model from its own training users.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmctr_kit.data.cache import Arrays, cached
from mmctr_kit.data.contexts import contexts
from mmctr_kit.data.hashing import digest, fingerprint
from mmctr_kit.embed.content import Content
from mmctr_kit.metrics.ranks import Flags, Floats32, Ints
from mmctr_kit.recipe import Recipe

_FORMAT = 2


@dataclass(frozen=True)
class AlignOptions:
    """A recipe's settings of its aligned vectors."""

    dims: int
    window: int
    positives: bool
    max_history: int

    @classmethod
    def of(cls, recipe: Recipe) -> "AlignOptions":
        items, longest = recipe.items, recipe.training.max_history
        return cls(
            items.aligned_dim, items.aligned_window, items.factors_from == "positives", longest
        )


@dataclass(frozen=True)
class Recall:
    """The share of held-out pairs that are found among the nearest items, with its standard error.

    ``pairs`` are of items that were trained on, in other pairs; ``cold`` have a target that was
    not. ``pairs_se`` and ``cold_se`` take the pairs as independent.
    """

    pairs: float
    pairs_se: float
    cold: float
    cold_se: float


@dataclass(frozen=True)
class Aligned:
    """Aligned vectors (n_items + 1, d) float32 of unit length, zero for items without content.

    ``present`` (n_items + 1,) are the items with content. ``recall`` is that of the half of the
    held-out pairs that chose nothing, by name of vectors: ``aligned``, what raw vectors have,
    and chance. Training took ``steps`` steps of ``batch`` pairs, and stopped at ``temperature``.
    """

    vectors: Floats32
    present: Flags
    recall: Mapping[str, Recall]
    steps: int
    batch: int
    temperature: float


def fit_aligned(content: Content, options: AlignOptions, rows: Ints) -> Aligned:
    """Align the items' text and image, of which there must be one, with what users took.

    The users are those of these rows of the train split.
    """
    data = content.data
    sequences = contexts(data, rows, options.max_history, options.positives)
    settings = {
        "counted": digest("{shape}", items=sequences.items, offsets=sequences.offsets),
        "tags": digest("{shape}", tags=data.item_tags),
        "items": data.n_items,
        "dims": options.dims,
        "window": options.window,
        "format": _FORMAT,
    }
    files = content.files(*content.held)

    def build() -> tuple[Arrays, dict[str, Any]]:
        from mmctr_kit.embed.contrast import align  # loads torch

        return align(content, sequences, options.dims, options.window)

    arrays, meta = cached("aligned", files, settings, build)
    recall = {name: Recall(**values) for name, values in meta["recall"].items()}
    made = {key: meta[key] for key in ("steps", "batch", "temperature")}
    return Aligned(arrays["vectors"], arrays["present"], recall, **made)


def aligned_fingerprint(content: Content, options: AlignOptions) -> str:
    """The sha256 of all that the aligned vectors depend on besides rows and histories."""
    vectors = {m: np.asarray(content.vectors(m)) for m in content.held}
    return fingerprint("aligned", vars(options), _FORMAT, digest("{shape}", **vectors))
