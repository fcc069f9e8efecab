"""Pictures by new id: from a folder or a column, and folders that are one level off."""

from pathlib import Path

import pyarrow as pa
import pytest

from mmctr_kit.datasets.imports.load import parse_spec
from mmctr_kit.datasets.imports.pictures import copy_pictures
from mmctr_kit.errors import DataError, MmctrKitError, UsageError

IDS = ["a", "b", "c", "d"]


def copy(folder: Path, ids: list[str] = IDS, **keys: str) -> dict[str, int]:
    items = {"files": ["items.csv"], "id": "id", **keys}
    spec = parse_spec(
        {"interactions": {"files": ["x"], "user": "u", "item": "i"}, "items": items}, "spec.yaml"
    )
    (folder / "out").mkdir()
    return dict(copy_pictures(spec, folder, folder / "out", pa.array(ids, pa.large_string())))


def pictures(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in (folder / "out" / "item_images").iterdir()}


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)


def test_pictures_named_by_item_are_linked_by_new_id(tmp_path: Path) -> None:
    fill(tmp_path / "photos", "b.PNG", "b.webp", "a.jpg", "z.jpg", "c.txt", ".jpg")
    counts = copy(tmp_path, pictures="photos")
    assert counts == {"items_with_picture": 2, "items_without_picture": 2}
    assert pictures(tmp_path) == {"1.jpg": "a.jpg", "2.png": "b.PNG"}
    assert (tmp_path / "photos" / "a.jpg").stat().st_nlink == 2


def test_where_links_are_refused_pictures_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    fill(tmp_path / "photos", "a.jpg")
    copy(tmp_path, pictures="photos")
    assert pictures(tmp_path) == {"1.jpg": "a.jpg"}
    assert (tmp_path / "photos" / "a.jpg").stat().st_nlink == 1


def test_a_column_has_the_paths(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "deep", "1.jpg", "2.gif")
    rows = "id,photo\na,deep/1.jpg\nb,deep/2.gif\nc,deep/no.jpg\nd,\nz,deep/1.jpg\n"
    (tmp_path / "items.csv").write_text(rows)
    counts = copy(tmp_path, pictures="photos", picture="photo")
    assert counts == {"items_with_picture": 1, "items_without_picture": 3}
    assert pictures(tmp_path) == {"1.jpg": "1.jpg"}


@pytest.mark.parametrize(
    ("place", "named"), [("photos", "photos/small"), ("photos/small/info", "photos/small")]
)
@pytest.mark.parametrize("column", [False, True])
def test_a_folder_one_level_off_is_named(
    tmp_path: Path, place: str, named: str, column: bool
) -> None:
    fill(tmp_path / "photos" / "small", "a.jpg")
    fill(tmp_path / "photos" / "small" / "info", "readme.txt")
    (tmp_path / "items.csv").write_text("id,photo\na,a.jpg\n")
    keys = {"pictures": place, **({"picture": "photo"} if column else {})}
    with pytest.raises(UsageError, match=f"they are in '{tmp_path}/{named}'; set"):
        copy(tmp_path, **keys)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pictures": "photo"}, r"no folder '.*photo' \(did you mean photos\?\)"),
        ({"pictures": "photos"}, "no picture of any item .* expected a.jpg, .* found img_1.jpg"),
        ({"pictures": "photos", "picture": "path"}, "no picture that column path names; .*'q.jpg'"),
        ({"pictures": "photos", "picture": "url"}, "line 2: url is the address 'http://x/a.jpg'"),
    ],
)
def test_no_picture_at_all_is_an_error(tmp_path: Path, keys: dict[str, str], message: str) -> None:
    fill(tmp_path / "photos", "img_1.jpg")
    (tmp_path / "items.csv").write_text("id,path,url\na,q.jpg,http://x/a.jpg\n")
    with pytest.raises(MmctrKitError, match=message) as raised:
        copy(tmp_path, **keys)
    assert isinstance(raised.value, UsageError) == (keys["pictures"] == "photo")
    assert isinstance(raised.value, DataError) == (keys["pictures"] == "photos")


def test_without_pictures_in_the_spec_nothing_is_made(tmp_path: Path) -> None:
    assert copy(tmp_path) == {}
    assert not list((tmp_path / "out").iterdir())
