"""``mmctr-kit items align`` as a user types it."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from mmctr_kit.cli.app import app
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.align import AlignOptions, fit_aligned
from mmctr_kit.embed.content import Content

NARROW = ("--set", "items.aligned_dim=16")

pytestmark = pytest.mark.usefixtures("small_alignment")


def align(data: ChallengeData, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["items", "align", "--data", str(data.folder), *arguments])


def test_the_table_says_what_alignment_finds_beside_raw_vectors_pca_and_chance(
    tiny: ChallengeData,
) -> None:
    done = align(tiny, *NARROW)
    assert done.exit_code == 0, done.output
    assert "recall of held-out pairs" in done.output
    for name in ("aligned", "text, raw", "image, PCA", "chance", "aligned image alone"):
        assert name in done.output
    assert max(map(len, done.output.splitlines())) <= 80
    content = json.loads(align(tiny, *NARROW, "--json").stdout)
    assert {row["vectors"] for row in content["recall"]} >= {"aligned", "text, PCA", "chance"}


def test_the_file_holds_the_vectors_of_all_train_users_and_the_command_warns_of_it(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    out = tmp_path / "aligned.parquet"
    done = align(tiny, *NARROW, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "knows what all train users took" in " ".join(done.output.split())
    options = AlignOptions(16, 8, positives=True, max_history=64)
    expected = fit_aligned(Content(tiny), options, np.arange(len(tiny.train))).vectors[1:]
    written = pq.read_table(out)
    assert written.column("item_id").to_pylist() == list(range(1, tiny.n_items + 1))
    np.testing.assert_array_equal(np.array(written.column("vector").to_pylist()), expected)
