"""``mmctr-kit demo`` refuses a folder that is not its own."""

from pathlib import Path

import pytest

from tests.cli.conftest import mistake


def test_a_demo_of_another_data_set_is_refused_before_its_first_step(
    capsys: pytest.CaptureFixture[str], tiny_root: Path
) -> None:
    code, error = mistake(capsys, "demo", "--out", str(tiny_root), "--preset", "demo")
    assert code == 2
    assert "holds preset tiny, seed 0" in error


def test_a_demo_into_a_folder_of_something_else_is_refused_before_its_first_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("x")
    for out in (tmp_path, tmp_path / "mine.txt"):
        code, error = mistake(capsys, "demo", "--out", str(out), "--preset", "tiny")
        assert code == 2
        assert "is neither a demo's folder nor an empty one" in error
        assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
