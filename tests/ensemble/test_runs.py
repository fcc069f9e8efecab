"""Blending run folders: of the same rows and folds only, and a blend is a run again."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmctr_kit.data.contract import FoldsBy
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import assign_folds, fold_fingerprint, user_folds
from mmctr_kit.ensemble.methods.catalogue import METHODS, WITH_CONTEXT, Method
from mmctr_kit.ensemble.runs import blend_report, blend_runs, stack_of
from mmctr_kit.ensemble.runs import read_predictions as read
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.metrics.auc import auc, rank_correlation
from mmctr_kit.runs.lineage import begin_lineage, write_lineage
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions, predictions_for
from mmctr_kit.runs.run import Run, all_runs
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.writer import begin_run
from tests.runs.unsealed import unsealed

FOLDS = 3
PLAIN = [m for m in METHODS if m not in WITH_CONTEXT]
BLENDS = [m for m in PLAIN if m != "best"]
USERS = 250
LABEL = np.tile(np.array([1, 0, 0, 0], np.int8), USERS)


def keys(first: int) -> Keys:
    user = np.repeat(np.arange(first, first + USERS), 4)
    item = np.arange(1, len(user) + 1, dtype=np.int32)
    return Keys(user, item, np.zeros(len(user), np.int32))


def made_up(seed: int, oof: bool = True, folds: int = FOLDS, fold_seed: int = 0) -> Predictions:
    """Logits with a signal of their own noise, on a scale of their own."""
    rng = np.random.default_rng(seed)
    train, scale = keys(0), rng.uniform(0.5, 3)
    fold = user_folds(train.user_id, folds, fold_seed)
    out = OutOfFold(train, LABEL, fold, scale * (LABEL + rng.normal(size=len(LABEL))) - 1)
    rows = folds if oof else 1
    valid, test = (scale * (LABEL + rng.normal(size=(rows, len(LABEL)))) - 1 for _ in "vt")
    return Predictions(out if oof else None, keys(10_000), LABEL, valid, keys(20_000), test)


def without_valid(found: Predictions) -> Predictions:
    none = found.valid[:, :0]
    return replace(found, valid_keys=Keys.none(), valid_label=LABEL[:0], valid=none)


Write = Callable[..., Run]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(name, predictions, **manifest)`` makes a finished run."""

    def run(name: str, found: Predictions, **changes: Any) -> Run:
        folds = "" if found.oof is None else fold_fingerprint(found.oof.fold)
        manifest = Manifest("cv", rows="rows", features=name, folds=folds, recipe=name)
        writer = begin_run(tmp_path / name, replace(manifest, **changes), None, False)
        assert writer is not None
        return writer.finish(found, score_predictions(found), {})

    return run


@pytest.fixture
def pair(write: Write) -> list[Run]:
    return [write("a", made_up(1)), write("b", made_up(2))]


@pytest.mark.parametrize("method", BLENDS)
def test_a_blend_is_a_finished_run_that_beats_its_parts(
    pair: list[Run], tmp_path: Path, method: Method
) -> None:
    made = blend_runs(pair, method, tmp_path / "both", False)
    assert made is not None
    run, result = made
    assert run.finished
    found = run.predictions()
    parts = [auc(LABEL, r.predictions().valid_mean()) for r in pair]
    assert auc(LABEL, found.valid_mean()) > max(parts)
    assert found.oof is not None
    np.testing.assert_array_equal(found.oof.logit, result.oof)
    np.testing.assert_array_equal(found.test, result.test)
    assert found.valid.shape[0] == FOLDS
    manifest = run.manifest
    assert (manifest.kind, manifest.sources, manifest.rows) == ("blend", ("a", "b"), "rows")
    assert manifest.folds == pair[0].manifest.folds
    report = json.loads((run.path / "blend.json").read_text())
    assert report["runs"] == ["a", "b"]
    assert report["method"] == method


