"""What ``tune`` says in the end: what differs from the recipe, and which numbers compare."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.cli.study_table import print_summary
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.tuning.finalists import Finalist
from mmctr_kit.tuning.summary import Summary

POINT = {"items.embedding": "separate_pca", "training.epochs": 10, "model.mlp_hidden": [64, 32]}


def summary(changes: dict[str, Any], seeds: tuple[int, ...] = (1, 2, 3)) -> Summary:
    found = [Estimate(v, 0.0027, 40_000) for v in (0.7551, 0.7624, 0.7542, 0.7731)]
    finalist = Finalist(0, POINT, changes, *found)
    auc = {"value": 0.7551, "error": 0.0027, "n": 40_000}
    trial = {"number": 0, "state": "complete", "value": 0.7524, "auc": auc}
    return Summary("s", "r", 3, {}, {}, (trial,), {}, (finalist,), seeds)


def printed(told: Summary, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_summary(told, Path("runs/s.study"))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_the_recipe_itself_changed_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(summary({}), capsys)
    assert "  nothing: the recipe as it is was best" in lines
    assert not [line for line in lines if "=" in line]


def test_what_differs_from_the_recipe_is_said_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(summary({"training.epochs": 10}), capsys)
    assert [line for line in lines if "=" in line] == ["  training.epochs=10"]


def test_one_seeds_numbers_stand_side_by_side_and_the_seeds_mean_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(summary({}), capsys)
    head = next(line for line in lines if line.lstrip().startswith("trial "))
    assert head.split() == [
        "trial",
        "a",
        "seed:",
        "search",
        "again",
        "mean",
        "of",
        "3:",
        "OOF",
        "valid",
    ]
    row = lines[lines.index(head) + 1]
    found = [float(word) for word in row.split() if word.startswith("0.")]
    assert found == [0.7551, 0.7542, 0.7624, 0.7731]
    assert row.count("±") == 4


def test_of_one_new_seed_there_is_no_mean_to_tell_apart(capsys: pytest.CaptureFixture[str]) -> None:
    once = summary({}, (1,))
    final = once.finalists[0]
    lines = printed(replace(once, finalists=(replace(final, one_seed=final.oof),)), capsys)
    assert "mean of" not in "\n".join(lines)
