"""The number that a page begins with, what it means, and the others beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import shown
from mmctr_kit.report.context import Subject
from mmctr_kit.report.figures.estimates import INTERVAL


@dataclass(frozen=True)
class Fact:
    """A small figure under the headline."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Headline:
    """``kind`` is the line above the name; ``value`` and ``error`` of what ``of`` says."""

    kind: str
    of: str
    value: str
    error: str
    meaning: str
    facts: tuple[Fact, ...]
    alarm: str | None


def headline(subject: Subject) -> Headline:
    """Valid AUC of the fold mean; of a run without it OOF, or nothing but what is missing."""
    metrics = subject.metrics
    valid, oof = Estimate.find(metrics, "valid"), Estimate.find(metrics, "oof")
    best, of = (valid, "valid AUC") if valid else (oof, "OOF AUC")
    value, error = shown(best).split(" ± ") if best else ("–", "")
    return Headline(
        _kind(subject),
        of,
        value,
        error,
        _meaning(subject, valid, oof),
        _facts(metrics),
        _alarm(metrics),
    )


def _alarm(metrics: Mapping[str, Any]) -> str | None:
    return str(metrics["alarm"]) if metrics["alarm"] else None


def _kind(subject: Subject) -> str:
    if subject.name != subject.run.name:
        what = "base" if subject.name.endswith(".ablate") else "chosen finalist"
        return f"The {what}, {subject.run.name}"
    if subject.kind == "blend":
        return f"Blend of {plural(len(subject.run.manifest.sources), 'run')}"
    if subject.kind == "imported":
        return "Imported predictions"
    folds, seeds = subject.found.valid.shape[0], len(subject.run.manifest.seeds)
    return f"Run of {folds} folds, {plural(seeds, 'seed')}"


def _meaning(subject: Subject, valid: Estimate | None, oof: Estimate | None) -> str:
    if valid is not None:
        text = (
            f"The fold mean's AUC on the {plural(valid.n, 'official valid row')}, which trained "
            f"nothing and chose nothing. {_interval(valid)}"
        )
    elif oof is not None:
        text = f"Fold models' AUC on {oof.n:,} train rows that they did not see. {_interval(oof)}"
    else:
        return "No rows with labels were predicted, so no score is known."
    if _transductive(subject.metrics):
        text += " Transductive: a row's score depends on the rows beside it."
    return text


def _interval(found: Estimate) -> str:
    if not found.se > 0:
        return "Its error is not known from so few users."
    low, high = found.value - INTERVAL * found.se, found.value + INTERVAL * found.se
    return (
        f"With other users drawn it would lie between {low:.4f} and {high:.4f} 19 times in 20; "
        "the error is clustered by user."
    )


def _transductive(metrics: Mapping[str, Any]) -> bool:
    return "transductive" in metrics and bool(metrics["transductive"])


def _facts(metrics: Mapping[str, Any]) -> tuple[Fact, ...]:
    names = (
        ("oof", "OOF AUC", "fold models, on train rows of users they did not see"),
        ("fold_models_valid", "Fold models' valid AUC", "to hold against OOF: single models"),
        ("recipe_valid", "Recipe's valid AUC", "mean of seeds; the error counts their variance"),
        ("valid_logloss", "Valid logloss", "nats a row; sees calibration, which AUC does not"),
        ("valid_gauc", "Valid GAUC", "mean AUC within a user"),
    )
    found = [
        Fact(title, shown(estimate), meaning)
        for name, title, meaning in names
        if (estimate := Estimate.find(metrics, name)) is not None
        and (name != "recipe_valid" or estimate.se == estimate.se)
    ]
    tied = f"{metrics['test_tied_share']:.2%}"
    found.append(Fact("Tied test scores", tied, "rows whose score another row has too"))
    return tuple(found)
