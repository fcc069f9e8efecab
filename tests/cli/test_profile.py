"""``mmctr-kit data profile``: what it prints, its JSON and its exit codes."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from mmctr_kit.audit.profile.measurement import Measurement, holm_test
from mmctr_kit.cli.app import app
from mmctr_kit.data.contract import FILES
from mmctr_kit.metrics.estimate import Estimate


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", "profile", *arguments])


@pytest.fixture(scope="module")
def leaky(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set with train sorted by label."""
    folder = Path(shutil.copytree(tiny_root / "data", tmp_path_factory.mktemp("leaky") / "data"))
    path = folder / FILES["train"].path
    pq.write_table(pq.read_table(path).sort_by("label"), path)
    return folder


@pytest.mark.slow
def test_clean_data_exits_0_also_with_strict_and_fits_80_columns(tiny_root: Path) -> None:
    found = run(str(tiny_root / "data"), "--strict")
    assert found.exit_code == 0, found.output
    assert max(len(line.rstrip()) for line in found.output.splitlines()) <= 80
    assert "no suspicions in " in found.output
    assert "target-side (train): item features alone: AUC 0." in found.output


@pytest.mark.slow
def test_a_suspicion_says_what_it_means_and_what_to_do_and_fails_with_strict_alone(
    leaky: Path,
) -> None:
    found = run(str(leaky))
    assert found.exit_code == 0
    assert "LOOK" in found.output
    assert "row-order (train): the row's number has AUC 1.0000" in found.output
    assert "means: rows are sorted by label" in found.output
    assert "do: shuffle the file" in found.output
    assert "1 suspicion in " in found.output
    assert run(str(leaky), "--strict").exit_code == 1


@pytest.mark.slow
def test_json_has_each_measurement_with_its_error_and_verdict(leaky: Path) -> None:
    found = json.loads(run(str(leaky), "--json").stdout, parse_constant=pytest.fail)
    by_verdict = {v: [r for r in found if r["verdict"] == v] for v in ("suspicious", "clean")}
    assert [(r["probe"], r["where"]) for r in by_verdict["suspicious"]] == [("row-order", "train")]
    assert by_verdict["suspicious"][0]["value"] == 1.0
    assert by_verdict["suspicious"][0]["todo"]
    assert all(r["p_holm"] >= r["p"] for r in found)
    assert all(r["error"] is None or r["error"] >= 0 for r in by_verdict["clean"])


def test_the_table_has_the_word_of_the_json(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Measurement.of("row-order", "train", Estimate(0.5, 0.01, 100), 0.0, "nothing")
    tests = holm_test([sound, Measurement.none("row-order", "valid", "no rows")])
    found = SimpleNamespace(results=tests, ok=True)
    monkeypatch.setattr("mmctr_kit.api.data.profile_data", lambda *_, **__: found)
    rows = run("anywhere").stdout.splitlines()[1:3]
    verdicts = [content["verdict"] for content in json.loads(run("anywhere", "--json").stdout)]
    assert verdicts == ["clean", "not measured"]
    for row, verdict in zip(rows, verdicts, strict=True):
        assert row.rstrip().endswith(verdict)


def test_help_has_an_example() -> None:
    assert "mmctr-kit data profile" in run("--help").output


def test_a_folder_that_is_not_there_is_a_usage_error() -> None:
    found = run("nowhere")
    assert found.exit_code != 0
    assert "nowhere" in str(found.exception)
