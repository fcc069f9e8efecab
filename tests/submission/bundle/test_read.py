"""mmctr_kit.submission.bundle.read: whatever was changed in a bundle is named."""

import json
import shutil
from pathlib import Path

import pytest

from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.submission.bundle.read import open_bundle, rendered
from tests.submission.bundle.conftest import bundled


@pytest.fixture(scope="module")
def written(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled(runs / "own", tmp_path_factory.mktemp("written") / "bundle")


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "bundle"))


def flip(path: Path, position: int) -> None:
    """Flip the lowest bit of one byte."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


FILES = (
    "LICENSE",
    "README.md",
    "items.parquet",
    "logits.safetensors",
    "recipe.yaml",
    "requirements.txt",
    "submission.zip",
    "weights/all-0.safetensors",
)


def test_an_intact_bundle_tells_its_run(written: Path) -> None:
    bundle = open_bundle(written)
    assert (bundle.run, bundle.task, bundle.rows, bundle.threads) == ("own", "Task2", 400, 1)
    assert bundle.models == {"all": ["weights/all-0.safetensors"]}
    assert bundle.recipe().items.file == str(written / "items.parquet")
    assert {k: v.shape for k, v in bundle.logits().items()} == {
        "valid": (1, 400),
        "test": (1, 400),
    }
    assert str(bundle) == f"{written}: own, 1 model, 400 rows of Task2"
    assert set(bundle.content["files"]) == set(FILES)
    assert bundle.extra == ()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("position", [0, -1])
def test_a_file_with_one_flipped_bit_is_named(copy: Path, name: str, position: int) -> None:
    flip(copy / name, position)
    with pytest.raises(DataError, match=rf"damaged bundle '.*': changed: {name}; copy"):
        open_bundle(copy)


def test_all_that_is_missing_and_all_that_was_changed_is_named_at_once(copy: Path) -> None:
    (copy / "LICENSE").unlink()
    shutil.rmtree(copy / "weights")
    flip(copy / "recipe.yaml", 3)
    told = r": changed: recipe.yaml; missing: LICENSE, weights/all-0.safetensors; copy"
    with pytest.raises(DataError, match=told):
        open_bundle(copy)


def test_each_flipped_bit_of_bundle_json_is_noticed(copy: Path) -> None:
    file = copy / "bundle.json"
    whole = file.read_bytes()
    for position in range(0, len(whole), 37):
        flip(file, position)
        with pytest.raises(DataError, match=r"changed: bundle\.json; copy"):
            open_bundle(copy)
        file.write_bytes(whole)
    open_bundle(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"digest": 1}', "\x00"])
def test_anything_else_in_bundle_json_is_no_traceback(copy: Path, text: str) -> None:
    (copy / "bundle.json").write_text(text)
    with pytest.raises(DataError, match="changed: bundle"):
        open_bundle(copy)


def test_a_bundle_of_another_format_says_which_version_reads_it(copy: Path) -> None:
    content = json.loads((copy / "bundle.json").read_text())
    del content["digest"]
    (copy / "bundle.json").write_bytes(rendered(content | {"format": 2}))
    with pytest.raises(DataError, match=r"format 2, expected 1; reproduce it with mmctr-kit 0\."):
        open_bundle(copy)


def test_other_files_are_listed_and_hidden_ones_are_not(copy: Path) -> None:
    (copy / ".venv").mkdir()
    (copy / "notes" / "deep").mkdir(parents=True)
    (copy / "weights" / "more.txt").write_text("")
    assert open_bundle(copy).extra == ("notes", "weights/more.txt")


def test_a_folder_that_is_no_bundle_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no bundle at '.*': it has no bundle\.json; expected"):
        open_bundle(tmp_path)
