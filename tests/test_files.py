"""Files are written whole or not at all, and read back with one-line errors."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import (
    folder_size,
    is_locked,
    load_arrays,
    locked,
    made_folder,
    read_columns,
    read_json,
    require_free,
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


HOLD = """
import sys
from pathlib import Path
from mmctr_kit.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_what_another_process_holds_is_refused_until_it_ends_or_is_killed(
    tmp_path: Path, killed: bool
) -> None:
    mine, other = tmp_path / "runs" / "x", tmp_path / "runs" / "y"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(mine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="'x' is being written by another"), locked(mine):
            pass
        with locked(other):
            pass
        if killed:
            process.kill()
        process.communicate()
    with locked(mine):
        pass


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        process.stdin.close()
        with locked(path, wait=True):
            pass
        assert process.wait() == 0


def test_a_lock_is_released_if_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), locked(tmp_path / "x"):
        raise ValueError("boom")
    with locked(tmp_path / "x"):
        pass


def test_a_folder_that_cannot_be_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match="choose another folder"), locked(tmp_path / "runs" / "x"):
        pass


def test_a_name_is_free_for_a_new_file_of_its_kind(tmp_path: Path) -> None:
    def refused(path: Path, replace: bool) -> str:
        with pytest.raises(UsageError) as caught:
            require_free(path, "a page", (".html", ".htm"), replace, "; name another --out")
        return str(caught.value)

    page = tmp_path / "a.HTM"
    require_free(page, "a page", (".html", ".htm"), False, "")
    page.touch()
    assert refused(page, False) == f"'{page}' exists; name another --out"
    require_free(page, "a page", (".html", ".htm"), True, "")
    text = tmp_path / "a.txt"
    assert refused(text, True) == f"'{text}' is no name for a page; end it in .html"
    folder = tmp_path / "b.html"
    folder.mkdir()
    assert refused(folder, True) == f"'{folder}' is a folder; name a file, like {folder}/name.html"


def test_a_replaced_folder_has_its_new_content_even_if_the_old_cannot_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError(16, "busy", str(path))

    out = tmp_path / "run"
    out.mkdir()
    (out / "old").touch()
    monkeypatch.setattr("mmctr_kit.files.shutil.rmtree", busy)
    with made_folder(out, replace=True) as part:
        (part / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]


def test_asking_whether_a_lock_is_held_makes_no_file_and_disturbs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert not is_locked(path)
    assert list(tmp_path.iterdir()) == []
    asked = threading.Event()

    def ask() -> None:
        while not asked.is_set():
            is_locked(path)

    with locked(path):
        assert is_locked(path)
        thread = threading.Thread(target=ask)
        thread.start()
    try:
        for _ in range(50):
            with locked(path):
                pass
    finally:
        asked.set()
        thread.join()
    assert not is_locked(path)


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"123")
    (tmp_path / "a" / "b" / "two").write_bytes(b"4567")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "nowhere")
    assert folder_size(tmp_path / "a") - len(str(tmp_path / "nowhere")) == 7
    assert folder_size(tmp_path / "a" / "one") == 3
    assert folder_size(tmp_path / "none") == 0
