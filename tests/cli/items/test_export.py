"""``mmctr-kit items export`` as a user types it."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from mmctr_kit.cli.app import app
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.factors import FactorOptions, fit_factors
from mmctr_kit.items.table import item_table
from mmctr_kit.recipe import Items, load_recipe
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.writer import begin_run
from tests.cli.conftest import mistake, run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two run folders: ``mine``, of a recipe, and ``mix``, a blend."""
    root = tmp_path / "runs"
    recipe = load_recipe("din_demo", ["items.embedding=image", "items.image_dim=9"])
    for name, yaml in (("mine", recipe.to_yaml()), ("mix", None)):
        manifest = Manifest("cv" if yaml else "blend", "", "", "", "")
        assert begin_run(root / name, manifest, yaml, force=False)
    return root


def export(data: ChallengeData, out: Path, runs: Path, *arguments: str) -> Result:
    places = ("--data", str(data.folder), "--out", str(out), "--runs", str(runs))
    return CliRunner().invoke(app, ["items", "export", *arguments, *places])


def vectors(path: Path) -> np.ndarray:
    return np.array(pq.read_table(path).column("item_emb_d128").to_pylist())


def test_a_recipe_with_settings_is_written_and_told(
    tiny: ChallengeData, tmp_path: Path, runs: Path
) -> None:
    out = tmp_path / "item_info.parquet"
    setting = ("--set", "items.embedding=separate_pca")
    done = export(tiny, out, runs, "din_demo", *setting)
    assert done.exit_code == 0, done.output
    told = f"wrote {out} from recipe din_demo: {tiny.n_items + 1:,} rows"
    assert told in " ".join(done.output.split())
    assert "text: PCA, 64 of 768 dimensions" in done.output
    assert "warning" not in done.output
    np.testing.assert_array_equal(vectors(out), item_table(tiny, Items(embedding="separate_pca")))


def test_factors_are_counted_from_all_train_users_and_the_command_says_so(
    tiny: ChallengeData, tmp_path: Path, runs: Path
) -> None:
    out = tmp_path / "item_info.parquet"
    blocks = ("--set", "items.embedding=blocks", "--set", "items.text_dim=32")
    done = export(tiny, out, runs, "din_demo", *blocks, "--set", "items.image_dim=32")
    assert done.exit_code == 0, done.output
    assert "128 dimensions" in done.output
    assert "factors: 64 dimensions, from who took what" in done.output
    assert "counted from all train users" in done.output
    assert "warning" not in done.output
    options = FactorOptions.of(load_recipe("din_demo", [blocks[1]]))
    factors = fit_factors(Content(tiny), options, np.arange(len(tiny.train)))
    np.testing.assert_array_equal(vectors(out)[:, :64], factors.vectors)


def test_a_run_comes_before_a_recipe_and_its_own_recipe_is_taken(
    tiny: ChallengeData, tmp_path: Path, runs: Path
) -> None:
    (runs / "mine").rename(runs / "din_demo")
    out = tmp_path / "x.parquet"
    done = export(tiny, out, runs, "din_demo")
    assert done.exit_code == 0, done.output
    assert f"from run {runs / 'din_demo'}" in done.output
    assert "9 dimensions" in done.stderr
    expected = item_table(tiny, Items(embedding="image", image_dim=9))
    np.testing.assert_array_equal(vectors(out), expected)
    by_path = export(tiny, tmp_path / "y.parquet", tmp_path, str(runs / "din_demo"))
    assert by_path.exit_code == 0, by_path.output
    assert out.read_bytes() == (tmp_path / "y.parquet").read_bytes()


def test_a_file_that_is_there_is_kept_unless_forced(
    tiny: ChallengeData, tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.parquet"
    out.write_text("mine")
    arguments = ("mine", "--data", str(tiny.folder), "--out", str(out), "--runs", str(runs))
    code, error = mistake(capsys, "items", "export", *arguments)
    assert (code, error.count("\n")) == (2, 1)
    assert "--force" in error
    assert out.read_text() == "mine"
    assert export(tiny, out, runs, "mine", "--force").exit_code == 0
    assert vectors(out).shape == (tiny.n_items + 1, 9)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("mix",), 2, "run 'mix' has no recipe"),
        (("absent",), 2, "no recipe 'absent'"),
        (("mine", "--set", "items.dim=3"), 2, "3 does nothing while items.embedding is image"),
        (("mine", "--set", "items.image_dim=5000"), 1, "set it to 1024 or less"),
        (("din_demo", "--set", "items.embedding=none"), 2, "no table to write"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)
def test_a_mistake_is_one_line_and_writes_nothing(
    tiny: ChallengeData,
    tmp_path: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    expected: str,
) -> None:
    out = tmp_path / "x.parquet"
    places = ("--data", str(tiny.folder), "--out", str(out), "--runs", str(runs))
    found, error = mistake(capsys, "items", "export", *arguments, *places)
    assert (found, error.count("\n")) == (code, 1), error
    assert expected in error
    assert not out.exists()


def test_an_exported_item_info_serves_as_an_item_file(work: Path, tiny_root: Path) -> None:
    data, out = str(tiny_root / "data"), str(work / "export.parquet")
    done = run("items", "export", "din_demo_e4", "--data", data, "--out", out)
    assert done.exit_code == 0, done.output
    shown = run(
        "cv",
        "din_demo",
        "--data",
        data,
        "--dry-run",
        "--devices",
        "cpu",
        "--runs",
        str(work / "x"),
        "--set",
        "items.embedding=file",
        "--set",
        f"items.file={out}",
    )
    assert shown.exit_code == 0, shown.output
