"""``mmctr-kit data``: clean data passes, and a wrong folder is recognised."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import mistake, run


def test_data_check_passes_clean_data_and_fails_a_broken_folder(
    tiny_root: Path, tmp_path: Path
) -> None:
    assert run("data", "check", str(tiny_root / "data")).exit_code == 0
    broken = run("data", "check", str(tmp_path), "--json")
    assert broken.exit_code == 1
    assert "FAIL" in {f["level"] for f in json.loads(broken.output)}


def test_a_generated_folder_named_one_level_too_high_is_recognised(
    capsys: pytest.CaptureFixture[str], tiny_root: Path
) -> None:
    for folder in (tiny_root, tiny_root / "data" / "MicroLens_1M_x1"):
        for command in (("cv", "din_demo", "--data"), ("data", "check"), ("data", "profile")):
            code, error = mistake(capsys, *command, str(folder))
            assert code == 2
            assert f"'{folder}' is not a data folder, but '{tiny_root / 'data'}' is" in error
