"""MovieLens in any of its formats is found by its files, and makes the same data."""

from pathlib import Path

import pytest

from mmctr_kit.datasets.imports.load import load_spec, shipped
from mmctr_kit.datasets.imports.movielens import spec_of
from mmctr_kit.datasets.imports.write import SPEC_COPY, import_data
from mmctr_kit.errors import DataError, UsageError
from tests.datasets.imports.made_movielens import WRITERS, make_source

NAMES = {
    "ml-100k": "movielens-100k",
    "ml-1m": "movielens-dat",
    "ml-latest": "movielens-csv",
    "recbole": "recbole",
}


def contents(out: Path, *without: str) -> dict[str, bytes]:
    files = (p for p in sorted(out.rglob("*")) if p.is_file())
    read = {str(p.relative_to(out)): p.read_bytes() for p in files}
    return {name: content for name, content in read.items() if name not in without}


def convert(source: Path, out: Path, seed: int = 0) -> dict[str, bytes]:
    spec, folder = spec_of(source, seed)
    import_data(spec, folder, out)
    return contents(out)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("movielens")
    convert(make_source(folder / "src"), folder / "out")
    return folder / "out"


@pytest.mark.parametrize("name", ["ml-1m", "ml-latest", "recbole"])
def test_every_format_of_the_same_data_gives_the_same_files(
    name: str, out: Path, tmp_path: Path
) -> None:
    convert(make_source(tmp_path / "src", WRITERS[name]), tmp_path / "out")
    assert contents(tmp_path / "out", SPEC_COPY) == contents(out, SPEC_COPY)


@pytest.mark.parametrize(("name", "shipped_name"), NAMES.items())
def test_the_short_way_and_the_shipped_spec_write_the_same_bytes(
    name: str, shipped_name: str, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "src", WRITERS[name])
    short = convert(source, tmp_path / "short")
    import_data(load_spec(shipped()[shipped_name]), source, tmp_path / "import")
    assert contents(tmp_path / "import") == short


def test_another_seed_gives_other_rows(out: Path, tmp_path: Path) -> None:
    other = convert(make_source(tmp_path / "src"), tmp_path / "out", seed=1)
    same = [name for name, content in contents(out).items() if other[name] == content]
    assert "item_emb.parquet" in same
    assert "MicroLens_1M_x1/train.parquet" not in same


def test_the_ratings_file_itself_may_be_named(tmp_path: Path) -> None:
    source = make_source(tmp_path / "src", WRITERS["recbole"])
    (source / "y.inter").write_text("")
    with pytest.raises(UsageError, match="several ratings files"):
        spec_of(source, 0)
    spec, folder = spec_of(source / "x.inter", 0)
    assert (spec.interactions.files, folder) == (("x.inter",), source)
    assert spec.items is not None
    assert spec.items.files == ("x.item",)


def test_what_is_no_movielens_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UsageError, match="nothing at"):
        spec_of(tmp_path / "nowhere", 0)
    with pytest.raises(DataError, match="no ratings file in"):
        spec_of(tmp_path, 0)
    with pytest.raises(UsageError, match="no ratings file by its name"):
        spec_of(tmp_path / "notes.txt", 0)
    with pytest.raises(UsageError, match="seed is -1"):
        spec_of(tmp_path, -1)