def test_rows_shuffled_in_one_runs_files_meet_by_key(pair: list[Run], tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = blend_runs(pair, "mean", tmp_path / "one", False)
    for name in ("oof", "valid", "test"):
        path = unsealed(pair[1].path) / f"{name}.parquet"
        table = pq.read_table(path)
        order = np.random.default_rng(0).permutation(len(table))
        pq.write_table(table.take(pa.array(order)), path)
    second = blend_runs(pair, "mean", tmp_path / "two", False)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first[1].valid, second[1].valid)
    np.testing.assert_array_equal(first[1].oof, second[1].oof)


def test_the_same_blend_is_left_alone_and_another_needs_force(
    pair: list[Run], tmp_path: Path
) -> None:
    path = tmp_path / "both"
    assert blend_runs(pair, "mean", path, False) is not None
    assert blend_runs(pair, "mean", path, False) is None
    with pytest.raises(
        RunError, match="exists but differs in its method, its options, or the pred"
    ):
        blend_runs(pair, "rank", path, False)
    with pytest.raises(
        RunError, match=r"exists but differs in the runs it blends \(a, b there; b, a now\)"
    ):
        blend_runs(pair[::-1], "mean", path, False)
    assert blend_runs(pair, "rank", path, True) is not None


def test_a_blend_knows_which_of_its_runs_were_made_again_otherwise(
    pair: list[Run], write: Write, tmp_path: Path
) -> None:
    made = blend_runs(pair, "mean", tmp_path / "both", False)
    assert made is not None
    assert made[0].remade_sources == []
    shutil.rmtree(pair[1].path)
    assert made[0].remade_sources == []  # it is gone, which is another matter
    write("b", made_up(2))
    assert made[0].remade_sources == []
    shutil.rmtree(pair[1].path)
    write("b", made_up(3))
    assert made[0].remade_sources == ["b"]


def test_a_blend_can_be_blended_again(pair: list[Run], write: Write, tmp_path: Path) -> None:
    made = blend_runs(pair, "mean", tmp_path / "both", False)
    assert made is not None
    again = blend_runs([made[0], write("c", made_up(3))], "mean", tmp_path / "more", False)
    assert again is not None
    assert again[0].manifest.sources == ("both", "c")
    before, after = (auc(LABEL, r.predictions().valid_mean()) for r in (made[0], again[0]))
    assert after > before


def test_one_run_alone_blends_to_its_own_order(pair: list[Run], tmp_path: Path) -> None:
    made = blend_runs(pair[:1], "auto", tmp_path / "one", False)
    assert made is not None
    before, after = (r.predictions().valid[0] for r in (pair[0], made[0]))
    np.testing.assert_array_equal(np.argsort(before), np.argsort(after))


@pytest.mark.parametrize("method", ["auto", "mean", "rank"])
def test_a_run_without_oof_can_be_averaged_and_ranked(
    pair: list[Run], write: Write, tmp_path: Path, method: Any
) -> None:
    theirs = write("theirs", made_up(3, oof=False), kind="imported")
    made = blend_runs([*pair, theirs], method, tmp_path / "all", False)
    assert made is not None
    run, result = made
    assert run.predictions().oof is None
    assert run.manifest.folds == ""
    assert result.method == ("rank" if method == "rank" else "mean")
    parts = [auc(LABEL, r.predictions().valid_mean()) for r in (*pair, theirs)]
    assert run.metrics["valid"]["value"] > max(parts)
    again = blend_runs([run, pair[0]], "mean", tmp_path / "again", False)
    assert again is not None


