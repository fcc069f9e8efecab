"""mmctr_kit.report.headline: the main score of a page, and what it means."""

from dataclasses import replace
from pathlib import Path

from mmctr_kit.report.context import open_context
from mmctr_kit.report.headline import headline


def test_the_main_score_is_the_valid_auc_with_its_interval(made_runs: Path) -> None:
    context = open_context("mix", made_runs, made_runs)
    head = headline(context)
    valid = context.metrics["valid"]
    assert (head.kind, head.score) == ("Blend of 5 runs", "Valid AUC")
    assert head.value == f"{valid['value']:.4f}"
    low = valid["value"] - 1.96 * valid["error"]
    assert f"95 % confidence interval {low:.4f} to" in head.meaning
    assert "OOF AUC" in [fact.name for fact in head.facts]
    assert head.alarm is None


def test_without_valid_rows_the_main_score_is_oof(made_runs: Path) -> None:
    context = open_context("alpha", made_runs, made_runs)
    context = replace(context, metrics={**context.metrics, "valid": None})
    head = headline(context)
    assert (head.kind, head.score) == ("Run of 3 folds, 1 seed", "OOF AUC")
    assert "were not trained on" in head.meaning


def test_a_standard_error_that_is_unknown_is_said_to_be(made_runs: Path) -> None:
    context = open_context("alpha", made_runs, made_runs)
    valid = {**context.metrics["valid"], "error": None}
    context = replace(context, metrics={**context.metrics, "valid": valid, "alarm": "OOF differs"})
    head = headline(context)
    assert head.se == "?"
    assert "Too few users for a standard error." in head.meaning
    assert head.alarm == "OOF differs"
