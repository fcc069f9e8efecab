"""The cache returns what was built from this content, whole, or builds it."""

import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.cache import (
    Arrays,
    _check,
    cache_contents,
    cache_folder,
    cached,
    clear_cache,
    content_hash,
    read_note,
    write_note,
)
from mmctr_kit.errors import DataError, UsageError


class Builder:
    """Counts its calls."""

    def __init__(self, value: int = 1) -> None:
        self.calls = 0
        self.value = value

    def __call__(self) -> tuple[Arrays, dict[str, Any]]:
        self.calls += 1
        arrays = {"a": np.arange(1000) * self.value, "none": np.zeros(0, np.int32)}
        return arrays, {"calls": self.calls}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry_of(cache: Path) -> Path:
    (entry,) = (p for p in cache.iterdir() if p.name.startswith("kind-"))
    return entry


def test_an_entry_is_built_once_and_comes_back_as_it_was() -> None:
    build = Builder()
    for _ in range(2):
        arrays, meta = cached("kind", {}, {"k": 1}, build)
        assert arrays.keys() == {"a", "none"}
        assert arrays["a"].tolist() == list(range(1000))
        assert arrays["none"].dtype == np.int32
        assert len(arrays["none"]) == 0
        assert meta == {"calls": 1}
    assert build.calls == 1