@pytest.mark.parametrize("method", ["auto", *BLENDS])
def test_a_run_without_valid_rows_leaves_a_blend_without_them(
    pair: list[Run], write: Write, tmp_path: Path, method: Any
) -> None:
    theirs = write("theirs", without_valid(made_up(3)), kind="imported")
    made, other = (
        blend_runs(runs, method, tmp_path / name, False)
        for name, runs in (("all", [*pair, theirs]), ("turned", [theirs, *pair]))
    )
    assert made is not None
    assert other is not None
    for run in (made[0], other[0]):
        found = run.predictions()
        assert not found.has_valid
        assert len(found.valid_keys) == len(found.valid_label) == 0
        assert run.metrics["valid"] is None
        parts = [auc(LABEL, r.predictions().test_mean()) for r in (*pair, theirs)]
        assert auc(LABEL, found.test_mean()) > max(parts)
    full = blend_runs([*pair, write("same", made_up(3))], method, tmp_path / "full", False)
    assert full is not None
    np.testing.assert_array_equal(full[1].test, made[1].test)
    assert blend_runs([made[0], pair[0]], "mean", tmp_path / "again", False) is not None


@pytest.mark.parametrize("method", ["auto", "mean", "rank"])
def test_runs_with_neither_oof_nor_valid_count_alike_whatever_their_scale(
    pair: list[Run], write: Write, tmp_path: Path, method: Any
) -> None:
    bare = without_valid(made_up(3, oof=False))
    scaled = replace(bare, test=500 * bare.test + 9)
    tests = []
    for found in (bare, scaled):
        theirs = write(f"theirs{len(tests)}", found, kind="imported")
        made = blend_runs([*pair, theirs], method, tmp_path / f"all{len(tests)}", False)
        assert made is not None
        assert made[0].metrics["valid"] is None
        tests.append(made[0].predictions().test_mean())
    assert rank_correlation(tests[0], tests[1]) > 0.999
    assert auc(LABEL, tests[0]) > max(auc(LABEL, r.predictions().test_mean()) for r in pair)


def test_a_blend_covers_the_content_of_its_parts_not_only_their_recipes(
    pair: list[Run], write: Write, tmp_path: Path
) -> None:
    before = pair[1].predictions()
    assert before.oof is not None
    assert blend_runs(pair, "mean", tmp_path / "both", False) is not None
    for changed in (
        replace(before, test=before.test + 1e-9),
        replace(before, valid=before.valid + 1e-9),
        replace(before, oof=replace(before.oof, logit=before.oof.logit + 1e-9)),
    ):
        shutil.rmtree(pair[1].path)
        write("b", changed)
        with pytest.raises(
            RunError, match="exists but differs in its method, its options, or the pred"
        ):
            blend_runs(pair, "mean", tmp_path / "both", False)
    shutil.rmtree(pair[1].path)
    write("b", before)
    assert blend_runs(pair, "mean", tmp_path / "both", False) is None


def test_a_blend_of_a_run_without_fold_models_valid_knows_none_either(
    pair: list[Run], tmp_path: Path
) -> None:
    made = blend_runs(pair, "mean", tmp_path / "known", False)
    assert made is not None
    assert "fold_models_valid" in made[0].metrics
    path = unsealed(pair[1].path) / "metrics.json"
    metrics = json.loads(path.read_text())
    del metrics["fold_models_valid"]
    path.write_text(json.dumps(metrics))
    made = blend_runs(pair, "mean", tmp_path / "unknown", False)
    assert made is not None
    assert "fold_models_valid" not in made[0].metrics
    assert made[0].metrics["alarm"] is None


def test_a_finished_blend_tells_what_it_told_when_it_was_made(
    pair: list[Run], tmp_path: Path
) -> None:
    made = blend_runs(pair, "rank", tmp_path / "both", False)
    assert made is not None
    run, result = made
    report = blend_report(Run(run.path))
    assert (report["method"], report["reason"]) == ("rank", result.reason)
    assert report["weights"] == {"a": 0.5, "b": 0.5}
    assert report["scores"].keys() == {"mean", "rank"}


