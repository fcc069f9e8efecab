"""``mmctr-kit items quality``: which items' texts and images look as if they say nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, progress, say, say_path, table
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.embed.quality import ItemQuality

_EXAMPLES = 3


def quality(
    folder: options.Folder,
    out: Annotated[
        Path | None, Option(metavar="F.html", help="Write a page with pictures of the worst items.")
    ] = None,
    drop: Annotated[
        Path | None,
        Option(metavar="F.csv", help="Write a file for recipe key items.drop_modality."),
    ] = None,
    drop_checks: Annotated[
        str | None,
        Option(
            metavar="CHECK,CHECK...",
            help="The checks whose items --drop names. Default: near-zero vectors, empty titles, "
            "pictures that are broken, tiny or grey.",
        ),
    ] = None,
    encoded: Annotated[
        Path | None,
        Option(metavar="F.parquet", help="Judge the vectors of this file of items encode."),
    ] = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Look for items whose text or image says nothing of them.

    Vectors near zero, equal, nearly equal or far from all others; titles that are empty or in
    another language; pictures that are broken, tiny, grey or equal; text and image that do not
    belong together. What the folder lacks is left out. No label and no user is read.

    [bold]Examples[/bold]

      mmctr-kit items quality DATA --out quality.html
      mmctr-kit items quality DATA --drop bad.csv --encoded vectors.parquet
      mmctr-kit cv din_mha_se_pca --data DATA --set items.drop_modality=bad.csv
    """
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.errors import UsageError
    from mmctr_kit.files import require_free
    from mmctr_kit.report.context import require_page

    if drop_checks is not None and drop is None:
        raise UsageError("--drop-checks says what --drop writes; give --drop too")
    if out is not None:
        require_page(out)
    if drop is not None:
        require_free(drop, "a file of dropped modalities", (".csv",), force, "; use --force")
    require_folder(folder)
    from mmctr_kit.api.items import item_quality
    from mmctr_kit.embed.quality import require_checks

    checks = require_checks(drop_checks.split(",") if drop_checks is not None else None)
    with progress() as display:
        result = item_quality(folder, encoded=encoded, progress=display)
    written = None if drop is None else result.write_drops(drop, checks)
    if out is not None:
        result.write_report(out)
    if as_json:
        print_json(_as_json(result.content))
        return
    _print(result.content)
    if out is not None:
        say_path("wrote ", out, "")
    if drop is not None and written is not None:
        say_path("wrote ", drop, f": {plural(written, 'modality', 'modalities')} marked as missing")


def _print(content: "ItemQuality") -> None:
    rows = []
    for outcome in content.outcomes:
        n, examples = len(outcome.items), outcome.items[:_EXAMPLES].tolist()
        more = ", ..." if n > _EXAMPLES else ""
        share = f"{n / max(outcome.judged, 1):.2%}"
        rows.append((outcome.check.id, ", ".join(map(str, examples)) + more, f"{n:,}", share))
    table(("check", "worst items", "items", "share"), rows, left=2)
    for why, names in content.left_out().items():
        say(f"left out: {', '.join(names)}, since {why}")
    for note in content.notes:
        say(note)


def _as_json(content: "ItemQuality") -> dict[str, object]:
    return {
        "items": content.n_items,
        "checks": [
            {
                "check": o.check.id,
                "modality": o.check.modality,
                "judged": o.judged,
                "items": o.items.tolist(),
                "why": list(o.why),
            }
            for o in content.outcomes
        ],
        "left_out": dict(content.skipped),
        "notes": list(content.notes),
    }
