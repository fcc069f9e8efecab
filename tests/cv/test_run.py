"""mmctr_kit.cv.run: whole runs, resumed runs, repeated runs, and the null."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.fold import Progress, fold_rows
from mmctr_kit.cv.plan import Plan, manifest_of, plan_cv
from mmctr_kit.cv.run import ResumePoint, run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.errors import DataError, MmctrKitError, RunError, UsageError
from mmctr_kit.items.features import ItemFeatures, content_hashes
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import write_timings
from mmctr_kit.runs.writer import RunWriter, begin_run
from tests.cv.epochs import epochs
from tests.data.timed import timed_copy

SETTINGS = ("training.epochs=2", "training.batch_size=256", "folds.count=2", "seeds=[0, 1]")


def recipe(*settings: str) -> Recipe:
    return load_recipe("din_demo", (*SETTINGS, *settings))


def plan_here(data: ChallengeData, found: Recipe) -> Plan:
    """A plan that is worked off in this process."""
    return plan_cv(found, data, LocalExecutor("cpu", 1, 1))


def run_here(data: ChallengeData, path: Path, *settings: str) -> Run:
    run = run_cv(plan_here(data, recipe(*settings)), path, False, lambda _: None)
    assert run is not None
    return run


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a run but its timings."""
    return {
        str(p.relative_to(path)): p.read_bytes()
        for p in sorted(path.rglob("*"))
        if p.is_file() and p.name != "timings.json"
    }


