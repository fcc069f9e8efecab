"""A small share of the studies of kills, full disks and crowds; their docstrings have the rest."""

import tempfile
from pathlib import Path

import pytest

from tests.studies import crowd, full_disk, kills


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["cv", "synth", "submit"])
def test_a_command_that_was_killed_ends_as_one_that_was_not(world: Path, command: str) -> None:
    assert kills.main([command, "--kills", "1", "--folder", str(world)])


@pytest.mark.slow
def test_a_disk_that_fills_is_named_and_takes_nothing_but_the_epoch() -> None:
    # Not in pytest's folder, which would be deleted with the disk mounted if this were killed.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            assert full_disk.main(["cv", "--moments", "1", "--folder", folder])
        except PermissionError as e:
            pytest.skip(str(e))


@pytest.mark.slow
def test_processes_that_write_the_same_things_at_once_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    assert crowd.main(["--processes", "4", "--seconds", "3", "--folder", str(tmp_path)])
