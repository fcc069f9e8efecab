"""Item vectors learned from users, from Python: alignment and factors."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmctr_kit.api.preflight import AnyPath, Settings, as_data, load_recipe, with_first
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.api.results import frame, html

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.embed.align import Aligned
    from mmctr_kit.embed.factors import Factors
    from mmctr_kit.items.features import UserVectors
    from mmctr_kit.recipe import Recipe


@dataclass(frozen=True, repr=False)
class AlignedItems:
    """Aligned vectors, and how well they find pairs that were not trained on."""

    made: "Aligned"

    @property
    def vectors(self) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """(n_items + 1, d) float32 of unit length; zeros for items without text and image."""
        return self.made.vectors

    def rows(self) -> list[dict[str, Any]]:
        """One row for each kind of vectors: recall of held-out pairs, and of cold items' pairs.

        Each stands beside its standard error; see :class:`mmctr_kit.embed.align.Recall`.
        """
        return [{"vectors": name, **asdict(each)} for name, each in self.made.recall.items()]

    def table(self) -> "pd.DataFrame":
        """The rows as a pandas table."""
        return frame(self.rows())

    def __repr__(self) -> str:
        aligned = self.made.recall["aligned"]
        return f"AlignedItems(recall {aligned.pairs:.3f}, of cold items {aligned.cold:.3f})"

    def _repr_html_(self) -> str:
        return html("aligned vectors: recall of held-out pairs", self.table())


def align_items(
    data: "AnyPath | ChallengeData",
    recipe: "AnyPath | Recipe" = "din_official",
    *,
    set: Settings = (),
    out: AnyPath | None = None,
    force: bool = False,
    progress: Progress = None,
) -> AlignedItems:
    """Align items' text and image with what all train users took, and say what it is worth.

    A recipe needs no file of it: with ``items.embedding: aligned``, or ``aligned`` among
    ``items.blocks``, each fold model has vectors of its own.

    Parameters
    ----------
    data : str, Path or ChallengeData
        The folder that contains ``MicroLens_1M_x1/``, or data already loaded.
    recipe : str, Path or Recipe
        Whose settings to use.
    set : mapping or list of str
        Keys of the recipe to override, such as ``items.aligned_dim`` and ``items.encoded``.
    out : str or Path, optional
        A parquet file to write: item_id and vector.
    force : bool
        Replace the file if it exists.
    progress : bool or callable
        Called with each :class:`ProgressEvent`; True draws a bar.

    Returns
    -------
    AlignedItems
        ``table()`` of recall beside raw vectors, PCA and chance, and the ``vectors``.

    Raises
    ------
    UsageError
        For a value that a key does not take, or a file that may not be written.
    DataError
        If the folder has neither text nor image.

    Examples
    --------
    >>> made = mmctr_kit.align_items("world/data", set={"items.aligned_dim": 16})
    >>> made.vectors.shape
    (301, 16)
    >>> list(made.table().columns)
    ['vectors', 'pairs', 'pairs_se', 'cold', 'cold_se']
    """
    from mmctr_kit.embed.align import Aligned

    made = _learned("aligned", data, recipe, set, out, force, progress)
    assert isinstance(made, Aligned)
    return AlignedItems(made)


@dataclass(frozen=True, repr=False)
class FactoredItems:
    """Factors of who took what, and where each item's come from."""

    made: "Factors"

    @property
    def vectors(self) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """(n_items + 1, d) float32, of mean length 1; zeros for items that have none."""
        return self.made.vectors

    def rows(self) -> list[dict[str, Any]]:
        """One row for each source of vectors, with its number of items and their mean length."""
        length = np.linalg.norm(self.made.vectors, axis=1)
        nothing = ~self.made.present
        nothing[0] = False
        sources = {
            "who took what": self.made.counted,
            "their content": self.made.filled,
            "nothing": nothing,
        }
        return [
            {
                "from": name,
                "items": int(items.sum()),
                "length": float(length[items].mean()) if items.any() else 0.0,
            }
            for name, items in sources.items()
        ]

    def table(self) -> "pd.DataFrame":
        """The rows as a pandas table."""
        return frame(self.rows())

    def __repr__(self) -> str:
        sources = (f"{row['items']} from {row['from']}" for row in self.rows())
        return f"FactoredItems({', '.join(sources)})"

    def _repr_html_(self) -> str:
        return html("factors of the items", self.table())


def factor_items(
    data: "AnyPath | ChallengeData",
    recipe: "AnyPath | Recipe" = "din_official",
    *,
    set: Settings = (),
    out: AnyPath | None = None,
    force: bool = False,
    progress: Progress = None,
) -> FactoredItems:
    """Factorise who took what among all train users.

    A recipe needs no file of it: with ``items.embedding: factors``, or ``factors`` among
    ``items.blocks``, each fold model has factors of its own.

    Parameters
    ----------
    data : str, Path or ChallengeData
        The folder that contains ``MicroLens_1M_x1/``, or data already loaded.
    recipe : str, Path or Recipe
        Whose settings to use.
    set : mapping or list of str
        Keys of the recipe to override, such as ``items.factors_dim``.
    out : str or Path, optional
        A parquet file to write: item_id and vector.
    force : bool
        Replace the file if it exists.
    progress : bool or callable
        Called with each :class:`ProgressEvent`; True draws a bar.

    Returns
    -------
    FactoredItems
        ``table()`` of how many items have factors from where, and the ``vectors``.

    Raises
    ------
    UsageError
        For a value that a key does not take, or a file that may not be written.

    Examples
    --------
    >>> made = mmctr_kit.factor_items("world/data", set={"items.factors_dim": 8})
    >>> made.vectors.shape
    (301, 8)
    >>> int(made.table()["items"].sum())
    300
    """
    from mmctr_kit.embed.factors import Factors

    made = _learned("factors", data, recipe, set, out, force, progress)
    assert isinstance(made, Factors)
    return FactoredItems(made)


def _learned(
    kind: str,
    data: "AnyPath | ChallengeData",
    recipe: "AnyPath | Recipe",
    set: Settings,
    out: AnyPath | None,
    force: bool,
    progress: Progress,
) -> "UserVectors":
    from mmctr_kit.items.export import export_vectors, require_export

    asked = load_recipe(recipe, with_first({"items.embedding": kind}, set))
    if out is not None:
        require_export(Path(out), force)
    with listening(progress) as listen:
        content = as_data(data, listen)
        from mmctr_kit.items.features import ItemFeatures

        [(learn, _)] = ItemFeatures.derive(asked, content).learn.values()
        listen(ProgressEvent("load", label=f"learning {kind} vectors from the train users"))
        made = learn(np.arange(len(content.train)))
        if out is not None:
            export_vectors(made.vectors, Path(out), force)
    return made
