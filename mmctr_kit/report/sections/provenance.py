"""The sections on how the run was made: learning curves, time, recipe and environment."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from mmctr_kit.report.blocks import (
    Picture,
    Section,
    Table,
    by_key,
    estimate_text,
    flatten,
    largest,
    picture,
    which_shown,
)
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.curves import FoldCurve, learning
from mmctr_kit.report.figures.rows import stacked
from mmctr_kit.runs.fold_models import FoldModel, fold_models
from mmctr_kit.runs.progress import HOLDOUT
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.verdicts import check_run, compact

MOST_RUNS = 8
_MOST_DIFFERENCES = 16
"""More rows of differing recipe keys are folded away."""


def models_section(context: ReportContext) -> Section | None:
    """The learning curves of each run that the page is about, and a run's models one by one."""
    drawn = (made for run in context.trained if (made := _curves(run)) is not None)
    pictures, models = list(islice(drawn, MOST_RUNS)), fold_models(context.run)
    if not pictures and not models:
        return None
    lead = (
        "Each fold model saves its best snapshot (the dot), chosen on users held out of its "
        "training rows. If AUC still rises at the end, train longer; if it falls while the "
        f"training loss falls, the model overfits. The {HOLDOUT}."
    )
    if not pictures:
        lead = "The models of this run, each scored by itself."
    tables = [_models(models)] if models else []
    notes = _first(len(context.trained))
    return Section("models", "Fold models", lead, pictures, tables, notes=notes)


def _models(models: Sequence[FoldModel]) -> Table:
    rows = [
        (
            f"{m.fold}, seed {m.seed}",
            f"{m.oof_rows:,}",
            estimate_text(m.oof),
            estimate_text(m.valid),
            str(m.epochs),
            str(m.best_epoch),
        )
        for m in models
    ]
    columns = ("fold", "OOF rows", "OOF AUC", "valid AUC", "epochs", "best epoch")
    caption = "Each model by itself; ± is one standard error. Their mean on valid is better."
    return Table(caption, columns, rows)


def _curves(run: Run) -> Picture | None:
    curves = [_curve(name, lines) for name, lines in run.epochs().items() if lines]
    curves = [c for c in curves if np.isfinite(c.auc).all()]  # else nobody was held out
    if not curves:
        return None
    says = "; ".join(
        f"{c.label}: AUC {c.auc[0]:.4f} after epoch 1, best {c.auc[c.best - 1]:.4f} at epoch "
        f"{c.best} of {len(c.auc)}"
        for c in curves
    )
    caption = f"{len(curves)} fold models; dots mark the saved snapshots."
    says = f"Held-out AUC and training loss by epoch. {says}."
    return picture(learning(curves), f"learning-{run.name}", run.name, caption, says)


def _curve(name: str, lines: Sequence[Mapping[str, Any]]) -> FoldCurve:
    fold, _, seed = name.partition("-")
    model = "whole train split" if fold == "all" else f"fold {fold}"
    auc = np.array([line["holdout_auc"] for line in lines], np.float64)
    best = max((line["epoch"] for line in lines if line["best"]), default=len(lines))
    loss = np.array([line["train_loss"] for line in lines], np.float64)
    return FoldCurve(f"{model}, seed {seed}", loss, auc, int(best))


