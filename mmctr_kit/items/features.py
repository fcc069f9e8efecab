"""Item features of a recipe, derived once from the recipe and the data."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from mmctr_kit.activity import doing
from mmctr_kit.data.cache import content_hash
from mmctr_kit.data.contract import FILES, GIVEN_EMBEDDINGS, PAD, SPLITS, Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import digest
from mmctr_kit.data.load import load_feature_levels
from mmctr_kit.embed.align import AlignOptions, aligned_fingerprint, fit_aligned
from mmctr_kit.embed.codes import Codes, codes_fingerprint, quantise
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.factors import FactorOptions, factors_fingerprint, fit_factors
from mmctr_kit.errors import DataError
from mmctr_kit.items.table import (
    block_scale,
    item_blocks,
    item_parts,
    item_table,
    missing_modalities,
)
from mmctr_kit.metrics.ranks import Flags, Floats32, Ints
from mmctr_kit.models.registry import model_inputs
from mmctr_kit.recipe import Recipe

_LOG = logging.getLogger(__name__)

Levels = tuple[Ints, Ints]
"""(n_items + 1,) likes and views levels of the items, 0 for the padding item."""


class UserVectors(Protocol):
    """Item vectors learned from users: (n_items + 1, d) float32, and (n_items + 1,) who has one."""

    @property
    def vectors(self) -> Floats32: ...

    @property
    def present(self) -> Flags: ...


@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """The item table of a recipe, and everything else that its models read about items.

    ``table`` (n_items + 1, d) float32 holds the item vectors, its padding row zero. Its columns
    are M modalities of ``widths`` (M,), left to right; ``present`` (n_items + 1, M) bool says
    which of them an item has. ``codes`` (n_items + 1, levels) int64 are the items' codes of
    1..``n_codes`` - 1, 0 = none, without columns if the recipe has none. ``missing`` names the
    modalities that the recipe asks for and the folder lacks. ``levels`` are the items' likes and
    views levels. ``fingerprints`` (sha256) cover all that the models read of the data, except row
    keys and labels.

    Vectors learned from users differ between fold models: see :meth:`of_users`. ``learn`` are the
    functions that make them from the rows of training users, with the factor by which they are
    multiplied, by the number of their modality.
    """

    table: Floats32
    widths: tuple[int, ...]
    present: Flags
    missing: tuple[Modality, ...]
    levels: Levels
    fingerprints: tuple[str, ...]
    codes: Ints
    n_codes: int
    learn: Mapping[int, tuple[Callable[[Ints], UserVectors], float]] = field(default_factory=dict)
    encode: Callable[[Ints, Floats32, Flags], Codes] | None = None

    @classmethod
    def derive(cls, recipe: Recipe, data: ChallengeData) -> "ItemFeatures":
        """The item features of a recipe on a data set.

        Raises DataError if the folder lacks the embedding that the recipe asks for, or if its
        vectors have fewer values than the recipe asks for dimensions.
        """
        doing("working out the item vectors")
        began = time.perf_counter()
        table = item_table(data, recipe.items)
        seconds = time.perf_counter() - began
        _LOG.debug("item table of %s: %d x %d in %.2f s", recipe.name, *table.shape, seconds)
        widths, present = item_parts(data, recipe.items)
        levels = item_levels(data)
        prints = [data.context_fingerprint, digest("{shape}", table=table)]
        inputs = model_inputs(recipe.model_name)
        if "item_likes_level" in inputs or recipe.augmentation.per_user:
            prints.append(digest("{shape}", levels=np.stack(levels).astype(np.float32)))
        if "item_present" in inputs and (len(widths) > 1 or not present[1:].all()):
            prints.append(digest("{shape}", present=present.astype(np.float32)))
        missing = missing_modalities(data, recipe.items)
        learn: dict[int, tuple[Callable[[Ints], UserVectors], float]] = {}
        content = Content.of(data, recipe.items)
        for number, part in enumerate(item_blocks(content, recipe.items)):
            if part.learned is not None:
                function, print_ = _learned(part.learned, content, recipe)
                learn[number] = function, block_scale(recipe.items, part)
                prints.append(print_)
        codes, encode = np.zeros((data.n_items + 1, 0), np.int64), None
        if recipe.codes.of != "none":
            encode = partial(item_codes, recipe, data)
            of_users = recipe.codes.of in ("factors", "aligned")
            if of_users or (recipe.codes.of == "embedding" and learn):
                codes = np.zeros((data.n_items + 1, recipe.codes.levels), np.int64)
                prints.append(codes_fingerprint(recipe.codes))
                if of_users:
                    prints.append(_learned(recipe.codes.of, content, recipe)[1])
            else:
                codes, encode = encode(np.zeros(0, np.int64), table, present).codes, None
                prints.append(digest("{shape}", codes=codes))
        n_codes = recipe.codes.size + 1 if codes.shape[1] else 1
        return cls(
            table, widths, present, missing, levels, tuple(prints), codes, n_codes, learn, encode
        )

    def of_users(self, rows: Ints) -> "ItemFeatures":
        """The features of a fold model that is trained on these rows of the train split.

        Factors, alignment and codes of them are learned from the users of these rows. Other vectors
        are the same for all models.
        """
        if not self.learn and self.encode is None:
            return self
        doing("learning item vectors from the training users")
        table, present, codes = self.table.copy(), self.present.copy(), self.codes
        columns = np.split(table, np.cumsum(self.widths)[:-1], axis=1)
        for number, (learn, scale) in self.learn.items():
            learned = learn(rows)
            columns[number][:] = learned.vectors * np.float32(scale)
            present[1:, number] = learned.present[1:]
        if self.encode is not None:
            codes = self.encode(rows, table, present).codes
        return replace(self, table=table, present=present, codes=codes, learn={}, encode=None)


def _learned(
    kind: str, content: Content, recipe: Recipe
) -> tuple[Callable[[Ints], UserVectors], str]:
    """What makes ``factors`` or ``aligned`` vectors of the rows of users, and its fingerprint."""
    if kind == "factors":
        options = FactorOptions.of(recipe)
        return partial(fit_factors, content, options), factors_fingerprint(content, options)
    aligning = AlignOptions.of(recipe)
    return partial(fit_aligned, content, aligning), aligned_fingerprint(content, aligning)


def item_codes(
    recipe: Recipe, data: ChallengeData, rows: Ints, table: Floats32, present: Flags
) -> Codes:
    """The codes that the recipe asks for, as a model trained on these train rows sees them.

    ``table`` (n_items + 1, d) and ``present`` (n_items + 1, M) are that model's. Raises DataError
    if the folder lacks the modality that is to be quantised.
    """
    of, content = recipe.codes.of, Content.of(data, recipe.items)
    needs = {"text": ("text",), "image": ("image",), "aligned": ("text", "image")}.get(of, ())
    if needs and not {*needs} & {*content.held}:
        raise DataError(
            f"codes.of is {of}, but the folder has no {' or '.join(needs)}; set it to one of "
            f"{', '.join([*content.held, 'factors'])}"
        )
    if of == "text" or of == "image":
        vectors = content.vectors(of)
    elif of == "embedding":
        vectors = np.where(present.any(axis=1, keepdims=True), table, np.float32(0))
    else:
        vectors = _learned(of, content, recipe)[0](rows).vectors
    return quantise(vectors, recipe.codes.levels, recipe.codes.size)


def item_levels(data: ChallengeData) -> Levels:
    """Likes and views levels of the items.

    They are item_feature's if the folder has that file. Otherwise they are read off the rows that
    show the item as their target (the last of train, valid, test), and are 0 if no row does.
    """
    given = load_feature_levels(data)
    if given is not None:
        return given
    likes = np.zeros(data.n_items + 1, np.int64)
    views = np.zeros(data.n_items + 1, np.int64)
    for split in SPLITS:
        rows = data.rows[split]
        likes[rows.item_id] = rows.likes_level
        views[rows.item_id] = rows.views_level
    likes[PAD] = views[PAD] = 0
    return likes, views


def content_hashes(recipe: Recipe, data: ChallengeData) -> dict[str, str]:
    """The sha256 of each file that a run of the recipe reads, by its path in the data folder.

    Files that recipe keys name are called by these keys (``items.file``). Absent files are left
    out.
    """
    tables = ("item_emb",) if recipe.items.embedding in GIVEN_EMBEDDINGS else ()
    names = [FILES[key].path for key in (*SPLITS, "item_info", "item_feature", *tables)]
    paths = {name: data.folder / name for name in names}
    paths |= {f"items.{key}": Path(given) for key, given in recipe.items.files.items()}
    return {name: content_hash(path) for name, path in paths.items() if path.is_file()}
