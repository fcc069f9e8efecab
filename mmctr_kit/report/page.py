"""The report as one HTML page that needs no network, with its headline."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmctr_kit import __version__
from mmctr_kit.activity import Counter
from mmctr_kit.embed.quality import ItemQuality
from mmctr_kit.errors import plural, unwritable
from mmctr_kit.files import write_whole
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.advice import Advice, advice
from mmctr_kit.report.blocks import Section
from mmctr_kit.report.context import MARK, ReportContext, require_page
from mmctr_kit.report.sections.ablation import ablation_section
from mmctr_kit.report.sections.blend import blend_section
from mmctr_kit.report.sections.importance import importance_section
from mmctr_kit.report.sections.leaderboard import leaderboard_section
from mmctr_kit.report.sections.provenance import (
    environment_section,
    models_section,
    recipe_section,
    time_section,
)
from mmctr_kit.report.sections.quality import (
    QUALITY_FOOTER,
    quality_advice,
    quality_headline,
    quality_sections,
)
from mmctr_kit.report.sections.scores import distribution_section, ranking_section
from mmctr_kit.report.sections.slices import slices_section
from mmctr_kit.report.sections.study import study_section

_MakeSection = Callable[[ReportContext], Section | None]
SECTIONS: tuple[_MakeSection, ...] = (
    leaderboard_section,
    blend_section,
    models_section,
    importance_section,
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
_FOOTER = (
    "± is one standard error, for AUC clustered by user (Obuchowski 1997); differences are paired. "
    "OOF scores are from single fold models, valid and test scores from their mean."
)


def write_report(context: ReportContext, out: Path) -> None:
    """Write the page to ``out``, where only a report is replaced. Equal runs give equal pages."""
    require_page(out)
    write_rendered(render(context), out)


def write_quality(quality: ItemQuality, data: Path, out: Path) -> None:
    """Write the page on the quality of the items of the folder ``data``, as a report is written."""
    head, steps = quality_headline(quality, data), quality_advice(quality)
    write_page(out, data.name, head, steps, quality_sections(quality), QUALITY_FOOTER)


def write_page(
    out: Path,
    name: str,
    head: Mapping[str, Any],
    steps: Sequence[Advice],
    sections: Sequence[Section],
    footer: str,
) -> None:
    """Write a page of these parts to ``out``, where only a report is replaced.

    ``head`` is as :func:`headline` makes it.
    """
    require_page(out)
    write_rendered(_page(name, head, steps, sections, footer), out)


def write_rendered(text: str, out: Path) -> None:
    """Write the page ``text`` to ``out``, which :func:`require_page` allowed."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, lambda path: path.write_text(text, "utf-8"))
    except OSError as e:
        raise unwritable(f"cannot write '{out}' ({e.strerror}); name another --out", e) from e


def render(context: ReportContext) -> str:
    """The page as HTML. Raises RunError if a file of the run, or of one it blends, is damaged."""
    count, made = Counter("drawing", len(SECTIONS)), dict[_MakeSection, Section]()
    for make in SECTIONS:
        if (section := make(context)) is not None:
            made[make] = section
        count.add()
    subject = {"study": study_section, "ablation": ablation_section}.get(context.about)
    first = [section for make, section in made.items() if make is subject]
    sections = [section for make, section in made.items() if make is not subject]
    return _page(context.name, headline(context), advice(context), sections, _FOOTER, first)


