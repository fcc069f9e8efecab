"""The settings file: an option comes before the environment, that before the file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmctr_kit.cli import app as module
from mmctr_kit.cli.options import executor_of
from mmctr_kit.cli.settings import NAME, executor_table, option_defaults, settings_file, use_cache
from mmctr_kit.cv.executors.settings import Ray, Slurm
from mmctr_kit.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    settings_file.cache_clear()
    yield tmp_path
    settings_file.cache_clear()


def test_without_a_file_nothing_is_set() -> None:
    assert option_defaults() == {}
    assert executor_table("ray") == {}


def test_each_setting_reaches_its_option(folder: Path) -> None:
    (folder / NAME).write_text(
        'runs = "r"\ndata = "d"\ndevice = "cpu"\njobs = 3\nthreads = 2\nexecutor = "ray"\n'
        '[ray]\naddress = "head:1"\nship = true\n'
    )
    assert option_defaults() == {
        "runs": "r",
        "data": "d",
        "folder": "d",
        "devices": "cpu",
        "jobs": 3,
        "threads": 2,
        "executor": "ray",
    }
    assert executor_of("ray", None) == Ray("head:1", ship=True)
    assert executor_of("ray", "other:2") == Ray("other:2", ship=True)
    assert executor_of("local", "other:2") == "local"


def test_the_command_line_comes_before_the_environment_and_that_before_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / NAME).write_text('runs = "of_the_file"\n')
    defaults = module._defaults(module.app)

    def asked(*arguments: str) -> str:
        done = CliRunner().invoke(module.app, ["slices", "x", *arguments], default_map=defaults)
        return done.output + str(done.exception)

    assert "of_the_file" in asked()
    monkeypatch.setenv("MMCTR_KIT_RUNS", "of_the_environment")
    assert "of_the_environment" in asked()
    assert "of_the_line" in asked("--runs", "of_the_line")


def test_the_example_of_the_readme_is_one(folder: Path) -> None:
    text = Path(__file__).parents[2].joinpath("README.md").read_text("utf-8")
    (folder / NAME).write_text(text.partition("```toml\n")[2].partition("```")[0])
    assert option_defaults() == {"data": "DATA", "folder": "DATA", "executor": "slurm"}
    assert executor_of("ray", None) == Ray("10.0.0.1:6379", gpus=0.5)
    assert executor_of("slurm", None) == Slurm("gpu", minutes=120, setup=("module load cuda",))


def test_the_demo_stays_on_generated_data(folder: Path) -> None:
    (folder / NAME).write_text('data = "mine"\n')
    defaults = module._defaults(module.app)
    assert defaults["cv"] == {"data": "mine", "folder": "mine"}
    assert defaults["demo"] == defaults["bench"] == {}
    assert defaults["items"]["factors"] == {"data": "mine", "folder": "mine"}


def test_a_file_named_by_the_environment_has_its_paths_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "of").mkdir()
    (folder / "of" / "all.toml").write_text('runs = "r"\ncache = "c"\n')
    monkeypatch.setenv("MMCTR_KIT_SETTINGS", "of/all.toml")
    assert option_defaults() == {"runs": "of/r"}
    monkeypatch.delenv("MMCTR_KIT_CACHE")
    use_cache()
    assert json.dumps(settings_file()["cache"]) == '"of/c"'
    monkeypatch.setenv("MMCTR_KIT_SETTINGS", "of/none.toml")
    settings_file.cache_clear()
    with pytest.raises(UsageError, match=r"no file at 'of/none.toml' .MMCTR_KIT_SETTINGS."):
        settings_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runs = " + "[" * 5_000, "is not readable as TOML .maximum recursion depth exceeded"),
        ("runs = [", "is not readable as TOML .*; mend it or move it away"),
        ('exeutor = "ray"', "no such setting 'exeutor' .did you mean executor"),
        ('jobs = "four"', "jobs: expected a whole number, found 'four'"),
        ("jobs = true", "jobs: expected a whole number, found True"),
        ("runs = 3", "runs: expected a text, found 3"),
        ('ray = "head:1"', r"ray: expected a table \[ray\], found 'head:1'"),
    ],
)
def test_a_wrong_file_is_one_line(folder: Path, text: str, message: str) -> None:
    (folder / NAME).write_text(text)
    with pytest.raises(UsageError, match=message):
        settings_file()
