"""``mmctr-kit items encode``: titles and pictures through encoders."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import (
    print_json,
    progress,
    say,
    say_path,
    short,
    short_count,
    table,
)
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.embed.encode.report import ColumnReport, Report

_NAMED = 5
"""How many items of each kind of fault are named; the report names all."""


def encode(
    data: options.Folder,
    text: Annotated[
        str | None,
        Option(metavar="MODEL", help="Encoder of titles: words, a folder or a cached name."),
    ] = None,
    image: Annotated[
        str | None,
        Option(metavar="MODEL", help="Encoder of pictures: colours, or timm:ARCHITECTURE=FILE."),
    ] = None,
    out: Annotated[Path, Option(help="A file name that ends in .parquet.")] = Path(
        "encoded.parquet"
    ),
    batch_size: Annotated[int, Option(min=1, help="Items at once.")] = 64,
    device: options.Device = "auto",
    layer: Annotated[
        int | None,
        Option(
            help="Hidden states to pool: -1 last, -2 second-last (the default of "
            "vision-language models; of others -1)."
        ),
    ] = None,
    pooling: Annotated[
        Literal["mean", "last", "cls"] | None,
        Option(help="How tokens become one vector; mean by default."),
    ] = None,
    image_side: Annotated[
        int | None,
        Option(
            min=28,
            help="Longer side in pixels that a vision-language model sees; default 448.",
        ),
    ] = None,
    with_title: Annotated[
        bool, Option("--with-title", help="A vision-language model sees picture and title at once.")
    ] = False,
    tag_names: Annotated[
        Path | None,
        Option(metavar="CSV", help="Columns tag_id, name: appends the names of tags to titles."),
    ] = None,
    download: Annotated[
        bool, Option("--download", help="Fetch a model that is not in the local cache.")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Measure on a few items; print the plan and its cost.")
    ] = False,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Encode titles and pictures of items into a file of vectors.

    What a MODEL is (sentence-transformers, CLIP or SigLIP, a vision-language model like Qwen-VL,
    BERT, ViT, timm) is read off its configuration. Nothing is fetched without --download. The
    challenge's tags are numbers without published names, so titles alone are encoded.

    Two encoders are built in, and need neither a model nor the extra: words (TF-IDF of words and
    character runs, reduced to 256 values) and colours (colours, edges and texture).

    The file has NULL for an item whose title is empty or whose picture is missing, broken or of one
    colour; a report beside it names each. A killed command goes on when it is given again.

    [bold]Examples[/bold]

      mmctr-kit items encode DATA --text words --image colours
      mmctr-kit items encode DATA --text models/all-MiniLM-L6-v2 --dry-run
      mmctr-kit items encode DATA --text models/e5-base-v2 --image models/siglip
      mmctr-kit items encode DATA --image models/Qwen2-VL-2B --with-title
      mmctr-kit items encode DATA --image timm:tf_efficientnet_lite0=weights.pth
    """
    from mmctr_kit.api.items import encode_items

    with progress("after the last finished shard", force) as display:
        made = encode_items(
            data,
            out,
            text=text,
            image=image,
            batch_size=batch_size,
            device=device,
            layer=layer,
            pooling=pooling,
            image_side=image_side,
            with_title=with_title,
            tag_names=tag_names,
            download=download,
            dry_run=dry_run,
            force=force,
            progress=display,
        )
    if as_json:
        print_json(made.report.to_json())
    else:
        _print(made.report)


def _print(report: "Report") -> None:
    columns = report.columns
    for column in columns:
        revision = "" if column.revision is None else f", revision {column.revision[:8]}"
        say(f"{column.modality}: {column.encoder} ({column.kind}{revision})", wrap=False)
    _print_costs(columns)
    if report.sampled is not None:
        items, sample = plural(report.n_items, "item"), plural(report.sampled, "item")
        say(f"plan for {items}; times extrapolated from {sample}, nothing was written")
    for column in columns:
        _print_faults(column, report.sampled is not None)
    if report.sampled is None:
        widths = ", ".join(f"{c.modality} {c.width}" for c in columns)
        did = "kept " if report.already else "wrote "
        say_path(did, report.path, f": {report.n_items:,} rows; {widths} values each")


def _print_costs(columns: Sequence["ColumnReport"]) -> None:
    from mmctr_kit.api.progress import span

    rows = [
        [
            c.modality,
            short_count(c.parameters),
            str(c.width),
            f"{c.items:,}",
            f"{c.batches:,}",
            short(c.items_per_second),
            span(c.seconds),
            short(c.ms_per_item),
            f"{c.peak_mb:,.0f}",
        ]
        for c in columns
    ]
    table(("", "weights", "width", "items", "batches", "items/s", "time", "ms/new", "MB"), rows)
    say("ms/new: one new item, alone. MB: peak memory of the process, or of tensors on a GPU.")


def _print_faults(column: "ColumnReport", planned: bool) -> None:
    for kind, faults in column.faults_by_kind().items():
        ids = ", ".join(str(f.item_id) for f in faults[:_NAMED])
        more = ", ..." if len(faults) > _NAMED else ""
        what = "no file" if kind == "missing" else kind.replace("_", " ")
        say(f"{column.modality} missing, {what}: {plural(len(faults), 'item')} ({ids}{more})")
        if kind not in ("missing", "empty_title"):
            for fault in faults[:_NAMED]:
                say(f"  item {fault.item_id}: {fault.text}")
    if planned and column.modality == "image":
        say("pictures are looked at when they are encoded: broken ones will be missing too")
