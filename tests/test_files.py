"""Files are written whole or not at all, and read back with one-line errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.files import (
    load_arrays,
    read_columns,
    read_json,
    save_arrays,
    write_json,
    write_table,
    write_whole,
)

ARRAYS = {
    "logit": np.array([0.1, -0.0, 5e-324, 1e308, np.pi]),
    "fold": np.array([0, 1, 2, 3, 32767], np.int16),
    "label": np.array([0, 1, 0, 1, 1], np.int8),
    "user": np.array([-(2**63), 2**63 - 1, 0, 1, 2]),
}


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


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def half(to: Path) -> None:
        to.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert path.read_text() == "old"
    write_whole(path, lambda p: p.write_text("new"))
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


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
