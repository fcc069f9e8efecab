"""``mmctr-kit bundle`` and ``reproduce``: README's own commands work, and damage exits 1."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit import generate_data
from mmctr_kit.submission.bundle.read import open_bundle
from tests.cli.conftest import TRAIN, mistake, run
from tests.test_house import loaded_by


@pytest.fixture(scope="module")
def bundle(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose data is beside it."""
    folder = tmp_path_factory.mktemp("bundled")
    data, runs = str(tiny_root / "data"), str(folder / "runs")
    done = run("fit", "din_demo", "--data", data, "--runs", runs, *TRAIN)
    assert done.exit_code == 0, done.output
    out = folder / "entry"
    made = run("bundle", "din_demo-fit", "--out", str(out), "--license", "MIT", "--runs", runs)
    assert made.exit_code == 0, made.output
    sha256 = json.loads((out / "bundle.json").read_text())["files"]["submission.zip"]
    assert "din_demo-fit, 1 model, 400 rows of Task2" in made.output
    assert "for Task2, as no --task was given; --task Task1 or both: for the others" in made.output
    assert f"sha256 of submission.zip: {sha256}" in made.output
    assert "din_demo-fit: rules kept: Task1&2; breached: Task1, Task2" in made.output
    assert " WARN  rule-given-embedding " in made.output
    return out


def test_the_commands_of_its_readme_work(
    bundle: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    kit = r"^PYTHONPATH=code python -m mmctr_kit (.*?)(?: +#.*)?$"
    lines = re.findall(kit, Path("README.md").read_text(), re.MULTILINE)
    commands = [shlex.split(line.replace("DATA", str(tiny_root / "data"))) for line in lines]
    assert [command[:2] for command in commands] == [["reproduce", "."]] * 2 + [
        ["submit", "--check"]
    ]
    for command in commands:
        done = run(*command)
        assert done.exit_code == 0, done.output
        if command[0] == "reproduce":
            assert "identical: the submission has the same bytes (400 rows)" in done.output
    assert "all predictions identical" in run(*commands[1]).output


@pytest.mark.slow
def test_the_copy_of_the_kit_in_it_reproduces_it(bundle: Path, tiny_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, *["-m", "mmctr_kit", "reproduce", ".", "--data"], str(tiny_root / "data")],
        cwd=bundle,
        env=os.environ | {"PYTHONPATH": "code", "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\nidentical: the submission has the same bytes (400 rows)\n" in done.stdout
    assert "its README on the rules of Task2: broken: the item embedding is" in done.stdout
    assert "note:" not in done.stderr
    assert (bundle / "code" / "mmctr_kit" / "__pycache__").is_dir()
    assert open_bundle(bundle).extra == ()


def test_strict_writes_nothing_if_a_rule_is_broken(bundle: Path, tmp_path: Path) -> None:
    command = ("bundle", "din_demo-fit", "--runs", str(bundle.parent / "runs"), "--strict")
    done = run(*command, "--out", str(tmp_path / "no"))
    assert done.exit_code == 1
    assert "rules kept: Task1&2; breached: Task1, Task2" in done.output
    assert " WARN  rule-given-embedding " in done.output
    assert "nothing was written" in done.output
    assert not (tmp_path / "no").exists()
    done = run(*command, "--out", str(tmp_path / "yes"), "--task", "both")
    assert done.exit_code == 0, done.output
    assert "WARN" not in done.output
    assert "rows of Task1&2\n" in done.output
    assert "no --task was given" not in done.output
    assert (tmp_path / "yes" / "bundle.json").is_file()


def test_an_edited_readme_is_a_note(bundle: Path, tiny_root: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    with (copy / "README.md").open("a") as file:
        file.write("By Team Two.")
    done = run("reproduce", str(copy), "--data", str(tiny_root / "data"))
    assert done.exit_code == 0, done.output
    assert "note: README.md was edited since the bundle was made\n" in done.output


def test_json_says_what_the_text_says(bundle: Path, tiny_root: Path, tmp_path: Path) -> None:
    where = ("--data", str(tiny_root / "data"), "--train", "--runs", str(tmp_path))
    done = run("reproduce", str(bundle), *where, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout, parse_constant=pytest.fail)
    assert (result["verdict"], result["same"], result["notes"]) == ("identical", True, [])
    assert result["difference"] == {"rows": 400, "changed": 0, "beyond": 0, "logit": 0, "rank": 0}
    assert result["trained"]["identical"]
    assert result["rules"][0].startswith("broken: the item embedding is")
    runs = str(bundle.parent / "runs")
    made = run("bundle", "din_demo-fit", "--out", str(tmp_path / "b"), "--runs", runs, "--json")
    assert json.loads(made.stdout)["kind"] == "fit"


def test_a_damaged_bundle_exits_1_and_no_bundle_exits_2(
    capsys: pytest.CaptureFixture[str], bundle: Path, tiny_root: Path, tmp_path: Path
) -> None:
    data = ("--data", str(tiny_root / "data"))
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    with (copy / "weights" / "all-0.safetensors").open("ab") as file:
        file.write(b"\0")
    code, error = mistake(capsys, "reproduce", str(copy), *data)
    assert (code, error.count("\n")) == (1, 1)
    assert "changed: weights/all-0.safetensors; copy the bundle again" in error
    code, error = mistake(capsys, "reproduce", str(tmp_path), *data)
    assert (code, error.count("\n")) == (2, 1)


@pytest.mark.slow
def test_bundling_and_finding_damage_need_no_torch(bundle: Path, tmp_path: Path) -> None:
    runs = str(bundle.parent / "runs")
    where = ("--out", str(tmp_path / "b"), "--runs", runs)
    assert "torch" not in loaded_by("bundle", "din_demo-fit", *where)
    assert (tmp_path / "b" / "README.md").is_file()
    assert loaded_by("bundle", "din_demo-fit", *where) == set()  # it exists
    (tmp_path / "b" / "LICENSE").unlink()
    assert "torch" not in loaded_by("reproduce", str(tmp_path / "b"), "--data", ".")


def test_other_data_is_refused_without_torch(
    bundle: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    generate_data(tmp_path / "world", "tiny", seed=1)
    command = ("reproduce", str(bundle), "--data", str(tmp_path / "world" / "data"))
    assert "torch" not in loaded_by(*command)
    code, error = mistake(capsys, *command)
    assert code == 1
    assert "differ from the data that the bundle was made with" in error
