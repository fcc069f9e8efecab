"""Item embeddings from Python: making them, and how good what they are made of is."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mmctr_kit.api.preflight import AnyPath
from mmctr_kit.api.progress import Progress, ProgressEvent, listening, span
from mmctr_kit.api.results import frame, html
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mmctr_kit.api.progress import Listener
    from mmctr_kit.embed.encode.plan import Column
    from mmctr_kit.embed.encode.report import Report
    from mmctr_kit.embed.quality import ItemQuality

IMAGE_SIDE = 448


@dataclass(frozen=True)
class EncodedItems:
    """Vectors of items in ``path``; ``report`` holds their costs, and each item without one."""

    path: Path
    report: "Report"

    def columns(self) -> "pd.DataFrame":
        """A row for each modality: its encoder, how many items have a vector, and what it cost."""
        return frame(
            [
                {
                    "modality": c.modality,
                    "encoder": c.encoder,
                    "width": c.width,
                    "items": c.items,
                    "missing": len(c.faults),
                    "seconds": c.seconds,
                    "items_per_second": c.items_per_second,
                    "ms_per_item": c.ms_per_item,
                    "peak_mb": c.peak_mb,
                }
                for c in self.report.columns
            ]
        )

    def missing(self) -> "pd.DataFrame":
        """A row for each item without a vector: modality, item_id, kind of fault, and a line."""
        return frame(
            [
                {"modality": c.modality, "item_id": f.item_id, "kind": f.kind, "fault": f.text}
                for c in self.report.columns
                for f in c.faults
            ],
            ("modality", "item_id", "kind", "fault"),
        )

    def _repr_html_(self) -> str:
        return html(str(self.path), self.columns())


def encode_items(
    folder: AnyPath,
    out: AnyPath,
    *,
    text: str | None = None,
    image: str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    layer: int | None = None,
    pooling: Literal["mean", "last", "cls"] | None = None,
    image_side: int | None = None,
    with_title: bool = False,
    tag_names: AnyPath | None = None,
    download: bool = False,
    dry_run: bool = False,
    force: bool = False,
    progress: Progress = None,
) -> EncodedItems:
    """Encode titles and pictures of items into a file of vectors.

    It goes on where an earlier call with the same arguments was killed, and the file's bytes are
    the same as without a kill. All but the built-in encoders need the extra ``mmctr-kit[encode]``.

    Parameters
    ----------
    folder : str or Path
        The data folder: titles are in its item_feature.parquet, pictures in item_images/.
    out : str or Path
        The file, which ends in .parquet: item_id, and a column ``text`` and ``image`` of float32
        arrays, NULL for an item whose title or picture is missing or unusable. Beside it are a
        report (.report.json), and finished shards (.parquet.part/) until it is complete.
    text, image : str, optional
        The encoders; at least one. ``"words"`` for text and ``"colours"`` for images are built in.
        Else a folder, or the hub's name of a model in the local cache; also
        ``"timm:ARCHITECTURE=FILE"`` for images. What it is (sentence-transformers, CLIP or SigLIP,
        a vision-language model, BERT or ViT, timm) is read off its configuration.
    batch_size : int
        Items at once; another size may give other last digits.
    device : str
        ``"auto"`` is the first GPU, or the CPU. A GPU encodes in bf16 if it has it.
    layer : int, optional
        Which hidden states are pooled: -1 the last layer's, -2 the second-last's. Default: -2 for
        a vision-language model, -1 for others that are pooled.
    pooling : {"mean", "last", "cls"}, optional
        How hidden states of tokens become one vector; default the mean.
    image_side : int, optional
        Pixels of the longer side to which a vision-language model's pictures are reduced; default
        448.
    with_title : bool
        A vision-language model sees an item's picture and its title in one prompt.
    tag_names : str or Path, optional
        A CSV file (tag_id, name); the names of an item's tags are appended to its title. The
        challenge publishes no names: its tags are numbers, which an encoder of words cannot read.
    download : bool
        Fetch a model that is not in the local cache.
    dry_run : bool
        Write nothing: measure the encoders on a few items, and extrapolate.
    force : bool
        Replace a file, and work beside it, that were made otherwise.
    progress : bool or callable, optional
        True shows a bar; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    EncodedItems
        ``columns()`` with costs, ``missing()`` with every item that got no vector and why.

    Raises
    ------
    UsageError
        If there is no such model, if options do not go together, or if ``out`` was made otherwise.
    DataError
        If the data folder has no titles or pictures, or a model's folder is damaged.

    Examples
    --------
    >>> made = mmctr_kit.encode_items("world/data", "text.parquet", text="models/all-MiniLM-L6-v2")
    >>> made.columns()[["modality", "width", "items", "missing"]].values.tolist()
    [['text', 384, 292, 8]]
    """
    from mmctr_kit.data.contract import Modality
    from mmctr_kit.embed.encode.content import read_content
    from mmctr_kit.embed.encode.models import find_model, require_options
    from mmctr_kit.embed.encode.report import part_path, require_encoded
    from mmctr_kit.files import require_free

    given: dict[Modality, str | None] = {"text": text, "image": image}
    named = {modality: name for modality, name in given.items() if name}
    if not named:
        raise UsageError("name an encoder: --text MODEL, --image MODEL, or both")
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size}; expected at least 1")
    require_free(Path(out), "a file of vectors", (".parquet",), True, "")
    if not (force or dry_run) and not part_path(Path(out)).exists():
        require_encoded(Path(out))
    models = {modality: find_model(name, modality, download) for modality, name in named.items()}
    require_options(models, layer, pooling, image_side, with_title, tag_names is not None)
    tags = None if tag_names is None else Path(tag_names)
    content = read_content(Path(folder), bool(text) or with_title, bool(image), tags)

    # From here on torch is loaded.
    from mmctr_kit.embed.encode.encoders import Reading
    from mmctr_kit.embed.encode.plan import Column, Plan
    from mmctr_kit.embed.encode.run import encode, estimate
    from mmctr_kit.training.device import fast_bf16, resolve_device

    on = resolve_device(device).partition(",")[0]
    columns = []
    for modality, model in models.items():
        default = -2 if model.kind == "vision-language" else -1
        of = default if layer is None else layer
        reading = Reading(of, pooling or "mean", image_side or IMAGE_SIDE)
        columns.append(Column(modality, model, reading, with_title and modality == "image"))
    bf16 = on != "cpu" and fast_bf16(on)
    plan = Plan(Path(out), content, tuple(columns), batch_size, on, bf16, tags is not None)
    with listening(progress) as listen:
        shown = _EncodeProgress(listen)
        report = estimate(plan, shown) if dry_run else encode(plan, force, shown)
        if report.already:
            listen(ProgressEvent("finished", f"{out} is finished already: nothing to do"))
    return EncodedItems(Path(out), report)


class _EncodeProgress:
    """Turns the progress of an encoding into events, with a line for each tenth of a column."""

    def __init__(self, listen: "Listener") -> None:
        self.listen, self.modality = listen, ""
        self.first, self.tenths, self.began = 0, 0, 0.0

    def __call__(self, column: "Column", done: int, total: int) -> None:
        label = f"{column.modality}: {column.model.name}"
        if self.modality != column.modality:
            self.modality, self.first, self.tenths = column.modality, done, 10 * done // total
            self.began = time.perf_counter()
            text = f"{label} goes on after {done:,} of {total:,} items" if 0 < done < total else ""
            self.listen(ProgressEvent("begin", text, label, done, total))
            return
        text, tenths = "", 10 * done // total
        if done == self.first:
            self.began = time.perf_counter()
        if tenths > self.tenths and done > self.first:
            self.tenths = tenths
            rate = (done - self.first) / (time.perf_counter() - self.began)
            left = f", {span((total - done) / rate)} left" if done < total else ""
            text = f"{label}: {done:,} of {total:,} items, {rate:,.1f} items/s{left}"
        self.listen(ProgressEvent("epoch", text, label, done, total))


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


def item_quality(
    folder: AnyPath, *, encoded: AnyPath | None = None, progress: Progress = None
) -> QualityResult:
    """Look for items whose text or image says nothing of them.

    Vectors near zero, equal, nearly equal or far from all others; titles that are empty or in
    another language; pictures that are broken, tiny, grey or equal; text and image that do not
    belong together. No label and no user is read.

    Parameters
    ----------
    folder : str or Path
        The folder that contains ``MicroLens_1M_x1/``.
    encoded : str or Path, optional
        A file of :func:`encode_items`, whose vectors are judged in place of item_feature's.
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
        If there is no such folder or file.
    DataError
        If item files are damaged.

    Examples
    --------
    >>> quality = mmctr_kit.item_quality("world/data")
    >>> int(quality.table()["items"].sum())
    0
    """
    from mmctr_kit.data.load import load
    from mmctr_kit.embed.content import Content
    from mmctr_kit.embed.quality import item_quality as check

    if encoded is not None and not Path(encoded).is_file():
        raise UsageError(
            f"no file at '{encoded}'; expected one that 'mmctr-kit items encode' wrote"
        )
    data = load(Path(folder))
    content = Content(data, None if encoded is None else Path(encoded))
    with listening(progress) as listen:
        made = check(
            data,
            {m: content.vectors(m) for m in content.held},
            lambda stage, done, total: listen(ProgressEvent("load", "", stage, done, total)),
        )
    return QualityResult(Path(folder), made)