@pytest.fixture(scope="module")
def finished(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_here(tiny, tmp_path_factory.mktemp("runs") / "a")


def test_oof_covers_every_train_row_once_by_the_model_that_did_not_see_its_user(
    tiny: ChallengeData, finished: Run
) -> None:
    oof = finished.predictions().oof
    assert oof is not None
    assert np.isfinite(oof.logit).all()
    assert len(oof.logit) == len(tiny.train)
    keys = np.stack([oof.keys.user_id, oof.keys.item_id, oof.keys.occurrence])
    assert len(np.unique(keys, axis=1).T) == len(tiny.train)
    for fold in range(2):
        seen = fold_rows(recipe(), tiny, fold)
        predicted = set(tiny.train.user_id[seen.predicted])
        assert predicted.isdisjoint(tiny.train.user_id[seen.train])
        assert predicted.isdisjoint(tiny.train.user_id[seen.holdout])
        assert set(tiny.train.user_id[seen.train]).isdisjoint(tiny.train.user_id[seen.holdout])
        assert (oof.fold[seen.predicted] == fold).all()


def test_a_run_folder_holds_what_the_design_says(finished: Run) -> None:
    top = {p.name for p in finished.path.iterdir()}
    assert top == {
        "DONE",
        "folds",
        "manifest.json",
        "metrics.json",
        "oof.parquet",
        "recipe.yaml",
        "test.parquet",
        "timings.json",
        "valid.parquet",
    }
    folds = sorted(p.name for p in (finished.path / "folds").iterdir())
    assert folds == ["0-0", "0-1", "1-0", "1-1"]
    one = {p.name for p in (finished.path / "folds" / "0-0").iterdir()}
    assert one == {
        "DONE",
        "logits.safetensors",
        "metrics.jsonl",
        "timings.json",
        "weights.safetensors",
    }
    assert set(finished.metrics["seeds"]) == {"0", "1"}
    assert finished.metrics["recipe_valid"]["error"] > 0


def test_two_runs_of_one_seed_are_bit_identical(
    tiny: ChallengeData, finished: Run, tmp_path: Path
) -> None:
    assert contents(run_here(tiny, tmp_path / "b").path) == contents(finished.path)


@pytest.mark.slow
def test_workers_side_by_side_make_the_run_that_one_process_makes(
    tiny: ChallengeData, finished: Run, tmp_path: Path
) -> None:
    plan = plan_here(tiny, recipe())
    resources = replace(plan, resources=replace(plan.resources, workers=2))
    told: list[Progress] = []
    run = run_cv(resources, tmp_path / "c", False, epochs(told.append))
    assert run is not None
    assert contents(run.path) == contents(finished.path)
    assert sum(p.epoch is None for p in told) == 4


def test_the_same_run_again_is_a_no_op_and_another_one_is_refused(
    tiny: ChallengeData, finished: Run
) -> None:
    before = contents(finished.path)
    assert run_cv(plan_here(tiny, recipe()), finished.path, False, lambda _: None) is None
    with pytest.raises(
        RunError, match=r"differs in recipe \(training.learning_rate: .* there, 0.5 now\);"
    ):
        run_here(tiny, finished.path, "training.learning_rate=0.5")
    assert contents(finished.path) == before


def test_force_replaces_a_run(tiny: ChallengeData, finished: Run, tmp_path: Path) -> None:
    path = tmp_path / "d"
    shutil.copytree(finished.path, path)
    plan = plan_here(tiny, recipe("training.learning_rate=0.01"))
    run = run_cv(plan, path, True, lambda _: None)
    assert run is not None
    assert "learning_rate: 0.01" in (path / "recipe.yaml").read_text()


@pytest.mark.slow
def test_a_failing_worker_ends_the_run_with_its_error(tiny: ChallengeData, tmp_path: Path) -> None:
    plan = plan_here(tiny, recipe())
    gone = replace(
        plan, data=_elsewhere(tiny, tmp_path), resources=replace(plan.resources, workers=2)
    )
    with pytest.raises(UsageError, match="no data folder"):
        run_cv(gone, tmp_path / "run", False, lambda _: None)
    assert not (tmp_path / "run" / "DONE").exists()


def _elsewhere(data: ChallengeData, tmp_path: Path) -> ChallengeData:
    return replace(data, folder=tmp_path / "gone")


KILLED = """
import os, signal, sys
from pathlib import Path
from mmctr_kit.data.load import load
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import plan_cv, plan_fit
from mmctr_kit.cv.run import run_cv
from mmctr_kit.recipe import load_recipe

def kill(progress):
    # A first epoch ended: the fold has another to go.
    if getattr(progress, "epoch", None) == 1:
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
        print(children, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    data, path, workers, kind, *settings = sys.argv[1:]
    make_plan = {"cv": plan_cv, "fit": plan_fit}[kind]
    executor = LocalExecutor("cpu", int(workers), 1)
    plan = make_plan(load_recipe("din_demo", settings), load(Path(data)), executor)
    run_cv(plan, Path(path), False, kill)
"""


def killed_in_a_fold(
    data: Path, tmp_path: Path, workers: int, settings: Sequence[str] = SETTINGS, kind: str = "cv"
) -> Path:
    """The folder of a run that was killed after a fold's first epoch and before its last.

    Workers do not wait for the process that is killed, so one may have ended its fold by then; it
    is tried again.
    """
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    for attempt in range(10):
        path = tmp_path / f"killed-{attempt}"
        command = [sys.executable, str(script), str(data), str(path), str(workers), kind]
        done = subprocess.run([*command, *settings], stdout=subprocess.PIPE, text=True, check=False)
        assert done.returncode == -signal.SIGKILL
        left = [Path("/proc", pid) for pid in done.stdout.split()]
        for _ in range(300):  # workers see their parent gone and end
            if not any(pid.exists() for pid in left):
                break
            time.sleep(0.1)
        if list(path.glob("folds/*/state.safetensors")):
            return path
    raise AssertionError("no run was killed in the middle of a fold")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_in_the_middle_of_a_fold_and_resumed_equals_an_uninterrupted_one(
    tiny_root: Path, tiny: ChallengeData, finished: Run, tmp_path: Path, workers: int
) -> None:
    path = killed_in_a_fold(tiny_root / "data", tmp_path, workers)
    assert not (path / "DONE").exists()
    run = run_here(tiny, path)
    assert contents(run.path) == contents(finished.path)


@pytest.mark.slow
def test_a_run_with_factors_killed_and_resumed_equals_an_uninterrupted_one(
    tiny_root: Path, tiny: ChallengeData, tmp_path: Path
) -> None:
    whole = run_here(tiny, tmp_path / "whole", *BLOCKS)
    path = killed_in_a_fold(tiny_root / "data", tmp_path, 1, (*SETTINGS, *BLOCKS))
    run = run_here(tiny, path, *BLOCKS)
    assert contents(run.path) == contents(whole.path)


def test_a_run_that_goes_on_says_first_what_is_finished_and_after_which_epoch_others_are(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    def stop(event: Progress) -> None:
        if (event.fold, event.seed, event.epoch) == (1, 0, 1):
            raise KeyboardInterrupt

    plan, path, told = plan_here(tiny, recipe()), tmp_path / "run", list[ResumePoint]()
    with pytest.raises(KeyboardInterrupt):
        run_cv(plan, path, False, epochs(stop), told.append)
    assert told == []  # a fresh run
    begun = Run(path).lineage
    assert begun is not None
    assert (begun.data, begun.resumed, begun.finished) == (str(tiny.folder), 0, None)
    assert run_cv(plan, path, False, lambda _: None, told.append) is not None
    assert told == [ResumePoint(finished=((0, 0), (0, 1)), epochs={(1, 0): 1})]
    done = Run(path).lineage
    assert done is not None
    assert done == replace(begun, resumed=1, finished=done.finished)
    assert done.finished is not None


@pytest.mark.parametrize("theirs", ["1-0", "0-1"])
def test_a_fold_folder_of_another_fold_or_seed_is_refused_with_the_way_out(
    tiny: ChallengeData, finished: Run, tmp_path: Path, theirs: str
) -> None:
    path = Path(shutil.copytree(finished.path, tmp_path / "run"))
    (path / "DONE").unlink()
    shutil.rmtree(path / "folds/0-0")
    shutil.copytree(finished.path / "folds" / theirs, path / "folds/0-0")
    plan = plan_here(tiny, recipe())
    with pytest.raises(RunError, match=r"folds/0-0 is of another run or fold model.*delete it"):
        run_cv(plan, path, False, lambda _: None)
    shutil.rmtree(path / "folds/0-0")
    again = run_cv(plan, path, False, lambda _: None)
    assert again is not None
    assert contents(again.path) == contents(finished.path)


def test_a_fold_model_of_another_recipe_neither_goes_on_nor_counts(
    tiny: ChallengeData, finished: Run, tmp_path: Path
) -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    other = plan_here(tiny, recipe("training.learning_rate=0.01"))
    with pytest.raises(KeyboardInterrupt):
        run_cv(other, tmp_path / "other", False, epochs(stop))
    path = Path(shutil.copytree(finished.path, tmp_path / "run"))
    (path / "DONE").unlink()
    shutil.rmtree(path / "folds/0-0")
    shutil.copytree(tmp_path / "other/folds/0-0", path / "folds/0-0")  # after one epoch of two
    with pytest.raises(RunError, match="folds/0-0 is of another run or fold model"):
        run_cv(plan_here(tiny, recipe()), path, False, lambda _: None)


def test_a_command_that_goes_on_before_the_first_saved_epoch_counts_as_a_resumption(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    plan, path, told = plan_here(tiny, recipe()), tmp_path / "run", list[ResumePoint]()
    begin_run(path, manifest_of(plan), plan.recipe.to_yaml(), False)
    run = run_cv(plan, path, False, lambda _: None, told.append)
    assert told == []  # nothing to go on from
    assert run is not None
    assert run.lineage is not None
    assert run.lineage.resumed == 1


def shuffled_rows(source: Path, out: Path, seed: int) -> Path:
    """A copy of a data folder with the rows of train.parquet in another order."""
    shutil.copytree(source, out)
    path = out / "MicroLens_1M_x1" / "train.parquet"
    table = pq.read_table(path)
    order = np.random.default_rng(seed).permutation(len(table))
    pq.write_table(table.take(pa.array(order)), path)
    return out


def test_shuffling_the_rows_of_train_changes_no_fold_and_no_prediction(
    tiny_root: Path, finished: Run, tmp_path: Path
) -> None:
    other = load(shuffled_rows(tiny_root / "data", tmp_path / "data", 1))
    run = run_here(other, tmp_path / "run")
    assert contents(run.path) == contents(finished.path)


def null_copy(source: Path, out: Path, seed: int) -> Path:
    """A copy of a data folder with labels shuffled within each user, in train and valid."""
    shutil.copytree(source, out)
    random = np.random.default_rng(seed)
    for split in ("train", "valid"):
        path = out / "MicroLens_1M_x1" / f"{split}.parquet"
        table = pq.read_table(path)
        user, label = (np.asarray(table.column(c)) for c in ("user_id", "label"))
        label = label.copy()
        by_user = np.lexsort((np.arange(len(user)), user))
        by_chance = np.lexsort((random.random(len(user)), user))
        label[by_user] = label[by_chance]
        place = table.column_names.index("label")
        pq.write_table(table.set_column(place, "label", pa.array(label)), path)
    return out


MEMORISING = (
    "training.epochs=8",
    "training.min_steps=0",
    "training.snapshot=last",
    "training.holdout=0.01",
    "training.learning_rate=0.01",
    "training.batch_size=128",
    "training.embedding_regularizer=0",
    "model.embedding_dim=16",
    "model.item_emb_dim=16",
    "model.attention_hidden=[8]",
    "model.mlp_hidden=[32]",
    "model.mlp_dropout=0",
    "model.attention_dropout=0",
    "model.encoder_layers=1",
    "folds.count=2",
)
"""Of the model that has a vector for each user, to learn each user's labels with."""


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> ChallengeData:
    """1,000 users with labels shuffled within each of them."""
    folder = tmp_path_factory.mktemp("null")
    generate(folder / "world", replace(PRESETS["tiny"], train_users=1_000), seed=0)
    return load(null_copy(folder / "world" / "data", folder / "data", 6))


@pytest.mark.slow
def test_with_labels_shuffled_within_users_oof_is_chance_and_with_ungrouped_folds_it_is_not(
    null: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memorising = load_recipe("din_target_encoder", MEMORISING)

    def oof_z(path: Path) -> float:
        run = run_cv(plan_here(null, memorising), path, False, lambda _: None)
        assert run is not None
        return Estimate.from_json(run.metrics["oof"]).z(0.5)

    assert abs(oof_z(tmp_path / "grouped")) < 3

    def by_row(user: np.ndarray, count: int, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        return random.integers(0, count, len(user)).astype(np.int16)

    monkeypatch.setattr("mmctr_kit.data.folds.user_folds", by_row)
    # Three of a user's rows tell the fourth's label: a model that memorises users is far from
    # chance on it, on either side.
    assert abs(oof_z(tmp_path / "ungrouped")) > 3


BLOCKS = ("items.embedding=blocks", "items.factors_dim=16")
CODES = ("codes.of=factors", "codes.size=16", "model.similarity_histogram=true")
TAKEN = ("signals.kinds=all", "augmentation.per_user=2", "folds.count=3", "training.epochs=3")
"""All that is counted from what training users took, their positive rows among it."""


ALIGNED = ("items.embedding=aligned", "items.aligned_dim=16")


@pytest.mark.slow
@pytest.mark.usefixtures("small_alignment")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *(("din_demo", settings) for settings in ((), BLOCKS, ALIGNED, CODES)),
        *(("gbdt_demo", settings) for settings in (("items.embedding=none",), BLOCKS, CODES)),
    ],
)
def test_with_labels_shuffled_within_users_what_is_counted_leaves_oof_at_chance(
    null: ChallengeData, tmp_path: Path, name: str, settings: tuple[str, ...]
) -> None:
    recipe = load_recipe(name, (*TAKEN, *settings, "training.snapshot=last"))
    run = run_cv(plan_here(null, recipe), tmp_path / "run", False, lambda _: None)
    assert run is not None
    assert abs(Estimate.from_json(run.metrics["oof"]).z(0.5)) < 3


@pytest.mark.slow
def test_a_table_that_counts_the_users_it_predicts_is_caught_by_the_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = replace(PRESETS["tiny"], train_users=1_000, valid_users=600)
    generate(tmp_path / "world", preset, seed=0)
    data = load(null_copy(tmp_path / "world" / "data", tmp_path / "data", 6))
    honest = ItemFeatures.of_users
    every = np.arange(len(data.train))
    monkeypatch.setattr(ItemFeatures, "of_users", lambda self, _: honest(self, every))
    settings = (*BLOCKS, "items.factors_shrinkage=0")
    recipe = load_recipe("gbdt_demo", (*settings, "training.snapshot=last"))
    run = run_cv(plan_here(data, recipe), tmp_path / "run", False, lambda _: None)
    assert run is not None
    assert Estimate.from_json(run.metrics["oof"]).z(0.5) > 5
    assert run.metrics["alarm"]  # valid users were not counted


def null_data(tmp_path: Path, by: str) -> tuple[ChallengeData, str]:
    """Rows with times and labels shuffled within users, and the setting of their folds."""
    generate(tmp_path / "world", replace(PRESETS["tiny"], train_users=600), seed=0)
    timed = timed_copy(tmp_path / "world" / "data", tmp_path / "timed")
    return load(null_copy(timed, tmp_path / "data", 6)), f"folds.by={by}"


OTHERS = ("signals.kinds=all", "augmentation.per_user=1", *BLOCKS, "training.snapshot=last")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gbdt_demo", "din_demo"])
@pytest.mark.parametrize("by", ["item", "time"])
def test_with_labels_shuffled_within_users_folds_by_item_and_time_leave_oof_at_chance(
    tmp_path: Path, by: str, name: str
) -> None:
    """A user's other labels are known to the models of these folds, and tell nothing."""
    data, folds = null_data(tmp_path, by)
    recipe = load_recipe(name, (*OTHERS, folds, "training.epochs=3"))
    run = run_cv(plan_here(data, recipe), tmp_path / "run", False, lambda _: None)
    assert run is not None
    assert abs(Estimate.from_json(run.metrics["oof"]).z(0.5)) < 3
    assert run.metrics["alarm"] is None


@pytest.mark.slow
@pytest.mark.parametrize("by", ["item", "time"])
def test_a_table_that_counts_the_rows_it_predicts_is_caught_by_the_null_of_other_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    data, folds = null_data(tmp_path, by)
    honest, every = ItemFeatures.of_users, np.arange(len(data.train))
    monkeypatch.setattr(ItemFeatures, "of_users", lambda self, _: honest(self, every))
    settings = (*BLOCKS, "items.factors_shrinkage=0", folds, "training.snapshot=last")
    plan = plan_here(data, load_recipe("gbdt_demo", settings))
    run = run_cv(plan, tmp_path / "run", False, lambda _: None)
    assert run is not None
    assert Estimate.from_json(run.metrics["oof"]).z(0.5) > 5


def test_a_run_of_time_folds_holds_the_rows_it_predicts_and_is_known_again(
    timed: ChallengeData, tmp_path: Path
) -> None:
    run = run_here(timed, tmp_path / "run", "folds.by=time", "seeds=[0]")
    fold = recipe("folds.by=time").folds.assign(timed.train)
    oof = run.predictions().oof
    assert oof is not None
    np.testing.assert_array_equal(oof.folds_of(timed.train), fold)
    assert len(run.oof()) == (fold >= 0).sum() < len(timed.train)
    again = plan_here(timed, recipe("folds.by=time", "seeds=[0]"))
    assert run_cv(again, run.path, False, lambda _: None) is None
    with pytest.raises(RunError, match=r"folds.by: time there, user now"):
        run_here(timed, run.path, "seeds=[0]")
    slices = {e["by"] for e in run.metrics["slices"]}
    assert {"time", "popularity"} <= slices


def test_diverged_training_is_one_line_that_says_what_to_do(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    with pytest.raises(MmctrKitError, match=r"training diverged in epoch 1 .*learning_rate"):
        run_here(tiny, tmp_path / "run", "training.learning_rate=1.0e+30")


@pytest.mark.slow
def test_where_a_worker_is_killed_the_run_goes_on_with_fewer(
    tiny: ChallengeData, finished: Run, tmp_path: Path
) -> None:
    killed = []
    plan = plan_here(tiny, recipe())
    pair = replace(plan, resources=replace(plan.resources, workers=2))

    def kill_a_worker(event: Progress) -> None:
        if event.epoch == 1 and not killed:
            killed.append(multiprocessing.active_children()[0].pid or 0)
            os.kill(killed[0], signal.SIGKILL)

    with pytest.warns(UserWarning, match="a worker process was killed.*going on with 1"):
        run = run_cv(pair, tmp_path / "run", False, epochs(kill_a_worker))
    assert run is not None
    assert contents(run.path) == contents(finished.path)


@pytest.mark.slow
def test_where_every_worker_is_killed_that_is_one_line_and_the_run_can_go_on(
    tiny: ChallengeData, finished: Run, tmp_path: Path
) -> None:
    plan = plan_here(tiny, recipe())
    pair = replace(plan, resources=replace(plan.resources, workers=2))

    def kill_all(event: Progress) -> None:
        if event.epoch == 1:
            for process in multiprocessing.active_children():
                os.kill(process.pid or 0, signal.SIGKILL)

    warned = pytest.warns(UserWarning, match="going on with 1")
    killed = "a worker process was killed.*; the same command goes on where it stopped"
    with warned, pytest.raises(RunError, match=killed):
        run_cv(pair, tmp_path / "run", False, epochs(kill_all))
    assert contents(run_here(tiny, tmp_path / "run").path) == contents(finished.path)


def test_the_seconds_before_a_kill_count(tiny: ChallengeData, tmp_path: Path) -> None:
    plan = plan_here(tiny, recipe())

    def stop(event: Progress) -> None:
        if event.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cv(plan, tmp_path / "run", False, epochs(stop))
    folder = RunWriter(tmp_path / "run").fold(0, 0)
    write_timings(folder.path, {"train": 1000.0})
    run = run_cv(plan, tmp_path / "run", False, lambda _: None)
    assert run is not None
    assert run.timings["fold_seconds"]["0-0"]["train"] > 1000.0
    assert run.timings["fold_seconds"]["1-0"]["train"] < 1000.0
    assert run.timings["phase_seconds"]["train"] > 1000.0


def test_a_run_begun_with_its_rows_on_the_device_is_finished_from_the_host_and_says_so(
    tiny: ChallengeData, tmp_path: Path, finished: Run
) -> None:
    def stop(event: Progress) -> None:
        if event.epoch is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cv(plan_here(tiny, recipe()), tmp_path / "run", False, epochs(stop))
    on_host = recipe("training.data_on=host")
    run = run_cv(plan_here(tiny, on_host), tmp_path / "run", False, lambda _: None)
    assert run is not None
    places = {"0-0": "device", "0-1": "host", "1-0": "host", "1-1": "host"}
    assert run.timings["data_on"] == places
    assert np.array_equal(run.test_scores(), finished.test_scores())


def test_a_run_says_how_the_steps_of_each_fold_were_run(finished: Run) -> None:
    how = {"steps": "plain", "precision": "float32", "check": "not checked", "fallbacks": []}
    assert finished.timings["trained"] == dict.fromkeys(("0-0", "0-1", "1-0", "1-1"), how)
    folder = RunWriter(finished.path).fold(0, 0)
    assert folder.timings()["trained"] == {**how, "details": []}


def test_a_run_notes_the_bytes_of_the_files_it_read(tiny: ChallengeData, finished: Run) -> None:
    assert finished.timings["data_files"] == content_hashes(recipe(), tiny)


@pytest.mark.slow
def test_workers_refuse_an_item_file_that_changed_since_the_plan(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    file = tmp_path / "own.parquet"
    items = np.arange(1, tiny.n_items + 1)
    table = pa.table({"item_id": items, "vector": list(tiny.item_emb[1:, :8])})
    pq.write_table(table, file)
    plan = plan_here(tiny, recipe("items.embedding=file", f"items.file={file}"))
    pq.write_table(table.set_column(1, "vector", pa.array(list(tiny.item_emb[1:, 8:16]))), file)
    with pytest.raises(DataError, match="changed while the command began"):
        run_cv(
            replace(plan, resources=replace(plan.resources, workers=2)),
            tmp_path / "run",
            False,
            lambda _: None,
        )
