"""The headline of a page: its main score, what that means, and a few more scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import INTERVAL


@dataclass(frozen=True)
class Fact:
    """A small score under the headline."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Headline:
    """``kind`` is the line above the name; ``value`` ± ``se`` is the score called ``score``."""

    kind: str
    score: str
    value: str
    se: str
    meaning: str
    facts: tuple[Fact, ...]
    alarm: str | None


def headline(context: ReportContext) -> Headline:
    """The valid AUC of the fold mean; without it OOF, or the sentence that no score is known."""
    metrics = context.metrics
    valid, oof = Estimate.find(metrics, "valid"), Estimate.find(metrics, "oof")
    best, score = (valid, "Valid AUC") if valid else (oof, "OOF AUC")
    value, se = str(best).split(" ± ") if best else ("–", "")
    alarm = str(metrics["alarm"]) if metrics["alarm"] else None
    meaning = _meaning(metrics, valid, oof)
    return Headline(_kind(context), score, value, se, meaning, _facts(metrics), alarm)


def _kind(context: ReportContext) -> str:
    if context.name != context.run.name:
        what = "Base of the ablation" if context.name.endswith(".ablate") else "Chosen finalist"
        return f"{what}: {context.run.name}"
    if context.kind == "blend":
        return f"Blend of {plural(len(context.run.manifest.sources), 'run')}"
    if context.kind == "imported":
        return "Imported predictions"
    folds, seeds = context.predictions.valid.shape[0], len(context.run.manifest.seeds)
    return f"Run of {folds} folds, {plural(seeds, 'seed')}"


def _meaning(metrics: Mapping[str, Any], valid: Estimate | None, oof: Estimate | None) -> str:
    if valid is not None:
        text = (
            f"AUC of the fold models' mean on the {plural(valid.n, 'official valid row')}, which "
            f"were used neither to train nor to choose a model. {_interval(valid)}"
        )
    elif oof is not None:
        text = (
            f"AUC of the fold models on {oof.n:,} train rows that they were not trained on. "
            f"{_interval(oof)}"
        )
    else:
        return "No predicted row has a label, so no score is known."
    if metrics.get("transductive"):
        text += " Transductive: a row's score depends on the other rows of its user."
    return text


def _interval(estimate: Estimate) -> str:
    if not estimate.se > 0:
        return "Too few users for a standard error."
    low, high = (estimate.value + side * INTERVAL * estimate.se for side in (-1, 1))
    return f"95 % confidence interval {low:.4f} to {high:.4f} (clustered by user)."


def _facts(metrics: Mapping[str, Any]) -> tuple[Fact, ...]:
    names = (
        ("oof", "OOF AUC", "fold models, on train rows of users they did not see"),
        ("fold_models_valid", "Fold models' valid AUC", "of single models: compare it with OOF"),
        ("recipe_valid", "Recipe's valid AUC", "mean of seeds; ± includes seed variance"),
        ("valid_logloss", "Valid logloss", "nats per row; sees calibration, which AUC does not"),
        ("valid_gauc", "Valid GAUC", "mean AUC within a user"),
    )
    facts = [
        Fact(title, str(estimate), meaning)
        for name, title, meaning in names
        if (estimate := Estimate.find(metrics, name)) is not None
        and (name != "recipe_valid" or estimate.se == estimate.se)
    ]
    tied = f"{metrics['test_tied_share']:.2%}"
    return (*facts, Fact("Tied test scores", tied, "rows that share their score with another row"))
