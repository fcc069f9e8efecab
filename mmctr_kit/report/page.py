"""The report: one HTML page that needs no network, from a run folder."""

from collections.abc import Callable
from pathlib import Path

from mmctr_kit import __version__
from mmctr_kit.errors import unwritable
from mmctr_kit.files import write_whole
from mmctr_kit.report.advice import advice
from mmctr_kit.report.blocks import Section
from mmctr_kit.report.context import Subject
from mmctr_kit.report.headline import headline
from mmctr_kit.report.paths import MARK, require_page
from mmctr_kit.report.sections.ablation import ablation_section
from mmctr_kit.report.sections.blend import blend_section
from mmctr_kit.report.sections.leaderboard import board_section
from mmctr_kit.report.sections.learning import learning_section
from mmctr_kit.report.sections.provenance import environment_section, recipe_section, time_section
from mmctr_kit.report.sections.scores import ranking_section, spread_section
from mmctr_kit.report.sections.slices import slices_section
from mmctr_kit.report.sections.study import study_section

SECTIONS: tuple[Callable[[Subject], Section | None], ...] = (
    board_section,
    blend_section,
    learning_section,
    ranking_section,
    spread_section,
    slices_section,
    ablation_section,
    study_section,
    time_section,
    recipe_section,
    environment_section,
)
"""In the page's order."""


def write_report(subject: Subject, root: Path, out: Path, submissions: Path) -> None:
    """Write the page of ``subject``, of the runs under ``root``, to ``out``.

    A report that is there is replaced, any other file is a UsageError. Equal runs make equal pages.
    ``submissions`` is looked into for one of the run.
    """
    require_page(out)
    text = render(subject, root, submissions)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, lambda path: path.write_text(text, "utf-8"))
    except OSError as e:
        raise unwritable(f"cannot write '{out}' ({e.strerror}); name another --out", e) from e


def render(subject: Subject, root: Path, submissions: Path) -> str:
    """The page as text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mmctr_kit.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [made for make in SECTIONS if (made := make(subject)) is not None]
    return environment.get_template("page.html").render(
        mark=MARK,
        name=subject.name,
        head=headline(subject),
        advice=advice(subject, root, submissions),
        sections=sections,
        version=__version__,
    )
