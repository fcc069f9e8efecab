"""Arrays and JSON come back as they were written; what is no file is one line."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.files import (
    file_sha256,
    load_arrays,
    may_enter,
    read_columns,
    read_json,
    regular,
    save_arrays,
    write_json,
    write_table,
)

ARRAYS = {
    "logit": np.array([0.1, -0.0, 5e-324, 1e308, np.pi]),
    "fold": np.array([0, 1, 2, 3, 32767], np.int16),
    "label": np.array([0, 1, 0, 1, 1], np.int8),
    "user": np.array([-(2**63), 2**63 - 1, 0, 1, 2]),
}


def test_a_file_of_arrays_has_the_usual_mode(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a", ARRAYS)
    (tmp_path / "usual").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("save", "read"), [(write_table, read_columns), (save_arrays, load_arrays)]
)
def test_arrays_come_back_bit_for_bit(
    tmp_path: Path, save: Callable[..., None], read: Callable[[Path], dict[str, Any]]
) -> None:
    every_other = {n: np.repeat(a, 2)[::2] for n, a in ARRAYS.items()}
    save(tmp_path / "x", every_other)
    found = read(tmp_path / "x")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].tobytes() == array.tobytes()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_json_comes_back_and_refuses_what_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"b": [1, 2.5, None], "ä": "é"})
    assert read_json(path) == {"b": [1, 2.5, None], "ä": "é"}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"b": float("nan")})
    assert read_json(path)["b"] == [1, 2.5, None]


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe\x00", b"[1, 2]", b"PAR1"])
@pytest.mark.parametrize("read", [read_json, read_columns, load_arrays])
def test_an_absent_or_broken_file_is_one_line(
    tmp_path: Path, read: Callable[[Path], Any], content: bytes | None
) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"x .*again") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_json, read_columns, load_arrays])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_a_fifo_a_device_or_a_folder_in_a_file_s_place_is_one_line(
    tmp_path: Path, read: Callable[[Path], Any], kind: str
) -> None:
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(RunError, match=r"x is not readable; .*again"):
        read(path)
    with pytest.raises(OSError, match=r"Is a directory|a fifo, device or socket, no file"):
        regular(path)


def test_the_sha256_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_folder_may_be_entered_that_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shut").mkdir()
    monkeypatch.setattr("os.access", lambda path, _: Path(path).name != "shut")
    assert may_enter(tmp_path)
    assert may_enter(tmp_path / "gone")
    assert not may_enter(tmp_path / "shut")

    def refuse(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert not may_enter(tmp_path / "shut" / "inside")
