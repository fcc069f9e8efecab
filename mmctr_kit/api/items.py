"""Item embeddings from Python: what they are made of, and how good that is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import AnyPath
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.api.results import frame, html

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mmctr_kit.embed.quality import ItemQuality


@dataclass(frozen=True)
class QualityResult:
    """The outcomes of the checks of a folder's items; ``content`` holds all of them."""

    path: Path
    content: "ItemQuality" = field(repr=False)

    def table(self) -> "pd.DataFrame":
        """A row for each check: check, modality, judged, items, share, examples."""
        return frame(
            [
                {
                    "check": o.check.id,
                    "modality": o.check.modality,
                    "judged": o.judged,
                    "items": len(o.items),
                    "share": len(o.items) / max(o.judged, 1),
                    "examples": o.items[:5].tolist(),
                }
                for o in self.content.outcomes
            ],
            ("check", "modality", "judged", "items", "share", "examples"),
        )

    def findings(self) -> "pd.DataFrame":
        """A row for each item that a check points to: item_id, check, modality, why."""
        return frame(
            [
                {
                    "item_id": int(item),
                    "check": o.check.id,
                    "modality": o.check.modality,
                    "why": why,
                }
                for o in self.content.outcomes
                for item, why in zip(o.items, o.why, strict=True)
            ],
            ("item_id", "check", "modality", "why"),
        )

    def write_drops(self, out: AnyPath, checks: "Sequence[str] | None" = None) -> int:
        """Write the items that ``checks`` point to as the file for ``items.drop_modality``.

        The default are near-zero vectors, empty titles and broken, tiny or grey pictures. Returns
        the number of rows (item_id, modality, reason). Raises UsageError for an unknown check.
        """
        from mmctr_kit.embed.quality import require_checks, write_drops

        return write_drops(Path(out), self.content, require_checks(checks))

    def write_report(self, out: AnyPath) -> None:
        """Write an HTML page with pictures of the worst items; only a report is replaced."""
        from mmctr_kit.report.page import write_quality

        write_quality(self.content, self.path, Path(out))

    def _repr_html_(self) -> str:
        return html(str(self.path), self.table())


def item_quality(folder: AnyPath, *, progress: Progress = None) -> QualityResult:
    """Look for items whose text or image says nothing of them.

    Vectors near zero, equal, nearly equal or far from all others; titles that are empty or in
    another language; pictures that are broken, tiny, grey or equal; text and image that do not
    belong together. No label and no user is read.

    Parameters
    ----------
    folder : str or Path
        The folder that contains ``MicroLens_1M_x1/``.
    progress : bool or callable, optional
        True shows a bar; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    QualityResult
        ``table()`` and ``findings()``, ``write_drops()`` for recipe key ``items.drop_modality``,
        and ``write_report()``.

    Raises
    ------
    UsageError
        If there is no such folder.
    DataError
        If its item files are damaged.

    Examples
    --------
    >>> quality = mmctr_kit.item_quality("world/data")
    >>> int(quality.table()["items"].sum())
    0
    """
    from mmctr_kit.data.load import load
    from mmctr_kit.embed.quality import item_quality as check

    with listening(progress) as listen:
        made = check(
            load(Path(folder)),
            lambda stage, done, total: listen(ProgressEvent("load", "", stage, done, total)),
        )
    return QualityResult(Path(folder), made)
