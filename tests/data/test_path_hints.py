"""mmctr_kit.data.path_hints: the data folder and the files that were meant."""

import shutil
from pathlib import Path

import pytest

from mmctr_kit.audit.check import check_data
from mmctr_kit.audit.findings import Level
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, UsageError

INNER = Path(FILES["train"].path).parent


def refusal(folder: Path) -> str:
    """The one line of every command that reads a data folder."""
    with pytest.raises(UsageError) as by_check:
        check_data(folder)
    with pytest.raises(UsageError) as by_load:
        load(folder)
    assert str(by_check.value) == str(by_load.value)
    return str(by_check.value)


def test_the_folder_above_or_below_is_named_even_where_a_file_is_missing(
    check_folder: Path,
) -> None:
    (check_folder / FILES["valid"].path).unlink()
    for named, meant in (
        (check_folder / INNER, check_folder),
        (check_folder.parent, check_folder),
    ):
        assert refusal(named) == f"'{named}' is not a data folder, but '{meant}' is: use that one"
    other = check_folder.rename(check_folder.with_name("download"))
    assert f"but '{other}' is" in refusal(other.parent)


def test_files_that_lie_flat_are_to_be_moved_into_their_folder(check_folder: Path) -> None:
    for path in (check_folder / INNER).iterdir():
        path.rename(check_folder / path.name)
    (check_folder / INNER).rmdir()
    (check_folder / "item_images").mkdir()
    files = "train.parquet, valid.parquet, test.parquet, item_info.parquet"
    lie = f"is not a data folder: {files} are in '{check_folder}' itself; move them to"
    assert refusal(check_folder) == (
        f"'{check_folder}' {lie} '{check_folder / INNER}' and use '{check_folder}'"
    )
    above, below = check_folder.parent, check_folder / "item_images"
    assert refusal(above) == f"'{above}' {lie} '{above / INNER}' and use '{above}'"
    assert refusal(below) == (f"'{below}' {lie} '{check_folder / INNER}' and use '{check_folder}'")


def test_single_files_astray_are_found_by_the_check(check_folder: Path) -> None:
    (check_folder / FILES["valid"].path).rename(check_folder / "valid.parquet")
    shutil.move(check_folder / "item_emb.parquet", check_folder / INNER)
    findings = check_data(check_folder)
    (needed,) = [f for f in findings if f.id == "files-needed"]
    (optional,) = [f for f in findings if f.id == "files-optional"]
    assert needed.todo == f"move valid.parquet from DATA itself to {INNER}/"
    assert optional.todo == f"move {INNER}/item_emb.parquet up into DATA"


@pytest.mark.parametrize(
    ("content", "kind", "todo"),
    [
        (b"\n<!DOCTYPE html><title>Sign in</title>", "an HTML or XML page", "log in"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer", "git lfs pull"),
        (b"PK\x03\x04\x14\x00", "a zip archive", "unpack it"),
        (b"\x1f\x8b\x08", "a gzip file", "unpack it"),
        (b'{"error": 404}', "JSON text", "download it again"),
    ],
)
def test_what_is_no_parquet_file_is_named_for_what_it_is(
    content: bytes, kind: str, todo: str, check_folder: Path
) -> None:
    path = FILES["test"].path
    (check_folder / path).write_bytes(content)
    (failed,) = [f for f in check_data(check_folder) if f.level is Level.FAIL]
    assert failed.what == f"{path} is {kind}, not a parquet file"
    assert todo in failed.todo
    with pytest.raises(DataError, match=f"is {kind}, not a parquet file; .*{todo}"):
        load(check_folder)
