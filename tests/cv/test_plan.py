"""mmctr_kit.cv.plan: what is checked before a run, its jobs and its manifest."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import check_run, manifest_of, plan_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import DataError, RunError, UsageError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import Recipe, load_recipe
from tests.cv.test_run import plan_here, recipe, run_here


def test_options_of_a_model_that_clash_are_refused_before_anything_is_written(
    tiny: ChallengeData,
) -> None:
    clashing = load_recipe("din_mha_demo", ["model.attention_heads=3"])
    with pytest.raises(UsageError, match=r"model.attention_heads is 3, which does not divide"):
        plan_cv(clashing, tiny, LocalExecutor("cpu"))


def test_too_few_rows_for_the_folds_is_one_line(tiny: ChallengeData) -> None:
    few = load_recipe("din_demo", ["folds.count=100", "training.holdout=0.001"])
    with pytest.raises(DataError, match=r"folds leave a \w+ part of \d+ rows"):
        plan_cv(few, tiny, LocalExecutor("cpu"))


def test_the_seeds_of_a_fold_are_next_to_each_other(tiny: ChallengeData) -> None:
    assert plan_cv(recipe(), tiny, LocalExecutor("cpu")).jobs == ((0, 0), (0, 1), (1, 0), (1, 1))


def test_workers_are_one_a_core_or_one_a_gpu_and_never_more_than_jobs(
    tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmctr_kit.cv.executors.local.available_cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    on_cpu = plan_cv(recipe("folds.count=3"), tiny, LocalExecutor("cpu")).resources
    assert (on_cpu.workers, on_cpu.threads) == (6, 1)
    few = plan_cv(recipe("seeds=[0]"), tiny, LocalExecutor("cpu")).resources
    assert (few.workers, few.threads) == (2, 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # where others compute too, fewer
    assert plan_cv(recipe("seeds=[0]"), tiny, LocalExecutor("cpu")).resources.threads == 2
    monkeypatch.setattr("mmctr_kit.training.device.describe_device", lambda device: device)
    on_gpus = plan_cv(recipe(), tiny, LocalExecutor("cuda:0,cuda:1")).resources
    assert (on_gpus.workers, on_gpus.devices) == (2, ("cuda:0", "cuda:1"))
    boosted = plan_cv(load_recipe("gbdt_demo", []), tiny, LocalExecutor("cuda:0")).resources
    assert boosted.devices == ("cpu",)


def test_what_a_run_would_refuse_is_known_before_it_begins(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    def check(one: Recipe, path: Path) -> bool:
        return check_run(one, tiny, ItemFeatures.derive(one, tiny), path, force=False)

    finished = run_here(tiny, tmp_path / "run")
    assert check(recipe(), finished.path)
    assert not check(recipe(), tmp_path / "new")
    with pytest.raises(RunError, match="differs in recipe"):
        check(recipe("training.learning_rate=0.5"), finished.path)


def test_an_item_file_counts_by_its_content_and_not_by_its_place(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    items = np.arange(1, tiny.n_items + 1)
    table = pa.table({"item_id": items, "vector": list(tiny.item_emb[1:, :8])})
    for name in ("a.parquet", "b.parquet"):
        pq.write_table(table, tmp_path / name)
    changed = table.set_column(1, "vector", pa.array(list(tiny.item_emb[1:, 8:16])))
    pq.write_table(changed, tmp_path / "c.parquet")
    fingerprints = [
        manifest_of(plan_here(tiny, recipe("items.embedding=file", f"items.file={tmp_path / n}")))
        for n in ("a.parquet", "b.parquet", "c.parquet")
    ]
    assert fingerprints[0] == fingerprints[1]
    assert fingerprints[0].recipe != fingerprints[2].recipe
