"""mmctr_kit.predict: the rows of a file or a table, scored by a run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmctr_kit
from mmctr_kit.data.contract import FILES
from mmctr_kit.errors import DataError, RunError, UsageError


@pytest.fixture(scope="module")
def test_file(tiny_root: Path) -> Path:
    return tiny_root / "data" / FILES["test"].path


def test_a_blends_own_test_file_gives_its_own_scores(
    runs: Path, tiny_root: Path, test_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "scores.parquet"
    made = mmctr_kit.predict("both", test_file, tiny_root / "data", out=out, runs=runs)
    stored = mmctr_kit.open_run("both", runs).test()
    assert made.table().columns.tolist() == ["ID", "logit", "score"]
    assert np.array_equal(made.table().logit, stored.logit)
    pd.testing.assert_frame_equal(pd.read_parquet(out), made.table())
    assert made.to_json() == {
        "run": "both",
        "out": str(out),
        "rows": 400,
        "new_users": 400,
        "new_items": made.new_items,
        "shortened": 0,
        "left_out": 0,
    }


def test_a_table_of_shuffled_rows_without_ids_gets_scores_in_its_order(
    runs: Path, tiny_root: Path, test_file: Path, tmp_path: Path
) -> None:
    rows = pd.read_parquet(test_file).sample(frac=1, random_state=0)
    stored = mmctr_kit.open_run("first", runs).test().logit.to_numpy()
    out = tmp_path / "scores.csv"
    made = mmctr_kit.predict(
        "first", rows.drop(columns="ID"), tiny_root / "data", out=out, runs=runs
    ).table()
    assert made.columns.tolist() == ["user_id", "item_id", "logit", "score"]
    assert made.item_id.tolist() == rows.item_id.tolist()
    assert made.logit.to_numpy() == pytest.approx(stored[rows.ID], abs=1e-5)
    assert np.array_equal(made.score.argsort(kind="stable"), made.logit.argsort(kind="stable"))
    assert pd.read_csv(out).equals(made)


def test_other_data_are_said_before_any_fault_of_the_rows(runs: Path, tmp_path: Path) -> None:
    mmctr_kit.generate_data(tmp_path / "other", "tiny", seed=5)
    rows = pd.DataFrame(
        {"user_id": [1], "item_seq": [[2]], "item_id": [10**6], "likes_level": 3, "views_level": 3}
    )
    for name in ("both", "first"):
        with pytest.raises(RunError, match=f"has other rows than run '{name}' was trained on"):
            mmctr_kit.predict(name, rows, tmp_path / "other" / "data", runs=runs)


def test_unseen_items_get_a_score_and_are_counted(runs: Path, tiny_root: Path) -> None:
    data = mmctr_kit.load_data(tiny_root / "data")
    cold = next(i for i in range(1, data.n_items + 1) if i not in set(data.train.item_id))
    rows = pd.DataFrame(
        {
            "user_id": [int(data.train.user_id[0]), -5],
            "item_seq": [[1, 2, cold], [3, 100_000]],
            "item_id": [cold, int(data.train.item_id[0])],
            "likes_level": 3,
            "views_level": 3,
        }
    )
    with pytest.warns(UserWarning, match="left 1 item out of the histories of 1 row"):
        made = mmctr_kit.predict("both", rows, data, runs=runs)
    assert np.isfinite(made.table().logit).all()
    assert (made.new_users, made.new_items, made.shortened, made.left_out) == (1, 1, 1, 1)
    assert made.remark() == (
        "of 2 rows, 1 are of users that the run has not trained on, and 1 ask for items that were "
        "no target in training"
    )


def test_nothing_is_written_where_it_may_not_be(
    runs: Path, tiny_root: Path, test_file: Path, tmp_path: Path
) -> None:
    data, taken = tiny_root / "data", tmp_path / "taken.csv"
    taken.write_text("mine\n")
    for out, says in ((taken, "--force"), (tmp_path / "a.txt", r"end it in .parquet or .csv$")):
        with pytest.raises(UsageError, match=says):
            mmctr_kit.predict("first", test_file, data, out=out, runs=runs)
    table = data / "MicroLens_1M_x1/item_info.parquet"
    with pytest.raises(UsageError, match="is a file of the data"):
        mmctr_kit.predict("first", test_file, data, out=table, force=True, runs=runs)
    with pytest.raises(UsageError, match="is the file of rows"):
        mmctr_kit.predict("first", test_file, data, out=test_file, force=True, runs=runs)
    rows = pd.read_parquet(test_file).assign(item_id=10_000)
    with pytest.raises(DataError, match=r"row 1 \(from 1\): item_id 10000 .*\(400 rows of 400\)"):
        mmctr_kit.predict("first", rows, data, out=taken, force=True, runs=runs)
    assert taken.read_text() == "mine\n"
    with pytest.raises(UsageError, match="expected a file or a DataFrame"):
        mmctr_kit.predict("first", [1, 2], data, runs=runs)  # type: ignore[arg-type]
