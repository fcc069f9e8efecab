"""mmctr_kit.submission.bundle.write: all of a run goes in; what is no trained run is refused."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

import mmctr_kit
from mmctr_kit.errors import MmctrKitError, RunError, UsageError
from mmctr_kit.files import write_json
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.bundle.read import open_bundle
from tests.runs.unsealed import unsealed
from tests.submission.bundle.conftest import bundled


def changed(run: Path, out: Path, **manifest: object) -> Path:
    """A copy of a run with another manifest."""
    unsealed(shutil.copytree(run, out))
    content = json.loads((out / "manifest.json").read_text())
    write_json(out / "manifest.json", content | manifest)
    return out


@pytest.mark.parametrize("name", ["one", "four"])
def test_the_submission_is_what_submit_writes_byte_for_byte(
    runs: Path, tmp_path: Path, name: str
) -> None:
    bundle = bundled(runs / name, tmp_path / "bundle")
    submitted = mmctr_kit.write_submission(
        name,
        "Task2",
        out=tmp_path / "s.zip",
        runs=runs,
        ledger=tmp_path / "ledger",
        progress=lambda _: None,  # else Python warns of the rules that the runs break
    )
    assert (bundle / "submission.zip").read_bytes() == submitted.path.read_bytes()


def test_the_recipe_and_each_models_weights_are_the_runs(runs: Path, tmp_path: Path) -> None:
    bundle = bundled(runs / "four", tmp_path / "bundle")
    assert (bundle / "recipe.yaml").read_text() == Run(runs / "four").recipe_text
    weights = {f: [f"weights/{f}-{s}.safetensors" for s in (0, 1)] for f in ("0", "1")}
    assert open_bundle(bundle).models == weights
    for folder in (runs / "four" / "folds").iterdir():
        copied = bundle / "weights" / f"{folder.name}.safetensors"
        assert copied.read_bytes() == (folder / "weights.safetensors").read_bytes()


def test_requirements_pin_what_the_run_was_trained_with(runs: Path, tmp_path: Path) -> None:
    environment = Run(runs / "one").manifest.environment | {"torch": "2.12.1+cu126"}
    run = changed(runs / "one", tmp_path / "one", environment=environment)
    bundle = bundled(run, tmp_path / "bundle")
    text = (bundle / "requirements.txt").read_text()
    assert "torch==2.12.1\n" in text
    assert text.startswith(
        "# The packages that mmctr-kit imports. torch and numpy: as in training."
    )
    assert open_bundle(bundle).content["packages"]["torch"] == "2.12.1+cu126"


def test_an_item_file_of_the_users_own_goes_along_and_the_recipe_reads_it_there(
    runs: Path, tmp_path: Path
) -> None:
    bundle = bundled(runs / "own", tmp_path / "bundle")
    recipe = yaml.safe_load((bundle / "recipe.yaml").read_text())
    assert recipe["items"]["file"] == "items.parquet"
    assert (bundle / "items.parquet").read_bytes() == (runs / "own.parquet").read_bytes()
    assert str(tmp_path) not in (bundle / "bundle.json").read_text()


def test_an_item_file_that_changed_since_training_is_refused(runs: Path, tmp_path: Path) -> None:
    run = unsealed(shutil.copytree(runs / "own", tmp_path / "own"))
    text = (run / "recipe.yaml").read_text()
    other = tmp_path / "other.parquet"
    (run / "recipe.yaml").write_text(text.replace(str(runs / "own.parquet"), str(other)))
    with pytest.raises(RunError, match=r"items.file=.*other\.parquet, which is gone; put"):
        bundled(run, tmp_path / "bundle")
    other.write_bytes(b"another embedding")
    with pytest.raises(RunError, match=r"which has changed since; put the file back"):
        bundled(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            {"kind": "blend", "sources": ["a", "b"]},
            r"'run' is a blend, which has no weights; bundle each run behind it \(a, b\), or",
        ),
        ({"kind": "imported"}, r"'run' is an import, .* train a recipe with 'mmctr-kit fit'"),
        (
            {"environment": {"mmctr_kit": "0.0.9"}},
            r"trained with mmctr-kit 0\.0\.9, and this is .*; bundle it with that version, or",
        ),
    ],
    ids=["blend", "import", "other version"],
)
def test_what_could_not_be_run_again_is_refused(
    runs: Path, tmp_path: Path, manifest: dict[str, object], message: str
) -> None:
    run = changed(runs / "one", tmp_path / "run", **manifest)
    with pytest.raises(RunError, match=message):
        bundled(run, tmp_path / "bundle")


def test_a_distilled_network_is_refused_since_its_teacher_would_be_missing(
    runs: Path, tmp_path: Path
) -> None:
    run = unsealed(shutil.copytree(runs / "one", tmp_path / "one"))
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["training"] |= {"teacher": "runs/mix", "teacher_weight": 0.5}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(RunError, match=r"'one' learned from training\.teacher \(runs/mix\), which"):
        bundled(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_all_files_have_the_usual_mode(runs: Path, tmp_path: Path) -> None:
    bundle, usual = bundled(runs / "own", tmp_path / "bundle"), tmp_path / "usual"
    usual.touch()
    modes = {path.stat().st_mode for path in bundle.rglob("*") if path.is_file()}
    assert modes == {usual.stat().st_mode}


def test_nothing_is_left_if_a_file_of_the_run_is_missing(runs: Path, tmp_path: Path) -> None:
    run = unsealed(shutil.copytree(runs / "four", tmp_path / "four"))
    (run / "folds" / "1-1" / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"lacks .*1-1/weights\.safetensors; train it again"):
        bundled(run, tmp_path / "bundle")
    assert [p.name for p in tmp_path.iterdir()] == ["four"]


def test_a_folder_that_holds_something_is_refused_and_an_empty_one_is_not(
    runs: Path, tmp_path: Path
) -> None:
    bundled(runs / "one", tmp_path)
    with pytest.raises(UsageError, match="exists and is not an empty folder; name a new one"):
        bundled(runs / "one", tmp_path)
    with pytest.raises(MmctrKitError, match="cannot write beside"):
        bundled(runs / "one", tmp_path / "LICENSE" / "bundle")


def test_the_same_run_gives_the_same_bundle(runs: Path, tmp_path: Path) -> None:
    first, second = (bundled(runs / "one", tmp_path / name) for name in ("a", "b"))
    assert (first / "bundle.json").read_bytes() == (second / "bundle.json").read_bytes()
