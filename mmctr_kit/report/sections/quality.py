"""The page on the quality of the items: a table of the checks, and the worst items of each."""

import base64
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from mmctr_kit.embed.pictures import Fault, read_picture
from mmctr_kit.embed.quality import CHECKS, ItemQuality, Outcome, require_checks
from mmctr_kit.errors import plural
from mmctr_kit.report.advice import Advice
from mmctr_kit.report.blocks import Section, Table, Thumbnail, sentence

WORST = 12
"""At most this many items of a check are shown."""
QUALITY_FOOTER = (
    "No label and no user was read. A check points to items to look at; whether leaving them out "
    "helps a model is what an ablation says."
)
_SIDE = 128
_TITLE = 80


def quality_headline(quality: ItemQuality, data: Path) -> dict[str, Any]:
    """The share of the items that a check points to, in the form of a page's headline."""
    dropped = _shares(quality, require_checks(None))
    any_check = _shares(quality, tuple(CHECKS))
    checks = len(quality.outcomes)
    facts = [
        (
            "Without a usable modality",
            f"{dropped:.2%}",
            "of the items, by the checks that --drop uses by default",
        ),
        ("Checks made", f"{checks} of {len(CHECKS)}", "the others lack a file or column"),
    ]
    return {
        "kind": f"Quality of {plural(quality.n_items, 'item')}",
        "score": "Items that a check points to",
        "value": f"{any_check:.2%}",
        "se": "",
        "meaning": f"Texts and images of the items in {data}, and what looks wrong with them.",
        "facts": facts,
        "alarm": None,
    }


def _shares(quality: ItemQuality, checks: tuple[str, ...]) -> float:
    return len({item for item, _, _ in quality.drops(checks)}) / quality.n_items


def quality_advice(quality: ItemQuality) -> list[Advice]:
    """What to do with the items that checks point to."""
    if not any(len(outcome.items) for outcome in quality.outcomes):
        why = "No check points to an item. A table of items can be made of them as they are."
        command = "mmctr-kit items export din_official --data DATA"
        return [Advice("Make an item table", why, command)]
    sure = require_checks(None)
    if any(len(o.items) for o in quality.outcomes if o.check.id in sure):
        option = ""
        why = f"The file names what {', '.join(sure)} point to; --drop-checks chooses others."
    else:
        checks = [o.check.id for o in quality.outcomes if len(o.items)]
        option = f" --drop-checks {','.join(checks)}"
        why = "Look at them first: these checks point to good items too."
    return [
        Advice("Mark them as missing", why, f"mmctr-kit items quality DATA --drop bad.csv{option}"),
        Advice(
            "See what that is worth",
            "Compare a recipe with and without the file; at least 3 seeds for a claim.",
            "mmctr-kit cv din_mha_se_pca --data DATA --set items.drop_modality=bad.csv",
        ),
    ]


def quality_sections(quality: ItemQuality) -> list[Section]:
    """The table of all checks, then a section for each that points to items."""
    rows = [
        (
            o.check.id,
            o.check.meaning,
            f"{o.judged:,}",
            f"{len(o.items):,}",
            f"{len(o.items) / max(o.judged, 1):.2%}",
        )
        for o in quality.outcomes
    ]
    caption = "An item is pointed to if what the second column says is so."
    columns = ("Check", "Points to an item if", "Items", "Pointed to", "Share")
    notes = [
        *quality.notes,
        *(
            f"Left out: {', '.join(names)}, since {why}."
            for why, names in quality.left_out().items()
        ),
    ]
    table = Table(caption, columns, rows, left=2)
    lead = "Every check that the data folder allows, over the items that have the modality."
    return [
        Section("checks", "All checks", lead, tables=[table], notes=notes),
        *(_worst(quality, outcome) for outcome in quality.outcomes if len(outcome.items)),
    ]


def _worst(quality: ItemQuality, outcome: Outcome) -> Section:
    shown = min(WORST, len(outcome.items))
    lead = f"{sentence(f'An item is here if {outcome.check.meaning}')} "
    lead += f"{shown} of {plural(len(outcome.items), 'item')}, the worst first."
    thumbnails = [
        _thumbnail(quality, int(item), why)
        for item, why in zip(outcome.items[:WORST], outcome.why, strict=False)
    ]
    return Section(outcome.check.id, outcome.check.id, lead, thumbnails=thumbnails)


def _thumbnail(quality: ItemQuality, item: int, why: str) -> Thumbnail:
    title = quality.titles[item - 1] if quality.titles else ""
    short = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
    source = picture_uri(quality.pictures, item)
    lines = [line for line in (short, why) if line]
    return Thumbnail(f"Item {item}", lines, source, f"Picture of item {item}: {short or why}")


def picture_uri(pictures: Mapping[int, Path], item: int) -> str:
    """The item's picture as a data URI of at most 128 pixels a side, empty if it has none.

    Of a grey or tiny picture the file's own pixels are shown; a broken one shows nothing.
    """
    from PIL import Image

    picture = read_picture(pictures.get(item), _SIDE)
    if isinstance(picture, Fault):
        if picture.kind not in ("grey", "too_small"):
            return ""
        with Image.open(pictures[item]) as opened:
            image = opened.convert("RGB")
    else:
        image = picture.image
    image.thumbnail((_SIDE, _SIDE))
    out = BytesIO()
    image.save(out, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
