"""``mmctr-kit items quantise`` as a user types it."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from mmctr_kit.cli.app import app
from mmctr_kit.data.dataset import ChallengeData
from tests.cli.conftest import mistake


def quantise(data: ChallengeData, *arguments: str) -> Result:
    command = ["items", "quantise", "--data", str(data.folder), "--size", "16", *arguments]
    return CliRunner().invoke(app, command)


def test_one_table_of_80_columns_shows_every_level_of_every_kind(tiny: ChallengeData) -> None:
    done = quantise(tiny, "--of", "text, factors", "--levels", "2")
    assert done.exit_code == 0, done.output
    header, *lines = done.stdout.splitlines()
    assert header.split() == [
        *("of", "items", "level", "perplexity", "largest", "same", "codes", "left", "over")
    ]
    assert [line.split()[0] for line in lines] == ["text", "text", "factors", "factors"]
    assert [line.split()[2] for line in lines] == ["1", "2", "1", "2"]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_holds_the_same_figures_as_shares(tiny: ChallengeData, tmp_path: Path) -> None:
    out = tmp_path / "codes.parquet"
    done = quantise(tiny, "din_demo", "--of", "image", "--json", "--out", str(out))
    content = json.loads(done.stdout)
    assert content["out"] == str(out)
    assert pq.read_table(out).column_names == ["item_id", "image"]
    assert [row["level"] for row in content["levels"]] == [1, 2, 3]
    for row in content["levels"]:
        assert 0.6 < row["perplexity"] <= 1
        assert 0 < row["largest"] < 1


def test_a_codebook_that_is_used_unevenly_is_remarked(tiny: ChallengeData) -> None:
    done = quantise(tiny, "--of", "text", "--size", "4096")
    assert "a perplexity below 60 %" in done.output
    assert "a perplexity below 60 %" not in quantise(tiny, "--of", "text").output


def test_a_mistake_is_one_line_and_exit_2(
    tiny: ChallengeData, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("items", "quantise", "--data", str(tiny.folder), "--of", "tekst")
    code, error = mistake(capsys, *command)
    assert code == 2
    assert "codes.of: expected one of" in error
    assert len(error.splitlines()) == 1
