"""Folders as bytes: they arrive whole or not at all, and data go once to a machine."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmctr_kit.cv.executors.shipping import DataFiles, Parcel
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, RunError
from mmctr_kit.recipe import load_recipe

NAMES = st.from_regex(r"[a-z]{1,8}\.(json|safetensors)", fullmatch=True)


@pytest.mark.slow
@given(files=st.dictionaries(NAMES, st.binary(max_size=200), max_size=5))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_unpacked_is_what_was_packed(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    here, there = (tmp_path_factory.mktemp(name) / "0-0" for name in ("here", "there"))
    for folder in (here, there):
        folder.mkdir()
        (folder / "of_before.json").write_text("{}")
    (here / "of_before.json").unlink()
    (here / ".weights.tmp").write_text("half written")
    for name, content in files.items():
        (here / name).write_bytes(content)
    Parcel.of(here).unpack(there)
    assert {p.name: p.read_bytes() for p in there.iterdir()} == files


def test_a_damaged_parcel_changes_nothing(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "weights").write_bytes(b"right")
    sent = Parcel.of(here)
    sent.unpack(there)
    for files in ({"weights": b"wrong"}, {"weights": b"right", "more": b""}, {}):
        with pytest.raises(RunError, match=r"there arrived damaged; run the command again"):
            replace(sent, files=files).unpack(there)
    assert [p.read_bytes() for p in there.iterdir()] == [b"right"]


def test_data_are_the_same_in_the_place_that_a_machine_has_for_them(
    tiny: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("din_demo", ["items.embedding=file", f"items.file={tmp_path / 'own'}"])
    (tmp_path / "own").write_bytes(b"vectors")
    files = DataFiles.of(recipe, tiny)
    assert files.are_here()
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "cache"))
    folder = files.place(files.read())
    assert folder == files.placed
    assert load(folder).rows_fingerprint == tiny.rows_fingerprint
    placed = files.recipe_at(recipe, folder)
    assert placed.items.file is not None
    assert Path(placed.items.file).read_bytes() == b"vectors"
    assert files.place({}) == folder  # nothing is written again
    placed_file = Path(placed.items.file)
    placed_file.write_bytes(b"Vectors")
    assert not files.are_placed()
    with pytest.warns(UserWarning, match=r"placed-\w+ was damaged: data sent again"):
        files.place(files.read())
    assert files.are_placed()
    assert placed_file.read_bytes() == b"vectors"


def test_a_file_that_changed_is_neither_here_nor_sent(tiny: ChallengeData, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_bytes(b"vectors")
    recipe = load_recipe("din_demo", ["items.embedding=file", f"items.file={own}"])
    files = DataFiles.of(recipe, tiny)
    own.write_bytes(b"others")
    assert not files.are_here()
    with pytest.raises(DataError, match="own changed while the command ran"):
        files.read()
    own.unlink()
    assert not files.are_here()
