"""``mmctr-kit predict``: scores of other rows as a file, and their counts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmctr_kit.data.contract import FILES
from mmctr_kit.runs.run import Run
from tests.cli.conftest import mistake, run


def test_the_scores_of_a_csv_file_lie_beside_under_the_runs_name(
    work: Path, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, runs = tiny_root / "data", work / "runs"
    rows = pd.read_parquet(data / FILES["test"].path)
    rows["item_seq"] = [" ".join(map(str, items)) for items in rows.item_seq]
    rows.to_csv("new.csv", index=False)
    command = ("predict", "both", "--rows", "new.csv", "--data", str(data), "--runs", str(runs))
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert "wrote both-new.csv: 400 rows scored by both" in done.stdout
    assert "note: of 400 rows, 400 are of users that the run has not trained on" in done.stderr
    written = pd.read_csv("both-new.csv")
    assert np.array_equal(written.logit, Run(runs / "both").test_scores())
    again = run(*command)
    assert str(again.exception) == (
        "'both-new.csv' exists; name another file, or replace it with --force"
    )
    done = run(*command, "--force", "--json")
    assert json.loads(done.stdout)["out"] == "both-new.csv"


def test_a_missing_file_is_said_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], work: Path
) -> None:
    code, said = mistake(
        capsys, "predict", "both", "--rows", "new.csv", "--data", ".", "--runs", str(work / "runs")
    )
    assert code == 2
    assert said == "error: no file of rows at 'new.csv'; expected parquet or CSV\n"
