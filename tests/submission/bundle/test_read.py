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


EDITABLE = ("LICENSE", "README.md")
FILES = (
    "code/mmctr_kit/__init__.py",
    "items.parquet",
    "logits.safetensors",
    "recipe.yaml",
    "requirements.txt",
    "submission.zip",
    "weights/all-0.safetensors",
)


def test_an_intact_bundle_knows_its_run(written: Path) -> None:
    bundle = open_bundle(written)
    assert (bundle.run, bundle.task, bundle.rows, bundle.threads) == ("own", "Task2", 400, 1)
    assert bundle.models == {"all": ["weights/all-0.safetensors"]}
    assert bundle.recipe().items.file == str(written / "items.parquet")
    assert {k: v.shape for k, v in bundle.logits().items()} == {
        "valid": (1, 400),
        "test": (1, 400),
    }
    assert str(bundle) == f"{written}: own, 1 model, 400 rows of Task2"
    files = {n for n in bundle.content["files"] if not n.startswith("code/") or n in FILES}
    assert files == {*FILES, *EDITABLE}
    assert (bundle.extra, bundle.edited) == ((), ())


def test_its_repr_is_short_and_a_notebook_shows_score_and_rules(written: Path) -> None:
    bundle = open_bundle(written)
    assert repr(bundle) == f"<Bundle {written}: own, 1 model, Task2>"
    shown = bundle._repr_html_()
    assert f"<b>{bundle}</b><br>valid AUC {bundle.valid_auc}; rules of Task2: broken: " in shown


def test_its_rules_are_those_that_the_run_breaks(written: Path) -> None:
    (rule,) = open_bundle(written).rules
    assert rule.startswith("broken: the item embedding is one of v1, v2, v3 or e4, as given (own: ")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("position", [0, -1])
def test_a_file_with_one_flipped_bit_is_named(copy: Path, name: str, position: int) -> None:
    flip(copy / name, position)
    with pytest.raises(DataError, match=rf"damaged bundle '.*': changed: {name}; copy"):
        open_bundle(copy)


@pytest.mark.parametrize("name", EDITABLE)
def test_readme_and_licence_may_be_edited_but_not_deleted(copy: Path, name: str) -> None:
    with (copy / name).open("a") as file:
        file.write("Team Two")
    assert open_bundle(copy).edited == (name,)
    (copy / name).unlink()
    with pytest.raises(DataError, match=f": missing: {name}; copy"):
        open_bundle(copy)


def test_of_many_missing_files_the_first_are_named(copy: Path) -> None:
    shutil.rmtree(copy / "code")
    (copy / "LICENSE").unlink()
    with pytest.raises(DataError, match=r": missing: LICENSE, code/.*, code/.*, [0-9]+ more; copy"):
        open_bundle(copy)


def test_an_added_item_file_is_no_part_of_a_recipe_that_reads_none(
    runs: Path, tmp_path: Path, written: Path
) -> None:
    folder = bundled(runs / "one", tmp_path / "bundle")
    shutil.copyfile(written / "items.parquet", folder / "items.parquet")
    bundle = open_bundle(folder)
    assert bundle.extra == ("items.parquet",)
    assert bundle.recipe().items.file is None


def test_all_that_is_missing_and_all_that_was_changed_is_named_at_once(copy: Path) -> None:
    (copy / "LICENSE").unlink()
    shutil.rmtree(copy / "weights")
    flip(copy / "recipe.yaml", 3)
    message = r": changed: recipe.yaml; missing: LICENSE, weights/all-0.safetensors; copy"
    with pytest.raises(DataError, match=message):
        open_bundle(copy)


def test_each_flipped_bit_of_bundle_json_is_noticed(copy: Path) -> None:
    file = copy / "bundle.json"
    whole = file.read_bytes()
    for position in range(0, len(whole), 101):
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
    (copy / "code" / "mmctr_kit" / "__pycache__").mkdir()
    (copy / "code" / "torch.py").write_text("")
    (copy / "notes" / "deep").mkdir(parents=True)
    (copy / "weights" / "more.txt").write_text("")
    assert open_bundle(copy).extra == ("code/torch.py", "notes", "weights/more.txt")


def test_a_folder_that_is_no_bundle_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no bundle at '.*': it has no bundle\.json; expected"):
        open_bundle(tmp_path)
