"""Files and folders are whole or not there, whatever ends the writer; nothing is left for long."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.files import (
    folder_size,
    is_workplace,
    made_folder,
    new_folder,
    require_free,
    workplace,
    write_whole,
)
from tests.files.left import left_behind
from tests.files.power_cut import Disk


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
    assert refused(text, True) == f"'{text}' is no name for a page; end it in .html or .htm"
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
    monkeypatch.setattr("mmctr_kit.files.writing.shutil.rmtree", busy)
    with made_folder(out, replace=True) as part:
        (part / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"123")
    (tmp_path / "a" / "b" / "two").write_bytes(b"4567")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "nowhere")
    assert folder_size(tmp_path / "a") - len(str(tmp_path / "nowhere")) == 7
    assert folder_size(tmp_path / "a" / "one") == 3
    assert folder_size(tmp_path / "none") == 0


def test_after_a_power_cut_a_file_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with Disk(tmp_path, monkeypatch) as disk:
        write_whole(path, lambda to: to.write_text("new"))
    assert len(disk.cuts) > 8
    assert {cut["x"] for cut in disk.cuts} == {b"old", b"new"}
    assert [cut["x"] for cut in disk.now()] == [b"new", b"new"]


@pytest.mark.parametrize("forgotten", ["file", "folder"])
def test_the_simulated_power_cut_shows_what_was_not_brought_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    bring = vars(sys.modules["mmctr_kit.files.writing"])["_bring_to_disk"]

    def forget(path: Path) -> None:
        if path.is_dir() != (forgotten == "folder"):
            bring(path)

    monkeypatch.setattr("mmctr_kit.files.writing._bring_to_disk", forget)
    path = tmp_path / "x"
    path.write_text("old")
    with Disk(tmp_path, monkeypatch) as disk:
        write_whole(path, lambda to: to.write_text("new"))
    if forgotten == "file":
        assert b"" in {cut["x"] for cut in disk.cuts}
    assert [cut["x"] for cut in disk.now()] != [b"new", b"new"]


@pytest.mark.parametrize("before", ["nothing", "empty", "replaced"])
@pytest.mark.parametrize("one_by_one", [200, 1])
def test_after_a_power_cut_a_folder_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, one_by_one: int
) -> None:
    monkeypatch.setattr("mmctr_kit.files.writing._MANY", one_by_one)
    out, old = tmp_path / "out", {}
    if before != "nothing":
        out.mkdir()
    if before == "replaced":
        (out / "old").write_text("old")
        old = {"out/old": b"old"}
    new = {f"out/a/{n}": str(n).encode() for n in range(3)}
    with Disk(tmp_path, monkeypatch) as disk, made_folder(out, before == "replaced") as part:
        (part / "a").mkdir()
        for n in range(3):
            (part / "a" / str(n)).write_text(str(n))
    # A workplace that is left goes with the next write.
    seen = [{k: v for k, v in cut.items() if "mmctr-kit" not in k} for cut in disk.cuts]
    assert all(cut in ({}, old, new) for cut in seen)
    assert seen[-2:] == [new, new]


KILLED = """
import os, signal, sys
from pathlib import Path
from mmctr_kit.files import made_folder, write_whole
def die(to):
    to.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "file":
    write_whole(Path("x"), die)
else:
    with made_folder(Path("out")) as part:
        die(part / "x")
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_a_killed_writer_left_goes_with_the_next_write_there(
    tmp_path: Path, what: str
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, what], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert is_workplace(left[0])
    write_whole(tmp_path / "y", lambda to: to.write_text("new"))
    assert [p.name for p in tmp_path.iterdir()] == ["y"]


def test_what_is_being_written_or_was_on_another_machine_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / ".mmctr-kit-writing-01234567-elsewher"
    elsewhere.mkdir()
    with workplace(tmp_path) as mine:
        write_whole(tmp_path / "y", lambda to: to.write_text("new"))
        assert mine.is_dir()
        assert elsewhere.is_dir()
        os.utime(elsewhere, (0, 0))
        write_whole(tmp_path / "y", lambda to: to.write_text("new"))
        assert mine.is_dir()
        assert not elsewhere.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["y"]


def test_a_folder_that_holds_only_what_a_kill_left_is_new(tmp_path: Path) -> None:
    (left_behind(tmp_path) / "half").touch()
    with new_folder(tmp_path) as part:
        (part / "x").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_nobody_else_can_foresee_or_enter_where_a_file_is_written(tmp_path: Path) -> None:
    seen = []

    def write(to: Path) -> None:
        assert to.parent.parent == tmp_path
        assert to.parent.stat().st_mode & 0o777 == 0o700
        seen.append(to.parent.name)
        to.write_text("new")

    for _ in range(20):
        write_whole(tmp_path / "x", write)
    assert len({name[-8:] for name in seen}) == 20


def test_a_link_is_replaced_and_what_it_points_to_is_not_touched(tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "file").write_text("far")
    (tmp_path / "file").symlink_to(far / "file")
    (tmp_path / "folder").symlink_to(far)
    write_whole(tmp_path / "file", lambda to: to.write_text("new"))
    with made_folder(tmp_path / "folder", replace=True) as part:
        (part / "x").touch()
    assert [p.read_text() for p in far.iterdir()] == ["far"]
    assert not (tmp_path / "file").is_symlink()
    assert not (tmp_path / "folder").is_symlink()
    (tmp_path / "nothing").symlink_to(tmp_path / "nowhere")
    refused = pytest.raises(
        UsageError, match="a link to nothing; delete it, or name another folder"
    )
    with refused, made_folder(tmp_path / "nothing"):
        pass
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_folder_is_filled_and_stays_the_folder_that_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(0o750)
    before = out.stat()
    with new_folder(out) as part:
        (part / "x").touch()
    assert (out.stat().st_ino, out.stat().st_mode) == (before.st_ino, before.st_mode)
    assert [p.name for p in out.iterdir()] == ["x"]
    with pytest.raises(UsageError, match="is not an empty folder"), new_folder(out):
        pass


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), lambda to: to.write_text("new"))
    with made_folder(tmp_path / ("y" * 255)) as part:
        (part / "x").touch()
    assert {len(p.name) for p in tmp_path.iterdir()} == {255}
