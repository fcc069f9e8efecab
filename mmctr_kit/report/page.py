"""The report as one HTML page that needs no network."""

from collections.abc import Callable
from pathlib import Path

from mmctr_kit import __version__
from mmctr_kit.errors import unwritable
from mmctr_kit.files import write_whole
from mmctr_kit.report.advice import advice
from mmctr_kit.report.blocks import Section
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.headline import headline
from mmctr_kit.report.paths import MARK, require_page
from mmctr_kit.report.sections.ablation import ablation_section
from mmctr_kit.report.sections.blend import blend_section
from mmctr_kit.report.sections.leaderboard import leaderboard_section
from mmctr_kit.report.sections.learning import learning_section
from mmctr_kit.report.sections.provenance import environment_section, recipe_section, time_section
from mmctr_kit.report.sections.scores import distribution_section, ranking_section
from mmctr_kit.report.sections.slices import slices_section
from mmctr_kit.report.sections.study import study_section

SECTIONS: tuple[Callable[[ReportContext], Section | None], ...] = (
    leaderboard_section,
    blend_section,
    learning_section,
    ranking_section,
    distribution_section,
    slices_section,
    ablation_section,
    study_section,
    time_section,
    recipe_section,
    environment_section,
)
"""The sections in the page's order."""


def write_report(context: ReportContext, out: Path) -> None:
    """Write the page to ``out``; the same runs give the same page.

    An existing report is replaced; any other file is a UsageError.
    """
    require_page(out)
    text = render(context)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, lambda path: path.write_text(text, "utf-8"))
    except OSError as e:
        raise unwritable(f"cannot write '{out}' ({e.strerror}); name another --out", e) from e


def render(context: ReportContext) -> str:
    """The page as text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mmctr_kit.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        mark=MARK,
        name=context.name,
        head=headline(context),
        advice=advice(context),
        sections=[made for make in SECTIONS if (made := make(context)) is not None],
        version=__version__,
    )
