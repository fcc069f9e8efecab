"""``mmctr-kit bundle`` and ``reproduce``: README's own commands work, and damage exits 1."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

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
    assert f"sha256 of submission.zip: {sha256}" in made.output
    return out


def test_the_commands_of_its_readme_work(
    bundle: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    lines = re.findall(r"^mmctr-kit (.*?)(?: +#.*)?$", Path("README.md").read_text(), re.MULTILINE)
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


def test_json_says_what_the_text_says(bundle: Path, tiny_root: Path, tmp_path: Path) -> None:
    where = ("--data", str(tiny_root / "data"), "--train", "--runs", str(tmp_path))
    done = run("reproduce", str(bundle), *where, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.output, parse_constant=pytest.fail)
    assert (result["verdict"], result["same"], result["notes"]) == ("identical", True, [])
    assert result["difference"] == {"rows": 400, "changed": 0, "beyond": 0, "logit": 0, "rank": 0}
    assert result["trained"]["identical"]
    runs = str(bundle.parent / "runs")
    made = run("bundle", "din_demo-fit", "--out", str(tmp_path / "b"), "--runs", runs, "--json")
    assert json.loads(made.output)["kind"] == "fit"


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


def test_bundling_and_finding_damage_need_no_torch(bundle: Path, tmp_path: Path) -> None:
    runs = str(bundle.parent / "runs")
    where = ("--out", str(tmp_path / "b"), "--runs", runs)
    assert "torch" not in loaded_by("bundle", "din_demo-fit", *where)
    assert (tmp_path / "b" / "README.md").is_file()
    (tmp_path / "b" / "LICENSE").unlink()
    assert "torch" not in loaded_by("reproduce", str(tmp_path / "b"), "--data", ".")
