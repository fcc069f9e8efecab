"""``mmctr-kit demo`` refuses a folder that is not its own; ``--task1`` runs to its end."""

import os
import re
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pyarrow.parquet as pq
import pytest

from mmctr_kit.cli import demo
from mmctr_kit.recipe.family import Member
from tests.cli.conftest import mistake, run
from tests.datasets.imports.made_movielens import make_ratings, make_source


def test_a_demo_of_another_data_set_is_refused_before_its_first_step(
    capsys: pytest.CaptureFixture[str], tiny_root: Path
) -> None:
    code, error = mistake(capsys, "demo", "--out", str(tiny_root), "--preset", "demo")
    assert code == 2
    assert "holds preset tiny, seed 0" in error


def test_a_demo_into_a_folder_of_something_else_is_refused_before_its_first_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("x")
    for out in (tmp_path, tmp_path / "mine.txt"):
        code, error = mistake(capsys, "demo", "--out", str(out), "--preset", "tiny")
        assert code == 2
        assert "is neither a demo's folder nor an empty one" in error
        assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_task1_needs_covers(capsys: pytest.CaptureFixture[str], tiny_root: Path) -> None:
    command = ("demo", "--task1", "--out", str(tiny_root), "--preset", "tiny")
    code, error = mistake(capsys, *command)
    assert code == 2
    assert "holds data without covers" in error


@pytest.mark.slow
def test_task1_goes_from_titles_and_covers_to_a_submission_within_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> NoReturn:
        raise AssertionError("a connection was opened")

    once = ("training.epochs=1", "training.batch_size=1024")
    quick = {name: (*settings, *once) for name, settings in demo.EMBEDDINGS.items()}
    monkeypatch.setattr(demo, "EMBEDDINGS", quick)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    out = tmp_path / "made"
    done = run("demo", "--task1", "--preset", "tiny", "--out", str(out))
    assert done.exit_code == 0, done.output
    typed = re.findall(r"^\$ mmctr-kit (.*)", done.output, re.M)
    steps = ["data synth", "data check", "items encode", *3 * ["fit din_task1_demo"]]
    steps += ["items export", "submit workshop", "submit --check", *2 * ["runs --runs"]]
    assert all(
        command.startswith(step.removesuffix(" best_one"))
        for command, step in zip(typed, steps, strict=True)
    )
    assert "FAIL" not in done.output
    assert "no problems: " in done.output
    assert re.findall(r"^ (\w+) +kept *$", done.output, re.M) == ["item_info", "pca", "workshop"]
    table = done.output[done.output.index("oracle  rules") :]
    for name in ("item_info", "pca", "workshop"):
        assert re.search(rf"^ {name} .*±.* %  1 1&2", table, re.M)
    vectors = pq.read_table(out / "item_info.parquet").column("item_emb_d128")
    assert {len(vector) for vector in vectors.to_pylist()} == {128}
    again = run("demo", "--task1", "--preset", "tiny", "--out", str(out))
    assert again.exit_code == 0, again.output
    assert again.output.count("is finished already") == 4


def test_real_data_needs_recbole_or_a_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    code, error = mistake(capsys, "demo", "--data", "ml-100k")
    assert code == 2
    assert "pip install --no-deps recbole" in error
    code, error = mistake(capsys, "demo", "--data", "ml-100k", "--task1")
    assert code == 2
    assert "two demos" in error


@pytest.mark.slow
def test_real_data_goes_from_ratings_to_a_scored_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path / "ml", ratings=make_ratings(60))
    small = tuple(Member("gbdt_demo", "first", seed, "best_one") for seed in (0, 1))
    monkeypatch.setattr("mmctr_kit.recipe.family.FAMILIES", {"best": small})
    done = run("demo", "--data", str(source), "--out", str(tmp_path / "made"))
    assert done.exit_code == 0, done.output
    typed = re.findall(r"^\$ mmctr-kit (.*)", done.output, re.M)
    steps = ["data movielens", "data check", "cv best", "blend best_one best_one-seed1"]
    steps += ["submit blend", "report blend", "submit --check", "runs --runs", "score"]
    assert len(typed) == len(steps)
    for command, step in zip(typed, steps, strict=True):
        assert command.startswith(step)


@pytest.mark.parametrize("path", [demo._whole_path, demo._task1])
def test_the_commands_to_try_next_are_commands(
    path: Callable[..., demo.Outcome], tmp_path: Path
) -> None:
    made, commands = path(lambda *_: None, tmp_path)
    assert made
    for command in commands:
        words = shlex.split(command, comments=True)
        assert run(*words, *(() if "--help" in words else ("--help",))).exit_code == 0, command


def test_the_program_is_named_as_the_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / ".venv" / "bin" / "mmctr-kit"
    there.parent.mkdir(parents=True)
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(there), "demo"])
    assert demo.program() == ".venv/bin/mmctr-kit"
    monkeypatch.setenv("PATH", str(there.parent), prepend=os.pathsep)
    assert demo.program() == "mmctr-kit"
    monkeypatch.setattr("sys.argv", ["/else/where/__main__.py", "demo"])
    monkeypatch.setenv("PATH", "")
    assert demo.program() == f"{sys.executable} -m mmctr_kit"


def test_the_demo_says_which_steps_come_and_about_how_long_they_take() -> None:
    assert demo._plan("demo").endswith("It takes one to three minutes on two idle cores.")
    for name in demo.RECIPES:
        assert name in demo._plan("tiny")
    assert "It takes" not in demo._plan("tiny")
