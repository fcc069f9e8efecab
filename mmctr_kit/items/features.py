"""Item features of a recipe, derived once from the recipe and the data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mmctr_kit.data.cache import content_hash
from mmctr_kit.data.contract import FILES, GIVEN_EMBEDDINGS, PAD, SPLITS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import digest
from mmctr_kit.data.load import load_feature_levels
from mmctr_kit.data.modalities import Modality, held_modalities, load_modality
from mmctr_kit.embed.codes import Codes, codes_fingerprint, quantise
from mmctr_kit.embed.factors import FactorOptions, Factors, factors_fingerprint, fit_factors
from mmctr_kit.errors import DataError
from mmctr_kit.items.table import has_factors, item_parts, item_table, missing_modalities
from mmctr_kit.metrics.ranks import Flags, Floats32, Ints
from mmctr_kit.models.registry import model_inputs
from mmctr_kit.recipe import Recipe

Levels = tuple[Ints, Ints]
"""(n_items + 1,) likes and views levels of the items, 0 for the padding item."""


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

    Vectors counted from users differ between fold models: see :meth:`of_users`.
    """

    table: Floats32
    widths: tuple[int, ...]
    present: Flags
    missing: tuple[Modality, ...]
    levels: Levels
    fingerprints: tuple[str, ...]
    codes: Ints
    n_codes: int
    count: Callable[[Ints], Factors] | None = None
    encode: Callable[[Ints, Floats32, Flags], Codes] | None = None

    @classmethod
    def derive(cls, recipe: Recipe, data: ChallengeData) -> "ItemFeatures":
        """The item features of a recipe on a data set.

        Raises DataError if the folder lacks the embedding that the recipe asks for, or if its
        vectors have fewer values than the recipe asks for dimensions.
        """
        table = item_table(data, recipe.items)
        widths, present = item_parts(data, recipe.items)
        levels = item_levels(data)
        prints = [data.context_fingerprint, digest("{shape}", table=table)]
        inputs = model_inputs(recipe.model_name)
        if "item_likes_level" in inputs or recipe.augmentation.per_user:
            prints.append(digest("{shape}", levels=np.stack(levels).astype(np.float32)))
        if "item_present" in inputs and (len(widths) > 1 or not present[1:].all()):
            prints.append(digest("{shape}", present=present.astype(np.float32)))
        missing = missing_modalities(data, recipe.items)
        count = None
        if has_factors(recipe.items):
            options = FactorOptions.of(recipe)
            count = partial(fit_factors, data, options)
            prints.append(factors_fingerprint(data, options))
        codes, encode = np.zeros((data.n_items + 1, 0), np.int64), None
        if recipe.codes.of != "none":
            encode = partial(item_codes, recipe, data)
            if recipe.codes.of == "factors" or (recipe.codes.of == "embedding" and count):
                codes = np.zeros((data.n_items + 1, recipe.codes.levels), np.int64)
                prints.append(codes_fingerprint(recipe.codes))
                if count is None:
                    prints.append(factors_fingerprint(data, FactorOptions.of(recipe)))
            else:
                codes, encode = encode(np.zeros(0, np.int64), table, present).codes, None
                prints.append(digest("{shape}", codes=codes))
        n_codes = recipe.codes.size + 1 if codes.shape[1] else 1
        return cls(
            table, widths, present, missing, levels, tuple(prints), codes, n_codes, count, encode
        )

    def of_users(self, rows: Ints) -> "ItemFeatures":
        """The features of a fold model that is trained on these rows of the train split.

        Factors, and codes of them, are counted from the users of these rows. Other vectors are the
        same for all models.
        """
        if self.count is None and self.encode is None:
            return self
        table, present, codes = self.table, self.present, self.codes
        if self.count is not None:
            factors = self.count(rows)
            table, present = table.copy(), present.copy()
            table[:, : self.widths[0]] = factors.vectors
            present[1:, 0] = (factors.counted | factors.filled)[1:]
        if self.encode is not None:
            codes = self.encode(rows, table, present).codes
        return replace(self, table=table, present=present, codes=codes, count=None, encode=None)


def item_codes(
    recipe: Recipe, data: ChallengeData, rows: Ints, table: Floats32, present: Flags
) -> Codes:
    """The codes that the recipe asks for, as a model trained on these train rows sees them.

    ``table`` (n_items + 1, d) and ``present`` (n_items + 1, M) are that model's. Raises DataError
    if the folder lacks the modality that is to be quantised.
    """
    of = recipe.codes.of
    if of == "factors":
        vectors = fit_factors(data, FactorOptions.of(recipe), rows).vectors
    elif of == "text" or of == "image":
        if of not in (held := held_modalities(data)):
            others = ", ".join([*held, "factors"])
            raise DataError(
                f"codes.of is {of}, which the folder does not hold; set it to one of {others}"
            )
        vectors = load_modality(data, of)
    else:
        vectors = np.where(present.any(axis=1, keepdims=True), table, np.float32(0))
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

    An item file of the user's own is called ``items.file``. Files that are absent are left out.
    """
    given = ("item_emb",) if recipe.items.embedding in GIVEN_EMBEDDINGS else ()
    names = [FILES[key].path for key in (*SPLITS, "item_info", "item_feature", *given)]
    paths = {name: data.folder / name for name in names}
    if recipe.items.file is not None:
        paths["items.file"] = Path(recipe.items.file)
    return {name: content_hash(path) for name, path in paths.items() if path.is_file()}