def test_arrays_are_mapped_and_read_only() -> None:
    arrays, _ = cached("kind", {}, {"k": 1}, Builder())
    assert isinstance(arrays["a"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        arrays["a"][0] = 1


def test_another_key_or_kind_is_another_entry() -> None:
    build = Builder()
    for kind, key in (("kind", {"k": 1}), ("kind", {"k": 2}), ("other", {"k": 1})):
        cached(kind, {}, key, build)
    assert build.calls == 3


def _no_meta(entry: Path) -> None:
    (entry / "meta.json").unlink()


def _cut_meta(entry: Path) -> None:
    (entry / "meta.json").write_text('{"arrays": ["a"')


def _no_array(entry: Path) -> None:
    (entry / "a.npy").unlink()


def _cut_array(entry: Path) -> None:
    with (entry / "a.npy").open("r+b") as handle:
        handle.truncate(500)


def _empty_array(entry: Path) -> None:
    (entry / "a.npy").write_bytes(b"")


def _gone(entry: Path) -> None:
    shutil.rmtree(entry)


@pytest.mark.parametrize(
    "damage", [_no_meta, _cut_meta, _no_array, _cut_array, _empty_array, _gone]
)
def test_a_half_written_or_half_deleted_entry_is_built_again(
    cache: Path, damage: Callable[[Path], None]
) -> None:
    build = Builder()
    cached("kind", {}, {"k": 1}, build)
    damage(entry_of(cache))
    told = nullcontext() if damage is _gone else pytest.warns(UserWarning, match="is damaged: that")
    with told:
        cached("kind", {}, {"k": 1}, build)
    arrays, _ = cached("kind", {}, {"k": 1}, build)
    assert arrays["a"].tolist() == list(range(1000))
    assert build.calls == 2


@given(place=st.integers(0, 8127), bit=st.integers(0, 7), whole=st.booleans())
def test_a_changed_byte_of_an_array_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, whole: bool
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMCTR_KIT_CACHE", str(folder))
        build = Builder()
        cached("kind", {}, {"k": 1}, build)
        path = entry_of(folder) / "a.npy"
        content = bytearray(path.read_bytes())
        content[place] ^= 1 << bit
        path.write_bytes(content if whole else content[:place])
        with pytest.warns(UserWarning, match=r"a\.npy is damaged: that entry is made again"):
            arrays, meta = cached("kind", {}, {"k": 1}, build)
        assert arrays["a"].tolist() == list(range(1000))
        assert meta == {"calls": 2}
        cached("kind", {}, {"k": 1}, build)
        assert build.calls == 2


def test_an_entry_that_cannot_be_opened_for_want_of_files_is_not_called_damaged(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Builder()
    cached("kind", {}, {"k": 1}, build)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(cache))

    with monkeypatch.context() as patch:
        patch.setattr(np, "load", full)
        with pytest.raises(OSError, match="Too many open files"):
            cached("kind", {}, {"k": 1}, build)
    assert cached("kind", {}, {"k": 1}, build)[1] == {"calls": 1}


def test_an_entry_without_digests_is_of_an_earlier_version_and_made_again(cache: Path) -> None:
    build = Builder()
    cached("kind", {}, {"k": 1}, build)
    path = entry_of(cache) / "meta.json"
    path.write_text(json.dumps({"meta": {}, "arrays": ["a", "none"]}))
    for _ in range(2):
        assert cached("kind", {}, {"k": 1}, build)[1] == {"calls": 2}


def test_a_note_of_a_hash_with_another_digit_is_not_believed(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    before = content_hash(file)
    (note,) = (cache / "hashes").glob("*.json")
    digit = "0" if before[0] != "0" else "1"
    note.write_text(note.read_text().replace(before, digit + before[1:]))
    assert content_hash(file) == before


def test_a_builder_that_fails_leaves_nothing(cache: Path) -> None:
    def fail() -> tuple[Arrays, dict[str, Any]]:
        raise DataError("no")

    with pytest.raises(DataError):
        cached("kind", {}, {"k": 1}, fail)
    assert not [p for p in cache.iterdir() if "kind" in p.name]
    assert cached("kind", {}, {"k": 1}, Builder())[1] == {"calls": 1}


@pytest.mark.filterwarnings("ignore:.* is damaged")
@pytest.mark.parametrize("garbage", [False, True])
def test_builders_side_by_side_end_with_one_good_entry(cache: Path, garbage: bool) -> None:
    if garbage:
        cached("kind", {}, {"k": 1}, Builder())
        _no_array(entry_of(cache))
    count = 4
    together = threading.Barrier(count)
    results: list[Arrays] = []

    def build() -> tuple[Arrays, dict[str, Any]]:
        together.wait()
        return Builder()()

    threads = [
        threading.Thread(target=lambda: results.append(cached("kind", {}, {"k": 1}, build)[0]))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r["a"].tolist() for r in results] == [list(range(1000))] * count
    never = Builder()
    cached("kind", {}, {"k": 1}, never)
    assert never.calls == 0
    assert [p.name for p in cache.iterdir()] == [entry_of(cache).name]


def test_a_touched_file_has_its_hash_and_a_changed_value_another(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"aaaa")
    first = content_hash(path)
    os.utime(path, ns=(1, 1))
    assert content_hash(path) == first
    times = path.stat()
    path.write_bytes(b"aaab")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert content_hash(path) != first
    path.write_bytes(b"aaaa")
    assert content_hash(path) == first


def test_an_unchanged_file_is_not_read_again(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"aaaa")
    content_hash(path)
    (memo,) = (cache / "hashes").iterdir()
    known = json.loads(memo.read_text())
    known |= {"sha256": "remembered"}
    del known["check"]
    memo.write_text(json.dumps(known | {"check": _check(known)}))
    assert content_hash(path) == "remembered"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"seen": 1}'])
def test_a_broken_note_of_a_hash_is_not_believed(
    cache: Path, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"aaaa")
    first = content_hash(path)
    (memo,) = (cache / "hashes").iterdir()
    memo.write_bytes(content)
    assert content_hash(path) == first


def test_a_cache_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError, match="set MMCTR_KIT_CACHE to another folder"):
        cache_folder()


def test_without_a_named_folder_the_cache_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMCTR_KIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "mmctr-kit"
    assert cache_folder().is_dir()


@pytest.mark.parametrize("name", [".", "absent"])
def test_a_file_that_cannot_be_read_is_a_data_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        content_hash(tmp_path / name)


def test_a_hash_that_cannot_be_noted_is_the_files_all_the_same(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"aaaa")
    cache.mkdir()
    (cache / "hashes").touch()
    assert content_hash(path) == hashlib.sha256(b"aaaa").hexdigest()


def test_a_full_disk_leaves_no_half_note(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"aaaa")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert content_hash(path) == hashlib.sha256(b"aaaa").hexdigest()
    assert list((cache / "hashes").iterdir()) == []


class Reader:
    """Builds from a file that somebody replaces before it is read, ``times`` times."""

    def __init__(self, path: Path, times: int) -> None:
        self.path = path
        self.times = times
        self.calls = 0

    def __call__(self) -> tuple[Arrays, dict[str, Any]]:
        self.calls += 1
        if self.calls <= self.times:
            other = self.path.with_name("other")
            other.write_bytes(b"%04d" % self.calls)
            other.replace(self.path)
        return {"a": np.frombuffer(self.path.read_bytes(), np.uint8)}, {}


def test_a_file_replaced_between_hashing_and_reading_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old!")
    build = Reader(path, times=1)
    arrays, _ = cached("kind", {"x": path}, {}, build)
    assert bytes(arrays["a"]) == b"0001"
    assert build.calls == 2
    path.write_bytes(b"old!")  # what was built of other content is not kept as of this one
    assert bytes(cached("kind", {"x": path}, {}, build)[0]["a"]) == b"old!"


def test_a_file_that_goes_on_changing_is_one_line_and_no_entry(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old!")
    with pytest.raises(DataError, match="x changed while being read; wait") as caught:
        cached("kind", {"x": path}, {}, Reader(path, times=9))
    assert "\n" not in str(caught.value)
    assert [p.name for p in cache.iterdir()] == ["hashes"]


PLACED = f"placed-{'0' * 24}"
# As another machine names them, whose locks are not seen here.
NEW, LEFT = ".mmctr-kit-writing-01234567-newnewne", ".mmctr-kit-writing-01234567-leftleft"


def filled(cache: Path) -> None:
    """Two entries of a kind, a checksum, a data folder, and what is being written or was left."""
    for k in (1, 2):
        cached("kind", {}, {"k": k}, Builder())
    (cache.parent / "file").write_text("x")
    content_hash(cache.parent / "file")
    for name in (PLACED, NEW, LEFT):
        (cache / name).mkdir()
        (cache / name / "file").write_bytes(bytes(100))
    (cache / ".locks").mkdir()
    os.utime(cache / LEFT, (0, 0))


def test_the_cache_is_counted_by_kind(cache: Path) -> None:
    assert cache_contents() == []
    filled(cache)
    kinds = {each.kind: each for each in cache_contents()}
    counts = {kind: each.entries for kind, each in kinds.items()}
    assert counts == {"kind": 2, "hashes": 1, "placed": 1, "unfinished": 2}
    assert (kinds["placed"].size, kinds["placed"].cleared) == (100, False)
    assert kinds["kind"].size > 16_000
    assert cache_contents()[0].kind == "kind"


def test_clearing_leaves_what_a_command_may_be_reading_or_writing(cache: Path) -> None:
    filled(cache)
    mapped, _ = cached("kind", {}, {"k": 1}, Builder())
    clear_cache()
    assert sorted(path.name for path in cache.iterdir()) == [".locks", NEW, PLACED]
    assert mapped["a"].tolist() == list(range(1000))  # still open
    build = Builder()
    assert cached("kind", {}, {"k": 1}, build)[0]["a"].tolist() == list(range(1000))
    assert build.calls == 1
    clear_cache(["placed"])
    assert not (cache / PLACED).exists()
    assert len(list(cache.glob("kind-*"))) == 1


def test_a_command_that_uses_the_cache_while_it_is_cleared_goes_on(cache: Path) -> None:
    del cache
    stop = threading.Event()

    def clear() -> None:
        while not stop.is_set():
            clear_cache()

    thread = threading.Thread(target=clear)
    thread.start()
    try:
        for k in range(100):
            arrays, _ = cached("kind", {}, {"k": k % 3}, Builder())
            assert int(arrays["a"].sum()) == 499_500
    finally:
        stop.set()
        thread.join()


def test_a_cache_folder_that_the_kit_makes_is_its_owner_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "new"))
    assert cache_folder().stat().st_mode & 0o777 == 0o700
    (tmp_path / "shared").mkdir(0o755)
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "shared"))
    assert cache_folder().stat().st_mode & 0o777 == 0o755


def test_a_note_comes_back_as_it_was_and_one_that_was_changed_does_not(
    cache: Path, tmp_path: Path
) -> None:
    assert read_note("runs", tmp_path) == {}
    write_note("runs", tmp_path, {"a": [1, None, 0.1]})
    assert read_note("runs", tmp_path) == {"a": [1, None, 0.1]}
    assert read_note("runs", tmp_path / "other") == {}
    (path,) = (cache / "runs").iterdir()
    path.write_text(path.read_text().replace("0.1", "0.2"))
    assert read_note("runs", tmp_path) == {}
    assert [(each.kind, each.entries) for each in cache_contents()] == [("runs", 1)]


def test_a_note_that_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mmctr_kit.data.cache.write_whole", full)
    write_note("runs", tmp_path, {"a": 1})
    assert read_note("runs", tmp_path) == {}
