"""mmctr_kit.export.record: what a tracker is told of a run."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.export.record import Record, records
from mmctr_kit.files import read_json
from mmctr_kit.report.context import MARK
from mmctr_kit.runs.run import Run
from tests.report.made import FOLDS, NAMES, TRIALS
from tests.runs.unsealed import unsealed


def record_of(root: Path, name: str, weights: bool = False) -> Record:
    (record,) = records(name, root, weights)
    return record


def test_params_are_the_resolved_recipe_by_dotted_key(exported_runs: Path) -> None:
    params = record_of(exported_runs, "beta").params
    recipe = yaml.safe_load((exported_runs / "beta" / "recipe.yaml").read_text())
    assert params["training.learning_rate"] == recipe["training"]["learning_rate"] == 0.002
    assert json.loads(str(params["model.mlp_hidden"])) == recipe["model"]["mlp_hidden"]
    assert (params["model.name"], params["model.use_history"]) == ("din", True)
    assert len(params) == sum(len(v) if isinstance(v, dict) else 1 for v in recipe.values())


def test_every_score_has_its_standard_error_beside_it(exported_runs: Path) -> None:
    run, metrics = Run(exported_runs / "alpha"), record_of(exported_runs, "alpha").metrics
    assert run.valid_auc is not None
    assert run.oof_auc is not None
    assert (metrics["valid_auc"], metrics["valid_auc_se"]) == (
        run.valid_auc.value,
        run.valid_auc.se,
    )
    assert (metrics["oof_auc"], metrics["oof_auc_se"]) == (run.oof_auc.value, run.oof_auc.se)
    stored = run.metrics["valid_logloss"]
    assert metrics["valid_logloss"] == stored["value"]
    assert metrics["valid_logloss_se"] == stored["error"]
    assert metrics["test_tied_share"] == run.metrics["test_tied_share"]


def test_each_fold_model_has_its_curves(exported_runs: Path) -> None:
    record = record_of(exported_runs, "alpha")
    assert set(record.curves) == {f"{fold}-0" for fold in range(FOLDS)}
    lines = Run(exported_runs / "alpha").epochs()["1-0"]
    expected = tuple((line["epoch"], line["holdout_auc"]) for line in lines)
    assert record.curves["1-0"]["holdout_auc"] == expected
    assert "best" not in record.curves["1-0"]
    assert list(record.steps()) == [1, 2, 3]
    assert record.steps()[2]["train_loss/2-0"] == pytest.approx(0.5)


def test_the_tags_say_what_the_run_is_of(exported_runs: Path) -> None:
    record = record_of(exported_runs, "alpha")
    assert record.tags["kind"] == "cv"
    assert record.tags["fingerprint.recipe"] == "recipe alpha"
    assert record.tags["fingerprint.data"] == "rows"
    assert (record.tags["seeds"], record.tags["environment.device"]) == ("0", "CPU")
    full = record.full_tags()
    assert (full["mmctr_kit.kind"], full["mmctr_kit.key"]) == ("cv", record.key)
    assert full["mmctr_kit.digest"] == record.digest


def test_a_blend_names_its_runs_by_the_keys_that_they_are_exported_with(
    exported_runs: Path,
) -> None:
    mix = record_of(exported_runs, "mix")
    assert mix.tags["kind"] == "blend"
    assert mix.params["blend.method"] == "mean"
    for name in NAMES:
        assert mix.tags[f"member.{name}"] == record_of(exported_runs, name).key
        assert f"blend.adds.{name}_se" in mix.metrics
    assert "blend.json" in mix.files


def test_a_study_comes_with_its_trials_and_its_finalists(exported_runs: Path) -> None:
    study, *others = records("small", exported_runs, False)
    stored = read_json(exported_runs / "small.study" / "study.json")
    trials = [r for r in others if r.tags["kind"] == "trial"]
    (finalist,) = [r for r in others if r.tags["kind"] == "cv"]
    assert study.tags["kind"] == "study"
    assert (study.metrics["chosen.valid_auc"], study.metrics["chosen.valid_auc_se"]) == (0.75, 0.01)
    assert study.params["best.items.text_dim"] == 16
    assert {r.parent for r in others} == {study.key}
    assert {r.tags["study"] for r in others} == {"small"}
    assert len(trials) == len(stored["trials"]) == TRIALS
    assert trials[2].params == stored["trials"][2]["params"]
    assert trials[2].metrics["auc_se"] == 0.002
    assert trials[2].curves[""]["intermediate_auc"] == ((0, 0.7), (1, 0.71))
    assert trials[3].tags["state"] == "pruned"
    assert trials[3].metrics == {}
    assert finalist.name == "small-finalist-7"
    assert len({r.key for r in [study, *others]}) == TRIALS + 2


def test_a_copied_or_renamed_run_is_the_same_run(exported_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(exported_runs / "alpha", tmp_path / "renamed")
    first, second = record_of(exported_runs, "alpha"), record_of(tmp_path, "renamed")
    assert first.key == second.key
    assert first.key != record_of(exported_runs, "beta").key


def test_a_study_is_the_same_by_whatever_name_its_database_is_reached(
    exported_runs: Path, tmp_path: Path
) -> None:
    keys = set()
    for place in ("postgresql://db/tuning", "postgresql://10.0.0.1/tuning"):
        copy = tmp_path / place.split("/")[2] / "small.study"
        shutil.copytree(exported_runs / "small.study", copy)
        unsealed(copy)
        settings = read_json(copy / "settings.json")
        (copy / "settings.json").write_text(json.dumps({**settings, "storage": place}))
        keys.add(records("small", copy.parent, False)[0].key)
    assert len(keys) == 1


def test_the_digest_changes_with_whatever_is_exported_and_with_nothing_else(
    exported_runs: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "alpha"
    shutil.copytree(exported_runs / "alpha", copy)
    before = record_of(tmp_path, "alpha")
    assert before.digest == record_of(exported_runs, "alpha").digest
    (unsealed(copy) / "timings.json").write_text("{}")
    assert record_of(tmp_path, "alpha").digest == before.digest
    (tmp_path / "alpha.html").write_text(f"<!DOCTYPE html>\n{MARK}\n")
    with_page = record_of(tmp_path, "alpha")
    assert with_page.files["report.html"] == tmp_path / "alpha.html"
    assert with_page.key == before.key
    assert with_page.digest != before.digest


def test_another_version_of_the_kit_finds_its_copies_again(
    exported_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identities() -> list[tuple[str, str]]:
        names = ("alpha", "mix", "small")
        return [(r.key, r.digest) for n in names for r in records(n, exported_runs, False)]

    before = identities()
    monkeypatch.setattr("mmctr_kit.data.hashing.__version__", "9.9")
    assert identities() == before


def test_weights_are_files_only_if_they_are_asked_for(exported_runs: Path, tmp_path: Path) -> None:
    unsealed(shutil.copytree(exported_runs / "alpha", tmp_path / "alpha"))
    (tmp_path / "alpha" / "folds" / "0-0" / "weights.safetensors").write_bytes(b"weights")
    assert set(record_of(tmp_path, "alpha").files) == {
        "recipe.yaml",
        "metrics.json",
        "manifest.json",
    }
    assert "folds/0-0/weights.safetensors" in record_of(tmp_path, "alpha", True).files


def test_another_file_of_a_page_s_name_is_left_alone(exported_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(exported_runs / "alpha", tmp_path / "alpha")
    (tmp_path / "alpha.html").write_text("mine")
    assert "report.html" not in record_of(tmp_path, "alpha").files


def test_what_is_unfinished_or_absent_is_refused_in_one_line(
    exported_runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(exported_runs / "alpha", tmp_path / "alpha")
    (tmp_path / "alpha" / "DONE").unlink()
    with pytest.raises(RunError, match="run 'alpha' is unfinished; repeat the command"):
        records("alpha", tmp_path, False)
    shutil.copytree(exported_runs / "small.study", tmp_path / "small.study")
    (tmp_path / "small.study" / "study.json").unlink()
    with pytest.raises(RunError, match=r"study 'small.study' is unfinished; repeat the command"):
        records("small", tmp_path, False)
    with pytest.raises(UsageError, match=r"no run 'gamm' \(did you mean gamma\?\)"):
        records("gamm", exported_runs, False)
