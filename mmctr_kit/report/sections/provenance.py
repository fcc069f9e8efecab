"""How the run was made: where its time went, its recipe and its environment."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from mmctr_kit.report.blocks import Grid, Listing, Section, picture
from mmctr_kit.report.context import Subject
from mmctr_kit.report.figures.timing import phases
from mmctr_kit.runs.run import Run


def time_section(subject: Subject) -> Section | None:
    """Seconds by phase of the fold models; None where nothing was trained, or not timed so."""
    timed = {r.name: r.timings for r in subject.parts}
    timed = {n: t for n, t in timed.items() if "phase_seconds" in t}
    if not timed:
        return None
    names = list(timed)
    kinds = list(timed[names[0]]["phase_seconds"])
    total = sum(sum(t["phase_seconds"].values()) for t in timed.values())
    unit, size = ("minutes", 60.0) if total > 600 else ("seconds", 1.0)
    spent = {k: np.array([t["phase_seconds"][k] / size for t in timed.values()]) for k in kinds}
    rows = [_seconds(n, t, kinds) for n, t in timed.items()]
    says = "; ".join(f"{row[0]}: {row[-2]} s in all" for row in rows)
    return Section(
        "time",
        "Where the time went",
        "Of the fold models, added up; side by side they take less. Seconds survive a kill: they "
        "are those of all commands that the run took.",
        [
            picture(
                phases(names, spent, unit),
                "time-phases",
                "By phase",
                "load: data and signals; compile: the training step; evaluate: predictions.",
                f"{unit.capitalize()} by phase. {says}.",
            )
        ],
        [Grid("Seconds.", ("run", *kinds, "all", "a fold model"), rows)],
    )


def _seconds(name: str, timings: Mapping[str, Any], kinds: Sequence[str]) -> list[str]:
    spent = [float(timings["phase_seconds"][k]) for k in kinds]
    folds = len(timings["fold_seconds"])
    return [name, *(f"{s:,.1f}" for s in spent), f"{sum(spent):,.1f}", f"{sum(spent) / folds:,.1f}"]


def recipe_section(subject: Subject) -> Section | None:
    """The resolved recipes, and in what they differ; None where there is none, as of an import."""
    texts = {r.name: text for r in subject.parts if (text := r.recipe_text) is not None}
    if not texts:
        return None
    grids = []
    if len(texts) > 1:
        grids.append(_differences(texts))
    lead = "Resolved: every value that the run used. As a file, 'mmctr-kit cv FILE' runs it again."
    listings = [Listing(f"{name}.yaml", text) for name, text in texts.items()]
    return Section("recipe", "Recipe", lead, grids=grids, listings=listings)


def _differences(texts: Mapping[str, str]) -> Grid:
    """The keys in which the recipes differ: of blocks that all have, value by value."""
    flat = {name: dict(_flatten(yaml.safe_load(text))) for name, text in texts.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = []
    for key in keys:
        cells = [_cell(values, key) for values in flat.values()]
        if key != "name" and len(set(cells)) > 1:
            rows.append((key, *cells))
    caption = "Where the recipes differ; – where a model has no such key."
    return Grid(caption, ("key", *texts), rows, left=1 + len(texts))


def _cell(values: Mapping[str, str], key: str) -> str:
    return values[key] if key in values else "–"  # noqa: SIM401 (a default lives in one place)


def _flatten(content: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in content.items():
        if isinstance(value, dict):
            found += _flatten(value, f"{before}{key}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((f"{before}{key}", text))
    return found


def environment_section(subject: Subject) -> Section:
    """Versions, device, seeds and fingerprints."""
    runs = [subject.run, *(r for r in subject.parts if r.name != subject.run.name)]
    facts = {run.name: _facts(run) for run in runs}
    keys = dict.fromkeys(key for values in facts.values() for key in values)
    rows = [(k, *(_cell(v, k) for v in facts.values())) for k in keys]
    return Section(
        "environment",
        "Environment",
        "What the run was made with. Runs blend where rows and folds have the same fingerprint.",
        grids=[
            Grid("From the manifest; fingerprints are cut.", ("", *facts), rows, 1 + len(facts))
        ],
    )


def _facts(run: Run) -> dict[str, str]:
    manifest = run.manifest
    facts = {k: str(v) for k, v in manifest.environment.items() if v is not None}
    facts["seeds"] = ", ".join(str(s) for s in manifest.seeds) or "–"
    for name in ("rows", "features", "folds", "recipe"):
        facts[f"fingerprint of {name}"] = getattr(manifest, name)[:12] or "–"
    return facts