def _page(
    name: str,
    head: Mapping[str, Any],
    steps: Sequence[Advice],
    sections: Sequence[Section],
    footer: str,
    first: Sequence[Section] = (),
) -> str:
    """The page as HTML: ``head`` as :func:`headline` makes it, ``first``, steps, then sections."""
    import jinja2

    templates = jinja2.PackageLoader("mmctr_kit.report")
    environment = jinja2.Environment(
        loader=templates,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (templates.get_source(environment, f"page.{x}")[0] for x in ("css", "js"))
    return environment.get_template("page.html").render(
        mark=MARK,
        policy=_policy(style, script),
        style=style,
        script=script,
        name=name,
        head=head,
        advice=steps,
        first=first,
        sections=sections,
        footer=footer,
        version=__version__,
    )


def _policy(style: str, script: str) -> str:
    """The page's content security policy: its own style and script, pictures in it, nothing else.

    So a browser runs no script and loads nothing that a name in a run might smuggle into the page.
    """
    digests = [hashlib.sha256(text.encode()).digest() for text in (style, script)]
    styles, scripts = (f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; style-src {styles}; script-src {scripts}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def headline(context: ReportContext) -> dict[str, Any]:
    """The main score of a page, and what it means.

    It is the valid AUC of the fold mean; without it OOF, or the sentence that no score is known.
    ``kind`` is the line above the name, ``value`` ± ``se`` the ``score``. ``facts`` are smaller
    scores: name, value and meaning.
    """
    metrics = context.metrics
    valid, oof = Estimate.find(metrics, "valid"), Estimate.find(metrics, "oof")
    best, score = (valid, "Valid AUC") if valid else (oof, "OOF AUC")
    value, se = str(best).split(" ± ") if best else ("–", "")
    return {
        "kind": kind_of(context),
        "score": score,
        "value": value,
        "se": se,
        "meaning": _meaning(context, valid, oof),
        "facts": _facts(metrics),
        "alarm": metrics["alarm"],
    }


def kind_of(context: ReportContext) -> str:
    """What the page is about, in a few words: the line above its name."""
    if context.name != context.run.name:
        what = "Base of the ablation" if context.name.endswith(".ablate") else "Chosen finalist"
        return f"{what}: {context.run.name}"
    if context.kind == "blend":
        return f"Blend of {plural(len(context.run.manifest.sources), 'run')}"
    if context.kind == "imported":
        return "Imported predictions"
    if context.kind == "fit":
        return f"One model of the whole train split, seed {context.run.manifest.seeds[0]}"
    folds, seeds = context.predictions.valid.shape[0], len(context.run.manifest.seeds)
    return f"Run of {folds} folds, {plural(seeds, 'seed')}"


def _meaning(context: ReportContext, valid: Estimate | None, oof: Estimate | None) -> str:
    if valid is not None:
        predictor = "one model" if context.kind == "fit" else "the fold models' mean"
        text = (
            f"AUC of {predictor} on the {plural(valid.n, 'official valid row')}, which "
            f"were used neither to train nor to choose a model. {_interval(valid)}"
        )
    elif oof is not None:
        text = (
            f"AUC of the fold models on {oof.n:,} train rows that they were not trained on. "
            f"{_interval(oof)}"
        )
    else:
        return "No predicted row has a label, so no score is known."
    if context.metrics.get("transductive"):
        text += " Transductive: a row's score depends on the other rows of its user."
    return text


def _interval(estimate: Estimate) -> str:
    if not estimate.se > 0:
        return "Its standard error cannot be had: too few users, or an AUC of 0 or 1."
    low, high = estimate.share_interval()
    return f"95 % confidence interval {low:.4f} to {high:.4f} (clustered by user)."


def _facts(metrics: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    names = (
        ("oof", "OOF AUC", "fold models, on train rows kept from them"),
        ("fold_models_valid", "Fold models' valid AUC", "of single models: compare it with OOF"),
        ("recipe_valid", "Recipe's valid AUC", "mean of seeds; ± includes seed variance"),
        ("valid_logloss", "Valid logloss", "nats per row; sees calibration, which AUC does not"),
        ("valid_gauc", "Valid GAUC", "mean AUC within a user"),
    )
    facts = [
        (title, str(estimate), meaning)
        for name, title, meaning in names
        if (estimate := Estimate.find(metrics, name)) is not None
        and (name != "recipe_valid" or estimate.se == estimate.se)
    ]
    tied = f"{metrics['test_tied_share']:.2%}"
    return (*facts, ("Tied test scores", tied, "rows that share their score with another row"))
