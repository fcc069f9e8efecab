"""A disk that is full: one line that says where, nothing half written, and the run goes on later.

Stood in for by the size that a process may give to a file, which workers inherit, and /dev/full.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit.data.load import load
from mmctr_kit.files import load_arrays, write_whole

KIB = 1024


def run(*arguments: str, most: int | None = None, out: int = subprocess.PIPE) -> tuple[int, str]:
    """Exit code and standard error; no file may grow beyond ``most`` bytes."""

    def limit() -> None:
        if most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, "-m", "mmctr_kit", *arguments],
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    return done.returncode, done.stderr


def parts(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob(".*") if p.name != ".locks"]


@pytest.mark.slow
@pytest.mark.parametrize("most", [200, 64 * KIB])  # stopped at the recipe, and at the weights
def test_a_run_on_a_full_disk_is_one_line_and_goes_on_where_it_stopped(
    most: int, tmp_path: Path, tiny_root: Path
) -> None:
    load(tiny_root / "data")  # into the cache, which the limit would stop first
    runs = tmp_path / "runs"
    arguments = [
        *("cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", str(runs)),
        *("--set", "training.epochs=1", "--set", "folds.count=2", "--devices", "cpu"),
    ]
    code, error = run(*arguments, most=most)
    assert code == 1, error
    assert error.count("error: ") == 1
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith(f"error: '{runs}")
    assert "File too large" in error
    assert parts(runs) == []
    code, error = run(*arguments, "--jobs", "1")
    assert code == 0, error
    assert json.loads((runs / "din_demo" / "metrics.json").read_text())
    assert load_arrays(runs / "din_demo" / "folds" / "0-0" / "weights.safetensors")


def test_a_generated_folder_on_a_full_disk_is_whole_or_not_there(tmp_path: Path) -> None:
    code, error = run("data", "synth", str(tmp_path / "x"), "--preset", "tiny", most=64 * KIB)
    assert code == 1, error
    assert error.count("error: ") == 1
    assert "Traceback" not in error
    assert str(tmp_path / "x") in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("recipes", "din_demo"), ("runs", "--json"), ("--help",)])
def test_output_that_finds_no_room_is_one_line(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        code, error = run(*arguments, out=full.fileno())
    assert code == 1, error
    assert error == (
        "error: output fails (No space left on device); make room, then run the command again\n"
    )


@pytest.mark.slow
def test_a_study_on_a_full_disk_leaves_nothing(tmp_path: Path, tiny_root: Path) -> None:
    arguments = ("tune", "din_demo", "--data", str(tiny_root / "data"), "--trials", "1")
    quick = ("--set", "training.epochs=1", "--set", "folds.count=2", "--devices", "cpu")
    here = ("--workers", "1", "--finalists", "1", "--final-seeds", "1")
    code, error = run(*arguments, *quick, *here, "--runs", str(tmp_path / "first"))
    assert code == 0, error  # and fills the cache, which the limit would stop first
    code, error = run(*arguments, *quick, "--runs", str(tmp_path / "runs"), most=200)
    assert code == 1, error
    assert error.count("error: ") == 1
    assert "Traceback" not in error
    assert "File too large" in error
    assert parts(tmp_path / "runs") == []


def test_a_file_that_fails_midway_leaves_no_part_and_is_named(tmp_path: Path) -> None:
    def fail(to: Path) -> None:
        to.write_text("half")
        raise OSError(28, "of a library that names nothing")

    with pytest.raises(OSError, match="No space left on device") as caught:
        write_whole(tmp_path / "x", fail)
    assert caught.value.filename == str(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
