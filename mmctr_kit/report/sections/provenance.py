"""The sections on how the run was made: its time, its recipe and its environment."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from mmctr_kit.recipe.diff import flat
from mmctr_kit.report.blocks import Listing, Section, Table, picture
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import stacked
from mmctr_kit.runs.run import Run


def time_section(context: ReportContext) -> Section | None:
    """Seconds by phase, added up over fold models; only if something was trained and timed."""
    timed = {r.name: r.timings for r in context.trained}
    timed = {n: t for n, t in timed.items() if "phase_seconds" in t}
    if not timed:
        return None
    names = list(timed)
    phases = list(timed[names[0]]["phase_seconds"])
    total = sum(sum(t["phase_seconds"].values()) for t in timed.values())
    unit, size = ("minutes", 60.0) if total > 600 else ("seconds", 1.0)
    spent = {k: np.array([t["phase_seconds"][k] / size for t in timed.values()]) for k in phases}
    rows = [_seconds(n, t, phases) for n, t in timed.items()]
    says = "; ".join(f"{row[0]}: {row[-2]} s in all" for row in rows)
    figure = picture(
        stacked(names, spent, unit),
        "time-phases",
        "By phase",
        "load: data and signals; compile: the training step; evaluate: predictions.",
        f"{unit.capitalize()} by phase. {says}.",
    )
    return Section(
        "time",
        "Training time",
        "Added up over the fold models; in parallel they take less. Totals include interrupted and "
        "resumed sessions.",
        [figure],
        [Table("Seconds.", ("run", *phases, "total", "per fold model"), rows)],
    )


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
        each = {name: _texts(yaml.safe_load(text)) for name, text in texts.items()}
        rows = [row for row in _by_key(each) if row[0] != "name" and len(set(row[1:])) > 1]
        caption = "Keys in which the recipes differ (– = the model has no such key)."
        tables.append(Table(caption, ("key", *texts), rows, left=1 + len(texts)))
    return Section(
        "recipe",
        "Recipe",
        "Resolved: every value that the run used. Saved as a file, 'mmctr-kit cv FILE' trains it "
        "again.",
        tables=tables,
        listings=[Listing(f"{name}.yaml", text) for name, text in texts.items()],
    )


def _by_key(each: Mapping[str, Mapping[str, str]]) -> list[tuple[str, ...]]:
    """A row for each key: the key, then the value of each mapping, or a dash."""
    keys = dict.fromkeys(key for values in each.values() for key in values)
    return [(key, *(values.get(key, "–") for values in each.values())) for key in keys]


def _texts(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The values of a recipe as text, by dotted key."""
    values = dict(flat(recipe))
    lists = {k: ", ".join(map(str, v)) for k, v in values.items() if isinstance(v, list)}
    return {k: lists.get(k, str(v)) for k, v in values.items()}


def environment_section(context: ReportContext) -> Section:
    """Versions, device, seeds and fingerprints."""
    runs = [context.run, *(r for r in context.trained if r.name != context.run.name)]
    facts = {run.name: _facts(run) for run in runs}
    caption = "From the run's manifest; fingerprints are shortened."
    return Section(
        "environment",
        "Environment",
        "Versions, device and fingerprints. Runs can be blended if their rows and folds have the "
        "same fingerprints.",
        tables=[Table(caption, ("", *facts), _by_key(facts), 1 + len(facts))],
    )


def _facts(run: Run) -> dict[str, str]:
    manifest = run.manifest
    facts = {k: str(v) for k, v in manifest.environment.items() if v is not None}
    facts["seeds"] = ", ".join(str(s) for s in manifest.seeds) or "–"
    for name in ("rows", "features", "folds", "recipe"):
        facts[f"fingerprint of {name}"] = getattr(manifest, name)[:12] or "–"
    return facts
