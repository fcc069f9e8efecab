"""``mmctr-kit items factors`` as a user types it."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from typer.testing import CliRunner, Result

from mmctr_kit.cli.app import app
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.factors import FactorOptions, fit_factors


def factors(data: ChallengeData, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["items", "factors", "--data", str(data.folder), *arguments])


def test_the_table_says_where_each_items_factors_come_from(tiny: ChallengeData) -> None:
    done = factors(tiny)
    assert done.exit_code == 0, done.output
    assert "who took what" in done.output
    rows = json.loads(factors(tiny, "--json").stdout)["sources"]
    assert sum(row["items"] for row in rows) == tiny.n_items


def test_the_file_holds_the_factors_of_all_train_users(tiny: ChallengeData, tmp_path: Path) -> None:
    out = tmp_path / "factors.parquet"
    done = factors(tiny, "--out", str(out), "--set", "items.factors_dim=8")
    assert done.exit_code == 0, done.output
    options = FactorOptions(8, 10.0, positives=True, max_history=64)
    expected = fit_factors(Content(tiny), options, np.arange(len(tiny.train))).vectors[1:]
    written = np.array(pq.read_table(out).column("vector").to_pylist())
    np.testing.assert_array_equal(written, expected)
