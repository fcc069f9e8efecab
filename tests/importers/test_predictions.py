"""Somebody's predictions become a run whose rows are the data's, by key."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.folds import fold_fingerprint, user_folds
from mmctr_kit.errors import DataError, RunError, UsageError
from mmctr_kit.importers.predictions import import_predictions, run_of
from mmctr_kit.runs.run import Run

FOLDS = 3
Frames = dict[str, pd.DataFrame]


def _keyed(rows: Rows, rng: np.random.Generator) -> pd.DataFrame:
    columns = {
        "user_id": rows.user_id,
        "item_id": rows.item_id,
        "occurrence": rows.occurrence,
        "logit": rows.labels() + rng.normal(size=len(rows)),
    }
    return pd.DataFrame(columns)


@pytest.fixture
def frames(tiny: ChallengeData) -> Frames:
    rng = np.random.default_rng(0)
    oof = _keyed(tiny.train, rng)
    oof["fold"] = user_folds(tiny.train.user_id, FOLDS, 0)
    test = pd.DataFrame({"ID": np.arange(len(tiny.test)), "logit": rng.normal(size=len(tiny.test))})
    return {"test": test, "valid": _keyed(tiny.valid, rng), "oof": oof}


@pytest.fixture
def make(tiny: ChallengeData, tmp_path: Path) -> Callable[..., Run | None]:
    """Write the frames as parquet (or ``suffix``) and import them."""

    def run(
        frames: Frames, suffix: str = "parquet", force: bool = False, task: str | None = None
    ) -> Run | None:
        paths: dict[str, Path] = {}
        for name, frame in frames.items():
            paths[name] = tmp_path / f"{name}.{suffix}"
            if suffix == "parquet":
                frame.to_parquet(paths[name])
            else:
                frame.to_csv(paths[name], index=False)
        oof = paths["oof"] if "oof" in frames else None
        valid = paths["valid"] if "valid" in frames else None
        target = tmp_path / "runs" / "theirs"
        return import_predictions(tiny, paths["test"], valid, oof, task, target, force)

    return run


Make = Callable[..., Run | None]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_rows_in_any_order_come_out_in_the_datas(frames: Frames, make: Make, suffix: str) -> None:
    mixed = {n: f.sample(frac=1, random_state=1) for n, f in frames.items()}
    run = make(mixed, suffix)
    assert run is not None
    found = run.predictions()
    assert found.oof is not None
    np.testing.assert_array_equal(found.oof.logit, frames["oof"]["logit"])
    np.testing.assert_array_equal(found.oof.fold, frames["oof"]["fold"])
    assert found.valid.shape[0] == found.test.shape[0] == FOLDS
    for row in range(FOLDS):
        np.testing.assert_array_equal(found.valid[row], frames["valid"]["logit"])
        np.testing.assert_array_equal(found.test[row], frames["test"]["logit"])


def test_an_import_on_our_folds_has_their_fingerprint(
    frames: Frames, make: Make, tiny: ChallengeData
) -> None:
    run = make(frames)
    assert run is not None
    assert run.manifest.folds == fold_fingerprint(user_folds(tiny.train.user_id, FOLDS, 0))
    assert run.manifest.rows == tiny.rows_fingerprint
    assert run.manifest.kind == "imported"


def test_without_oof_there_is_one_fold_and_no_oof(frames: Frames, make: Make) -> None:
    del frames["oof"]
    run = make(frames)
    assert run is not None
    found = run.predictions()
    assert found.oof is None
    assert len(found.valid) == 1
    assert run.manifest.folds == ""
    assert "oof" not in run.metrics
    assert run.metrics["valid"]["n"] == len(frames["valid"])


@pytest.mark.parametrize("with_oof", [False, True])
def test_without_valid_there_are_test_rows_and_no_valid_auc(
    frames: Frames, make: Make, with_oof: bool
) -> None:
    given = frames if with_oof else {"test": frames["test"]}
    run = make({n: f for n, f in given.items() if n != "valid"})
    assert run is not None
    found = run.predictions()
    assert not found.has_valid
    assert found.valid.shape == (FOLDS if with_oof else 1, 0)
    np.testing.assert_allclose(run.test_scores(), frames["test"]["logit"], rtol=1e-14)
    assert run.metrics["valid"] is None
    assert ("oof" in run.metrics) == with_oof
    assert make({n: f for n, f in given.items() if n != "valid"}) is None
    with pytest.raises(RunError, match="exists but differs in its predictions"):
        make(given | {"valid": frames["valid"]})


def test_a_fold_mean_is_not_reported_as_fold_models(frames: Frames, make: Make) -> None:
    # OOF that knows nothing beside a perfect valid: fold models would rightly raise the alarm.
    frames["oof"]["logit"] = np.random.default_rng(1).normal(size=len(frames["oof"]))
    frames["valid"]["logit"] *= 1e-6
    run = make(frames)
    assert run is not None
    assert "fold_models_valid" not in run.metrics
    assert run.metrics["alarm"] is None
    assert run.metrics["oof"]["n"] == len(frames["oof"])


def test_the_same_import_is_left_alone_and_another_needs_force(frames: Frames, make: Make) -> None:
    assert make(frames) is not None
    assert make(frames) is None
    frames["test"].loc[0, "logit"] += 1e-12
    with pytest.raises(RunError, match="exists but differs in its predictions"):
        make(frames)
    assert make(frames, force=True) is not None


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("name", ["probability", "score", "prediction"])
def test_probabilities_become_their_logits(frames: Frames, make: Make, name: str) -> None:
    logits = {n: f["logit"].copy() for n, f in frames.items()}
    for frame in frames.values():
        frame[name] = _sigmoid(frame.pop("logit"))
    run = make(frames)
    assert run is not None
    found = run.predictions()
    np.testing.assert_allclose(found.valid_mean(), logits["valid"], atol=1e-12)
    np.testing.assert_allclose(found.test_mean(), logits["test"], atol=1e-12)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("other", ["score", "probability"])
def test_the_logit_counts_where_predict_wrote_its_score_beside_it(
    frames: Frames, make: Make, other: str, suffix: str
) -> None:
    both = {n: f.assign(**{other: _sigmoid(f["logit"])}) for n, f in frames.items()}
    run = make(both, suffix)
    assert run is not None
    np.testing.assert_array_equal(run.predictions().test[0], frames["test"]["logit"])
    np.testing.assert_array_equal(run.predictions().valid[0], frames["valid"]["logit"])


def test_probabilities_of_0_and_1_are_finite_and_keep_their_order(
    frames: Frames, make: Make
) -> None:
    test = frames["test"]
    test["probability"] = _sigmoid(test.pop("logit"))
    ends = [0.0, 5e-324, 1e-300, 1e-20, 0.5, 1 - 1e-15, 1 - 2**-53, 1.0]
    test.loc[: len(ends) - 1, "probability"] = ends
    run = make(frames)
    assert run is not None
    logits = run.test_scores()[: len(ends)]
    assert np.isfinite(logits).all()
    assert (np.diff(logits) > 0).all()
    assert logits[4] == 0


def test_probabilities_of_0_and_1_lie_one_logit_beyond_the_others(
    frames: Frames, make: Make
) -> None:
    test = frames["test"]
    inner = test["logit"].iloc[2:]
    test["probability"] = _sigmoid(test.pop("logit"))
    test.loc[:1, "probability"] = [0.0, 1.0]
    run = make(frames)
    assert run is not None
    assert run.test_scores()[:2] == pytest.approx([inner.min() - 1, inner.max() + 1])


def test_hard_labels_alone_are_minus_one_and_one(frames: Frames, make: Make) -> None:
    test = frames["test"]
    test["probability"] = np.arange(len(test)) % 2
    run = make({**frames, "test": test.drop(columns="logit")})
    assert run is not None
    assert np.unique(run.test_scores()).tolist() == [-1, 1]


def test_a_submission_zip_is_the_test_scores(
    frames: Frames, make: Make, tiny: ChallengeData, tmp_path: Path
) -> None:
    n = len(tiny.test)
    scores = np.random.default_rng(5).random(n)
    csv = pd.DataFrame({"ID": np.arange(n), "Task1": 0.0, "Task2": scores}).to_csv(index=False)
    path = tmp_path / "theirs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("prediction.csv", csv)
    assert make(frames) is not None
    valid = tmp_path / "valid.parquet"
    run = import_predictions(tiny, path, valid, None, None, tmp_path / "runs" / "zip", False)
    assert run is not None
    np.testing.assert_allclose(_sigmoid(run.test_scores()), scores, rtol=1e-12)
    with pytest.raises(UsageError, match="no column Task1&2"):
        import_predictions(tiny, path, valid, None, "Task1&2", tmp_path / "runs" / "z", False)


def test_a_bare_submission_csv_is_the_test_scores_too(frames: Frames, make: Make) -> None:
    frames["test"]["Task2"] = _sigmoid(frames["test"].pop("logit"))
    run = make(frames, "csv")
    assert run is not None
    np.testing.assert_allclose(_sigmoid(run.test_scores()), frames["test"]["Task2"], rtol=1e-12)


def _drop(name: str, row: int = 3) -> Callable[[Frames], Frames]:
    return lambda f: f | {name: f[name].drop(index=row)}


def _repeat(name: str, row: int = 3) -> Callable[[Frames], Frames]:
    return lambda f: f | {name: pd.concat([f[name], f[name].loc[[row]]])}


def _set(name: str, column: str, value: Any, row: int = 3) -> Callable[[Frames], Frames]:
    def change(frames: Frames) -> Frames:
        frame = frames[name].copy()
        values = frame[column].tolist()
        values[row] = value
        frame[column] = values if not isinstance(value, str) else [str(v) for v in values]
        return frames | {name: frame}

    return change


def _without(name: str, column: str) -> Callable[[Frames], Frames]:
    return lambda f: f | {name: f[name].drop(columns=column)}


def _renamed(name: str, old: str, new: str) -> Callable[[Frames], Frames]:
    return lambda f: f | {name: f[name].rename(columns={old: new})}


def _random_folds(frames: Frames) -> Frames:
    rows = len(frames["oof"])
    return frames | {"oof": frames["oof"].assign(fold=np.arange(rows) % FOLDS)}


def _folds_with_a_gap(frames: Frames) -> Frames:
    return frames | {"oof": frames["oof"].assign(fold=2 * frames["oof"]["fold"])}


def _a_fold_a_user(frames: Frames) -> Frames:
    users = np.unique(frames["oof"]["user_id"], return_inverse=True)[1]
    return frames | {"oof": frames["oof"].assign(fold=users)}


def _two_scores(frames: Frames) -> Frames:
    return frames | {"valid": frames["valid"].assign(prediction=0.5)}


FAULTS: dict[str, tuple[Callable[[Frames], Frames], str]] = {
    "valid row missing": (_drop("valid"), "holds 399 rows; expected each of the 400"),
    "valid row twice": (_repeat("valid"), "holds 401 rows; expected each of the 400"),
    "oof row missing": (_drop("oof"), "expected each of the 2,000"),
    "oof row twice": (_repeat("oof"), "expected each of the 2,000"),
    "test row missing": (_drop("test"), "holds 399 IDs"),
    "test row twice": (_repeat("test"), "holds 401 IDs"),
    "test ID twice": (_set("test", "ID", 4), r"expected each of 0\.\.399 once"),
    "another user": (_set("valid", "user_id", -77), "expected each of the 400"),
    "an item that would wrap": (_set("valid", "item_id", 2**32 + 1), "expected each of the 400"),
    "text user": (
        _set("valid", "user_id", "u3"),
        "valid.*, (row 4|line 5).*: user_id is 'u3'",
    ),
    "missing user": (_set("valid", "user_id", None), "user_id is missing"),
    "fractional item": (_set("valid", "item_id", 1.5), "column item_id holds fractions"),
    "fractional occurrence": (_set("valid", "occurrence", 0.5), "occurrence holds fractions"),
    "NaN logit": (_set("valid", "logit", np.nan), "logit is missing; expected a number"),
    "infinite logit": (_set("test", "logit", np.inf), "logit is inf; expected a number"),
    "text logit": (_set("oof", "logit", "high"), "logit is 'high'; expected numbers"),
    "no user": (_without("valid", "user_id"), "lacks column user_id"),
    "no score": (_without("valid", "logit"), "0 score columns; expected one of logit"),
    "two scores": (_two_scores, "2 score col.*; leave out all but one of logit, prediction$"),
    "no ID": (_without("test", "ID"), "lacks column ID"),
    "no fold": (_without("oof", "fold"), "lacks column fold"),
    "logits named probability": (
        _renamed("valid", "logit", "probability"),
        "scores outside .*name",
    ),
    "folds of rows": (_random_folds, "one user into several folds.*grouped by user"),
    "folds with a gap": (_folds_with_a_gap, "fold must count 0, 1, 2"),
    "a fold a user": (_a_fold_a_user, "fold must count 0, 1, 2"),
    "fractional fold": (_set("oof", "fold", 0.5), "column fold holds fractions"),
    "negative fold": (_set("oof", "fold", -1), "fold must count 0, 1, 2"),
}


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_predictions_are_one_line_and_leave_no_run(
    frames: Frames, make: Make, tmp_path: Path, fault: str, suffix: str
) -> None:
    change, expected = FAULTS[fault]
    if suffix == "csv" and fault == "no ID":
        expected = "ID"
    with pytest.raises(DataError, match=expected) as caught:
        make(change(frames), suffix)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs" / "theirs").exists()


@pytest.mark.parametrize(("split", "name"), [("train", "fold 0 of train"), ("valid", "valid")])
def test_a_part_without_both_labels_is_one_line_and_leaves_no_run(
    frames: Frames, make: Make, tiny: ChallengeData, tmp_path: Path, split: Split, name: str
) -> None:
    make(frames)
    paths = {n: tmp_path / f"{n}.parquet" for n in frames}
    blank = replace(tiny.rows[split], label=np.zeros(len(tiny.rows[split]), np.int8))
    data = replace(tiny, rows={**tiny.rows, split: blank})
    target = tmp_path / "runs" / "blank"
    with pytest.raises(DataError, match=f"both labels, but {name} has"):
        import_predictions(data, paths["test"], paths["valid"], paths["oof"], None, target, False)
    assert not target.exists()


def test_without_occurrence_pairs_that_occur_once_are_enough(
    frames: Frames, make: Make, tiny: ChallengeData
) -> None:
    assert not tiny.valid.occurrence.any()
    run = make(_without("valid", "occurrence")(frames))
    assert run is not None
    np.testing.assert_array_equal(run.predictions().valid[0], frames["valid"]["logit"])


@pytest.mark.parametrize("which", ["test", "valid", "oof"])
def test_a_file_that_is_not_there_is_wrong_usage(
    frames: Frames, make: Make, tiny: ChallengeData, tmp_path: Path, which: str
) -> None:
    assert make(frames) is not None
    paths = {n: tmp_path / f"{n}.parquet" for n in frames} | {which: tmp_path / "absent.csv"}
    with pytest.raises(UsageError, match="no predictions file"):
        import_predictions(
            tiny, paths["test"], paths["valid"], paths["oof"], None, tmp_path / "runs" / "y", False
        )


def test_a_runs_own_files_are_told_by_their_folder(frames: Frames, make: Make) -> None:
    run = make(frames)
    assert run is not None
    for role in ("test", "valid", "oof"):
        assert run_of(run.path / f"{role}.parquet", role) == "theirs"
        assert run_of(run.path.parent.parent / f"{role}.parquet", role) is None
    with pytest.raises(UsageError, match="the valid predictions of run 'theirs'; expected test pr"):
        run_of(run.path / "valid.parquet", "test")