@pytest.mark.parametrize("method", ["greedy", "lightgbm"])
def test_a_run_without_oof_cannot_be_learnt_from_and_nothing_is_left(
    pair: list[Run], write: Write, tmp_path: Path, method: Any
) -> None:
    theirs = write("theirs", made_up(3, oof=False), kind="imported")
    before = [r.name for r in all_runs(tmp_path)]
    with pytest.raises(RunError, match=f"'{method}' learns from OOF .* of theirs: .*mean or rank"):
        blend_runs([*pair, theirs], method, tmp_path / "all", False)
    assert [r.name for r in all_runs(tmp_path)] == before


def test_a_blend_that_fails_leaves_the_run_that_force_would_replace(
    pair: list[Run], write: Write, tmp_path: Path
) -> None:
    made = blend_runs(pair, "mean", tmp_path / "both", False)
    assert made is not None
    theirs = write("theirs", made_up(3, oof=False), kind="imported")
    with pytest.raises(RunError, match="learns from OOF"):
        blend_runs([*pair, theirs], "greedy", tmp_path / "both", True)
    assert Run(tmp_path / "both").manifest == made[0].manifest
    assert Run(tmp_path / "both").finished


@pytest.mark.parametrize("force", [False, True])
def test_a_blend_never_replaces_a_part_of_itself(
    pair: list[Run], tmp_path: Path, force: bool
) -> None:
    with pytest.raises(UsageError, match="'a' is part of the blend; choose another --name"):
        blend_runs(pair, "mean", tmp_path / "a", force)
    assert Run(tmp_path / "a").manifest == pair[0].manifest


def test_runs_of_other_rows_or_folds_are_refused_by_name(
    pair: list[Run], write: Write, tmp_path: Path
) -> None:
    others = {
        "different rows or labels": write("rows", made_up(3), rows="other"),
        "different folds": write("folds", made_up(3, fold_seed=1)),
        "have different folds": write("count", made_up(3, folds=4)),
    }
    for fault, other in others.items():
        with pytest.raises(RunError, match=f"runs a and {other.name} .*{fault}"):
            blend_runs([pair[0], other], "mean", tmp_path / "both", False)
    with pytest.raises(UsageError, match="a is named twice"):
        blend_runs([pair[0], pair[0]], "mean", tmp_path / "both", False)
    with pytest.raises(UsageError, match="a blend needs one run or more"):
        blend_runs([], "mean", tmp_path / "both", False)
    assert not (tmp_path / "both").exists()


def test_runs_of_other_rows_are_named_with_their_folders_and_data(
    write: Write, tmp_path: Path
) -> None:
    here, there = write("a", made_up(1)), write("b", made_up(2), rows="other")
    for run, data in ((here, "data"), (there, "other/data")):
        (run.path / "timings.json").unlink()
        write_lineage(run.path, begin_lineage(tmp_path / data, None), {})
    told = f"a (of {tmp_path}/data) and b (of {tmp_path}/other/data) have different rows"
    with pytest.raises(RunError, match=re.escape(f"runs {told}")):
        blend_runs([here, there], "mean", tmp_path / "both", False)
    moved = Run(shutil.copytree(there.path, tmp_path / "far" / "b"))
    told = f"{tmp_path}/a (of {tmp_path}/data) and {tmp_path}/far/b (of {tmp_path}/other/data)"
    with pytest.raises(RunError, match=re.escape(f"runs {told} have different rows")):
        blend_runs([here, moved], "mean", tmp_path / "both", False)


def test_predictions_are_compared_row_by_row_whatever_the_manifests_say() -> None:
    first, second = made_up(1), made_up(2)
    assert second.oof is not None
    for part in ("valid_keys", "test_keys"):
        shifted = replace(getattr(second, part), item_id=getattr(second, part).item_id + 1)
        with pytest.raises(RunError, match=f"a and b: {part[:4]}.* rows differ"):
            stack_of(["a", "b"], [first, replace(second, **{part: shifted})])
    fold = (second.oof.fold + 1) % FOLDS
    turned = replace(second, oof=replace(second.oof, fold=fold.astype(np.int16)))
    with pytest.raises(RunError, match="runs a and b have different folds"):
        stack_of(["a", "b"], [first, turned])
    users = replace(second.oof.keys, user_id=second.oof.keys.user_id + 1)
    moved = replace(second, oof=replace(second.oof, keys=users))
    with pytest.raises(RunError, match="a and b: OOF rows differ"):
        stack_of(["a", "b"], [first, moved])


