"""``mmctr-kit runs diff``: keys and paired scores of two runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit.api.overview import compare_runs
from mmctr_kit.cli.runs.show import SCORES
from mmctr_kit.metrics.estimate import Estimate
from tests.cli.conftest import run


def test_two_runs_differ_in_keys_and_by_a_paired_gap(work: Path) -> None:
    root = ("--runs", str(work / "runs"))
    output = run("runs", "diff", "din_demo", "din_demo_e4", *root).output
    content = json.loads(run("runs", "diff", "din_demo", "din_demo_e4", "--json", *root).output)
    assert max(map(len, output.splitlines())) <= 80
    assert "items.embedding" in output
    assert content["recipe"]["name"] == {"a": "din_demo", "b": "din_demo_e4"}
    valid = content["scores"]["valid"]
    gap = Estimate.from_json(valid["difference"])
    assert abs(gap.value - (valid["b"]["value"] - valid["a"]["value"])) < 1e-12
    assert gap.compact(signed=True) in output
    assert content["scores"].keys() == {*SCORES} - {"recipe_valid", "recipe_oof"}
    assert all(score["difference"]["error"] > 0 for score in content["scores"].values())
    assert "not paired" not in output


def test_a_difference_that_cannot_be_paired_says_so(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = compare_runs("din_demo", "din_demo_e4", runs=work / "runs")
    one = Estimate(0.6, 0.1, 9)
    scores = {"valid": (one, one), "recipe_valid": (one, one), "oof": (one, None)}
    other = replace(known, scores=scores, gaps={})
    monkeypatch.setattr("mmctr_kit.api.overview.compare_runs", lambda *_, **__: other)
    output = run("runs", "diff", "a", "b").output
    rows = [line.split("  ")[-1].strip() for line in output.splitlines() if "AUC  " in line]
    assert rows == ["not paired", "not paired", "-"]
    assert "valid AUC: no difference is shown, since the runs have different rows" in output


def test_a_run_is_like_itself_and_a_blend_has_no_recipe(work: Path) -> None:
    root = ("--runs", str(work / "runs"))
    same = run("runs", "diff", "din_demo", "din_demo", *root).output
    assert "recipe: the same" in same
    assert "+0.0000 ± 0" in same or "+0.0000 ±.0000" in same
    assert "a blend or an import has none" in run("runs", "diff", "din_demo", "both", *root).output


def test_of_two_kinds_of_models_the_keys_of_only_one_are_counted(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = compare_runs("din_demo", "din_demo_e4", runs=work / "runs")
    keys = {"training.epochs": (2, 3), "model.se": (True, "absent"), "model.l2": ("absent", 1.0)}
    keys |= {"model.leaves": ("absent", 8)}
    for more, shown in (({}, True), ({"model.name": ("din", "gbdt")}, False)):
        other = replace(known, recipe=keys | more)
        monkeypatch.setattr("mmctr_kit.api.overview.compare_runs", lambda *_, to=other, **__: to)
        output = run("runs", "diff", "a", "b").output
        assert "training.epochs" in output
        assert ("model.se" in output) == ("model.l2" in output) == shown
        line = "only A has 1 more key, only B 2; --json lists them"
        assert (line in output) != shown
        assert "model.se" in run("runs", "diff", "a", "b", "--json").output
