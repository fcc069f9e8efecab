"""A page for every run, study and ablation of a folder, and an index page that links to them."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mmctr_kit.activity import doing
from mmctr_kit.errors import MmctrKitError, UsageError
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Section, Table, estimate_text
from mmctr_kit.report.context import ReportContext, open_context, require_page
from mmctr_kit.report.page import kind_of, render, write_page, write_rendered
from mmctr_kit.runs.seal import SEAL, marked

INDEX = "index.html"
_FOOTER = (
    "± is one standard error, for AUC clustered by user (Obuchowski 1997). OOF scores are from "
    "single fold models, valid scores from their mean."
)


@dataclass(frozen=True)
class Indexed:
    """A page of the index: the name and the kind of what it is about, and its scores."""

    name: str
    kind: str
    oof: Estimate | None
    valid: Estimate | None


@dataclass(frozen=True)
class Pages:
    """The pages that were written to ``folder``, and why others were not, by their names."""

    folder: Path
    written: tuple[Indexed, ...]
    left_out: dict[str, str]

    @property
    def index(self) -> Path:
        """The page that links to the others."""
        return self.folder / INDEX


def page_names(root: Path) -> list[str]:
    """The runs, studies and ablations in the folder ``root`` by name, unfinished ones too."""
    marks = ("manifest.json", "study.json", "settings.json", "ablation.json")
    found = {path.parent for mark in (*marks, SEAL) for path in root.glob(f"*/{mark}")}
    folders = {path for path in found if any(marked(path, mark) for mark in marks)}
    folders |= set(root.glob("*.ablate"))
    return sorted(folder.name for folder in folders if not folder.name.startswith("."))


def write_all(root: Path, submissions: Path, folder: Path) -> Pages:
    """Write a page for everything finished in ``root``, and the index, into ``folder``.

    What is unfinished or damaged is left out. Raises UsageError if there is nothing at all, or if a
    file that is no report is in the way.
    """
    names = page_names(root)
    if not names:
        raise UsageError(f"no run, study or ablation in {root}; name their folder with --runs")
    for name in (*names, INDEX.removesuffix(".html")):
        require_page(folder / f"{name}.html")
    written, left_out = [], {}
    for number, name in enumerate(names, 1):
        doing(f"page {number} of {len(names)}: {name}")
        try:
            context = open_context(name, root, submissions)
            page = render(context)  # it reads recipes: of a blend those of its runs
        except MmctrKitError as e:
            left_out[name] = str(e)
            continue
        write_rendered(page, folder / f"{name}.html")
        written.append(_indexed(context))
    written.sort(key=lambda entry: (-(entry.valid.value if entry.valid else 0.0), entry.name))
    pages = Pages(folder, tuple(written), left_out)
    _write_index(pages, root)
    return pages


def _indexed(context: ReportContext) -> Indexed:
    oof, valid = (Estimate.find(context.metrics, name) for name in ("oof", "valid"))
    return Indexed(context.name, kind_of(context), oof, valid)


def _write_index(pages: Pages, root: Path) -> None:
    rows = [
        (entry.name, entry.kind, estimate_text(entry.oof), estimate_text(entry.valid))
        for entry in pages.written
    ]
    # As bytes, since a name need not be UTF-8; a raw "javascript:x" would be an address.
    links = [quote(os.fsencode(f"{entry.name}.html")) for entry in pages.written]
    caption = "The best valid AUC first. Of a study and an ablation the score is that of one run."
    table = Table(caption, ("page", "what", "OOF AUC", "valid AUC"), rows, left=2, links=links)
    notes = [f"No page of {name}: {why}" for name, why in pages.left_out.items()]
    section = Section("pages", "Pages", "Each row leads to a page.", tables=[table], notes=notes)
    head = {
        "kind": "Reports",
        "score": "Pages",
        "value": str(len(rows)),
        "se": "",
        "meaning": f"The finished runs, studies and ablations in {root}.",
        "facts": (),
        "alarm": None,
    }
    write_page(pages.index, root.resolve().name, head, [], [section], _FOOTER)
