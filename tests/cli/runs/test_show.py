"""``mmctr-kit runs show``: where a run comes from, for people and for scripts."""

import json
import shutil
from pathlib import Path

import pytest

from mmctr_kit.cli.app import main
from mmctr_kit.runs.fold_models import fold_models
from mmctr_kit.runs.importance import feature_importance
from mmctr_kit.runs.run import Run
from tests.cli.conftest import mistake, run
from tests.report.made import FEATURES, make_importance
from tests.runs.unsealed import unsealed


def test_a_run_is_shown_with_scores_folds_and_where_it_comes_from(
    work: Path, tiny_root: Path
) -> None:
    root = ("--runs", str(work / "runs"))
    output = run("runs", "show", "din_demo", *root).output
    found = Run(work / "runs" / "din_demo")
    lineage = found.lineage
    assert lineage is not None
    flat = " ".join(output.split())
    assert output.startswith("din_demo: cv run, finished\n")
    for text in (f"valid AUC {found.valid_auc}", f"OOF AUC {found.oof_auc}", lineage.host):
        assert text in flat
    assert f"data {tiny_root / 'data'}" in flat
    assert "resumed never" in flat
    assert "rules kept: none; unclear: Task1&2; breached: Task1, Task2" in flat
    assert "0-0 finished" in flat
    content = json.loads(run("runs", "show", "din_demo", "--json", *root).output)
    assert content["lineage"]["data"] == str(tiny_root / "data")
    assert content["scores"]["valid"] == found.metrics["valid"]
    assert [state["finished"] for state in content["folds"]] == [True] * len(content["folds"])
    assert json.loads(run("runs", "--json", *root, "show", "din_demo").output) == content


def test_a_run_is_shown_with_what_each_fold_model_and_each_feature_is_worth(
    work: Path, tmp_path: Path
) -> None:
    found = Run(shutil.copytree(work / "runs" / "din_demo", tmp_path / "trees"))
    make_importance(found)
    output = run("runs", "show", "trees", "--runs", str(tmp_path)).output
    lines = [line.split() for line in output.splitlines()]
    for model in fold_models(found):
        assert model.oof is not None
        name, rows = f"{model.fold}-{model.seed}", f"{model.oof_rows:,}"
        assert [name, rows, *model.oof.compact().split()] in [line[:4] for line in lines]
    best = feature_importance(found)[0]
    assert best.drop is not None
    assert [best.name, *best.drop.compact(signed=True).split()] in [line[:3] for line in lines]
    assert f"{FEATURES - 10} more features" in output
    content = json.loads(run("runs", "show", "trees", "--json", "--runs", str(tmp_path)).output)
    assert len(content["features"]) == FEATURES
    assert [m["oof_rows"] for m in content["models"]] == [m.oof_rows for m in fold_models(found)]


def test_a_blend_names_its_sources_and_where_they_are(work: Path) -> None:
    output = " ".join(run("runs", "show", "both", "--runs", str(work / "runs")).output.split())
    for name in ("din_demo", "din_demo_e4"):
        assert f"made of {name} ({work / 'runs' / name})" in output


def test_the_command_that_goes_on_is_one_line_to_copy(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(work / "runs" / "din_demo", tmp_path / "half")
    (tmp_path / "half" / "DONE").unlink()
    timings = json.loads((tmp_path / "half" / "timings.json").read_text())
    line = f"mmctr-kit cv din_demo --name half --data {'d' * 90}"
    timings["lineage"]["command"] = line
    del timings["check"]
    (tmp_path / "half" / "timings.json").write_text(json.dumps(timings))
    output = run("runs", "show", "half", "--runs", str(tmp_path)).output
    assert [row.split(maxsplit=2)[2] for row in output.splitlines() if "to resume" in row] == [line]
    code, error = mistake(capsys, "slices", "half", "--runs", str(tmp_path))
    assert code == 1
    assert f"to go on with it: {line}" in " ".join(error.split())


def test_the_command_line_is_what_was_typed(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["blend", "din_demo", "din_demo_e4", "--name", "mine", "--runs", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["mmctr-kit", *words])
    for name in ("din_demo", "din_demo_e4"):
        (tmp_path / name).symlink_to(work / "runs" / name)
    with pytest.raises(SystemExit):
        main()
    lineage = Run(tmp_path / "mine").lineage
    assert lineage is not None
    assert lineage.command == " ".join(["mmctr-kit", *words])


def test_an_earlier_versions_run_says_that_it_recorded_nothing(work: Path, tmp_path: Path) -> None:
    unsealed(shutil.copytree(work / "runs" / "din_demo", tmp_path / "old"))
    (tmp_path / "old" / "timings.json").write_text("{}")
    output = run("runs", "show", "old", "--runs", str(tmp_path)).output
    assert "not recorded: begun by an earlier version of mmctr-kit" in output


def test_one_seeds_recipe_score_is_said_to_be_unknown_and_not_shown_twice(work: Path) -> None:
    output = run("runs", "show", "din_demo", "--runs", str(work / "runs")).output
    assert "recipe's valid AUC" not in output
    assert "recipe's AUC: n/a, since one seed does not show how far seeds differ" in output
    assert "?" not in output.split("score ")[1].split("fold model ")[0]