def time_section(context: ReportContext) -> Section | None:
    """Seconds by phase, added up over fold models; only if something was trained and timed."""
    timed = {r.name: r.timings for r in context.trained}
    timed = {n: t for n, t in timed.items() if "phase_seconds" in t}
    if not timed:
        return None
    phases = list(next(iter(timed.values()))["phase_seconds"])
    total = {name: sum(t["phase_seconds"].values()) for name, t in timed.items()}
    unit, size = ("minutes", 60.0) if sum(total.values()) > 600 else ("seconds", 1.0)
    rows = [_seconds(n, t, phases) for n, t in timed.items()]
    names = largest([*timed], lambda name: total[name])
    spent = {k: np.array([timed[n]["phase_seconds"][k] / size for n in names]) for k in phases}
    says = "; ".join(f"{name}: {total[name]:,.1f} s in all" for name in names)
    figure, says = stacked(names, spent, unit), f"{unit.capitalize()} by phase. {says}."
    caption = "load: data and signals; compile: the training step; evaluate: predictions."
    caption += which_shown(len(names), len(timed), "that took longest")
    pictures = [picture(figure, "time-phases", "By phase", caption, says)]
    lead = (
        "Added up over the fold models; in parallel they take less. Totals include interrupted and "
        "resumed sessions."
    )
    table = Table("Seconds.", ("run", *phases, "total", "per fold model"), rows)
    return Section("time", "Training time", lead, pictures, [table])


def _seconds(name: str, timings: Mapping[str, Any], phases: Sequence[str]) -> list[str]:
    spent = [float(timings["phase_seconds"][k]) for k in phases]
    folds = len(timings["fold_seconds"])
    return [name, *(f"{s:,.1f}" for s in spent), f"{sum(spent):,.1f}", f"{sum(spent) / folds:,.1f}"]


def recipe_section(context: ReportContext) -> Section | None:
    """The resolved recipes and their differences; an import has none."""
    texts = {r.name: text for r in context.trained if (text := r.recipe_text) is not None}
    if not texts:
        return None
    tables = []
    if len(texts) > 1:
        each = {r.name: flatten(r.recipe_content()) for r in context.trained if r.name in texts}
        rows = [row for row in by_key(each) if row[0] != "name" and len(set(row[1:])) > 1]
        caption = "Keys in which the recipes differ (– = the model has no such key)."
        columns = ("key", *texts)
        if len(texts) > MOST_RUNS:  # a row for each run
            columns, *rows = zip(("run", *texts), *rows, strict=True)
        folded = f"{len(rows)} differences" if len(rows) > _MOST_DIFFERENCES else ""
        tables.append(Table(caption, columns, rows, left=len(columns), folded=folded))
    return Section(
        "recipe",
        "Recipe",
        "Resolved: every value that the run used. Saved as a file, 'mmctr-kit cv FILE' trains it "
        "again.",
        tables=tables,
        listings=[(f"{name}.yaml", text) for name, text in islice(texts.items(), MOST_RUNS)],
        notes=_first(len(texts)),
    )


def _first(count: int) -> list[str]:
    """The note that only some of ``count`` runs are shown, if that is so."""
    if count <= MOST_RUNS:
        return []
    return [f"The first {MOST_RUNS} of {count} runs; each run has its own page."]


def environment_section(context: ReportContext) -> Section:
    """Versions, device, seeds and fingerprints."""
    runs = [context.run, *(r for r in context.trained if r.name != context.run.name)]
    facts = {run.name: _facts(run, context) for run in runs[: 1 + MOST_RUNS]}
    caption = "From the run's manifest; fingerprints are shortened. Rules: ? marks what is unclear."
    return Section(
        "environment",
        "Environment",
        "Versions, device and fingerprints. Runs can be blended if their rows and folds have the "
        "same fingerprints.",
        tables=[Table(caption, ("fact", *facts), by_key(facts), 1 + len(facts))],
        notes=_first(len(runs) - 1),
    )


def _facts(run: Run, context: ReportContext) -> dict[str, str]:
    manifest = run.manifest
    facts = {k: str(v) for k, v in manifest.environment.items() if v is not None}
    facts["seeds"] = ", ".join(str(s) for s in manifest.seeds) or "–"
    of_page = run is context.run
    facts["rules kept"] = compact(context.rules if of_page else check_run(run, run.path.parent))
    for name in ("rows", "features", "folds", "recipe"):
        facts[f"fingerprint of {name}"] = getattr(manifest, name)[:12] or "–"
    return facts
