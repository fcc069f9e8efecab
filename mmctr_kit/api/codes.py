"""Codes of items from Python."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmctr_kit.api.preflight import AnyPath, Settings, as_data, load_recipe, names_of, with_first
from mmctr_kit.api.progress import Progress, listening
from mmctr_kit.api.results import frame, html
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.embed.codes import Codes
    from mmctr_kit.recipe import Recipe


@dataclass(frozen=True, repr=False)
class QuantisedItems:
    """Codes of the items by what they are made of, and how evenly they use their codebooks."""

    codes: Mapping[str, "Codes"]

    def rows(self) -> list[dict[str, Any]]:
        """One row for each level; the figures are those of :class:`mmctr_kit.embed.codes.Level`.

        ``items`` is the number of items that have codes.
        """
        return [
            {
                "of": of,
                "items": int((codes.codes[:, 0] > 0).sum()),
                "level": number,
                **asdict(level),
            }
            for of, codes in self.codes.items()
            for number, level in enumerate(codes.levels(), start=1)
        ]

    def table(self) -> "pd.DataFrame":
        """The rows as a pandas table."""
        return frame(self.rows())

    def __repr__(self) -> str:
        return f"QuantisedItems({', '.join(self.codes)})"

    def _repr_html_(self) -> str:
        return html("codes of the items", self.table())


def quantise_items(
    data: "AnyPath | ChallengeData",
    of: Sequence[str] | None = None,
    recipe: "AnyPath | Recipe" = "din_official",
    *,
    levels: int | None = None,
    size: int | None = None,
    set: Settings = (),
    out: AnyPath | None = None,
    force: bool = False,
    progress: Progress = None,
) -> QuantisedItems:
    """Quantise item vectors to codes, and compare how evenly the codes use their codebooks.

    Factors and aligned vectors are those of all train users; a fold model of a cross-validation has
    its own codes of them.

    Parameters
    ----------
    data : str, Path or ChallengeData
        The folder that contains ``MicroLens_1M_x1/``, or data already loaded.
    of : list of str, optional
        What to quantise, each by itself: values of ``codes.of``. By default text, image and both
        aligned, if the folder holds them, and factors.
    recipe : str, Path or Recipe
        Whose settings to use of factors, of the item vector and of codes.
    levels, size : int, optional
        Levels, and codes of a level; the recipe's by default.
    set : mapping or list of str
        Keys of the recipe to override; each must do something for the first of ``of``.
    out : str or Path, optional
        A parquet file to write: item_id, and a column of codes for each of ``of``.
    force : bool
        Replace the file if it exists.
    progress : bool or callable
        Called with each :class:`ProgressEvent`; True draws a bar.

    Returns
    -------
    QuantisedItems
        ``table()``, and the ``codes`` themselves by what they are made of.

    Raises
    ------
    UsageError
        For a value that a key does not take, or a file that may not be written.
    DataError
        If the folder lacks a modality that is to be quantised.

    Examples
    --------
    >>> made = mmctr_kit.quantise_items("world/data", ["text", "factors"], size=16)
    >>> made.codes["text"].codes.shape
    (301, 3)
    >>> bool((made.table().perplexity > 0.6).all())
    True
    """
    from mmctr_kit.items.export import export_codes, require_codes

    sizes = {"codes.levels": levels, "codes.size": size}
    asked = {key: value for key, value in sizes.items() if value is not None}
    kinds = names_of(of or (), "of")
    # A key of text and image, such as items.encoded, may do nothing but for codes.
    base = load_recipe(recipe, with_first({"codes.of": (*kinds, "factors")[0]}, set)).changed({})
    recipes = {kind: base.changed({"codes.of": kind, **asked}) for kind in kinds}
    if "none" in recipes:
        raise UsageError("of: none is nothing to quantise; leave it out")
    if out is not None:
        require_codes(Path(out), force)
    import numpy as np

    from mmctr_kit.embed.content import Content
    from mmctr_kit.items.features import ItemFeatures, item_codes

    with listening(progress) as listen:
        content = as_data(data, listen)
        if not recipes:
            held = Content.of(content, base.items).held
            every = (*held, *["aligned"] * bool(held), "factors")
            recipes = {kind: base.changed({"codes.of": kind, **asked}) for kind in every}
        rows = np.arange(len(content.train))
        uncoded = base.changed({"codes.of": "none"}) if base.codes.of != "none" else base
        items = ItemFeatures.derive(uncoded, content).of_users(rows)
        made = {
            kind: item_codes(each, content, rows, items.table, items.present)
            for kind, each in recipes.items()
        }
        if out is not None:
            export_codes({kind: codes.codes for kind, codes in made.items()}, Path(out), force)
    return QuantisedItems(made)