def test_equal_rows_are_held_once_however_many_runs_and_others_are_not(write: Write) -> None:
    other = made_up(3, fold_seed=1)
    parts = [write("a", made_up(1)), write("b", made_up(2)), write("c", other)]
    first, same, different = read(parts)
    assert first.oof is not None
    assert same.oof is not None
    assert different.oof is not None
    assert same.oof.keys is first.oof.keys
    assert same.oof.fold is first.oof.fold
    assert same.test_keys is first.test_keys
    assert not np.array_equal(same.oof.logit, first.oof.logit)
    assert different.oof.fold is not first.oof.fold
    np.testing.assert_array_equal(different.digest(), parts[2].predictions().digest())


def test_features_may_differ(write: Write, tmp_path: Path) -> None:
    runs = [write("a", made_up(1), features="v1"), write("b", made_up(2), features="e4")]
    assert blend_runs(runs, "mean", tmp_path / "both", False) is not None


def test_a_run_whose_oof_file_was_lost_is_not_blended_as_one_that_had_none(
    pair: list[Run], tmp_path: Path
) -> None:
    (unsealed(pair[0].path) / "oof.parquet").unlink()
    with pytest.raises(RunError, match=r"lacks its oof\.parquet"):
        blend_runs(pair, "mean", tmp_path / "blend", False)
    assert not (tmp_path / "blend").exists()


def test_runs_that_are_never_wrong_are_blended_though_their_error_is_0(
    tmp_path: Path, write: Write
) -> None:
    def perfect(seed: int) -> Predictions:
        found = made_up(seed)
        assert found.oof is not None
        apart = np.where(found.oof.label == 1, 2.0, -2.0)
        logit = apart + np.linspace(0.0, 1e-3, len(LABEL))
        return replace(found, oof=replace(found.oof, logit=logit))

    runs = [write("a", perfect(1)), write("b", perfect(2))]
    made = blend_runs(runs, "auto", tmp_path / "mix", False)
    assert made is not None
    above = blend_report(made[0])["above_chance"]
    assert {*above} == {*made[1].scores}
    assert above["mean"] is None


@pytest.mark.parametrize("by", ["time", "item"])
def test_runs_of_other_folds_blend_by_key_with_the_context_of_the_data(
    timed: ChallengeData, write: Write, tmp_path: Path, by: FoldsBy
) -> None:
    fold = assign_folds(timed.train, by, FOLDS, 0)

    def made(seed: int) -> Predictions:
        rng = np.random.default_rng(seed)
        oof = timed.train.labels() + rng.normal(size=len(fold))
        valid, test = (rng.normal(size=(FOLDS, len(r))) for r in (timed.valid, timed.test))
        return predictions_for(timed, oof, fold, valid + timed.valid.labels(), test)

    facts = {"rows": timed.rows_fingerprint, "folds": fold_fingerprint(fold, by)}
    runs = [write(name, made(seed), **facts) for seed, name in enumerate("ab")]
    blended = blend_runs(runs, "lightgbm-context", tmp_path / "both", False, data=timed)
    assert blended is not None
    oof = blended[0].predictions().oof
    assert oof is not None
    np.testing.assert_array_equal(oof.folds_of(timed.train), fold)
    assert blended[0].metrics["oof"]["value"] > max(r.metrics["oof"]["value"] for r in runs)
    assert blended[0].metrics["alarm"] is None
    other = write("c", made_up(3), rows=timed.rows_fingerprint)
    with pytest.raises(RunError, match=r"different folds; .*folds.by"):
        blend_runs([runs[0], other], "mean", tmp_path / "none", False)
