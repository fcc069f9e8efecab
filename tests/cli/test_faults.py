"""A fault of the kit itself is one line that names a file with the whole text."""

import re
from pathlib import Path

import pytest

from mmctr_kit.cli import faults
from tests.cli.conftest import command


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("mmctr_kit.api.overview.require_root", fail)
    monkeypatch.setattr("mmctr_kit.api.overview.overview", fail)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    return tmp_path / "cache"


class RustPanic(BaseException):
    """As pyo3's PanicException, no Exception."""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KeyError("x"), "a fault of mmctr-kit, not of yours (KeyError: 'x')"),
        (ValueError("a\x1b[31m\nb"), r"(ValueError: a\x1b[31m)"),
        (RecursionError("too deep"), "(RecursionError: too deep)"),
        (OSError("no number"), "(OSError: no number)"),
        (RustPanic("rust"), "(RustPanic: rust)"),
        (MemoryError("80 TiB"), "memory ran out (MemoryError: 80 TiB); close other programs"),
        (ImportError("x.so: failed to map segment from shared object"), "memory ran out (Imp"),
    ],
)
def test_it_is_one_line_with_the_path_of_its_text(
    error: BaseException,
    says: str,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(error, monkeypatch)
    code, line = command(capsys, "runs", "--runs", "runs")
    assert code == 1
    assert says in line
    assert line.count("\n") == 1
    assert "Traceback" not in line
    named = re.search(r"its whole text is in '([^']+)'", line)
    assert named
    file = Path(named[1])
    assert file.parent == cache / "faults"
    text = file.read_text("utf-8")
    assert text.startswith("$ mmctr-kit runs --runs runs\nmmctr-kit ")
    assert "Traceback (most recent call last)" in text
    assert re.search(r"loaded: .*numpy \d", text)


def test_debug_shows_the_traceback_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(KeyError("\x1b[2J"), monkeypatch)
    code, text = command(capsys, "--debug", "runs", "--runs", "runs")
    assert code == 1
    assert "Traceback (most recent call last)" in text
    assert "\x1b" not in text


def test_without_a_cache_the_text_is_in_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(blocked / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert f"is in '{tmp_path}/mmctr-kit-fault-" in faults.explain(KeyError("x"), "mmctr-kit runs")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    line = faults.explain(KeyError("x"), "mmctr-kit runs")
    assert "could not be written to a file; add --debug to see it" in line
