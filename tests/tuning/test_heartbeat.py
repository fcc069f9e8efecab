"""Heartbeats: which workers are alive."""

import os
import subprocess
import sys
import time
from pathlib import Path

from mmctr_kit.files import read_json, write_json
from mmctr_kit.tuning.heartbeat import SILENT_SECONDS, alive_workers, dead_workers, heartbeat


def test_a_heartbeat_lasts_while_its_block_runs(tmp_path: Path) -> None:
    with heartbeat(tmp_path) as name:
        assert alive_workers(tmp_path) == {name}
    assert alive_workers(tmp_path) == set()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_does_not_see_the_folder_makes_none(tmp_path: Path) -> None:
    with heartbeat(tmp_path / "elsewhere") as name:
        assert name
    assert list(tmp_path.iterdir()) == []


def test_the_heartbeat_of_a_killed_process_is_dead(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from mmctr_kit.tuning.heartbeat import heartbeat\n"
        "with heartbeat(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert len(alive_workers(tmp_path)) == 1
        process.kill()
    assert len(dead_workers(tmp_path)) == 1
    assert alive_workers(tmp_path) == set()
    assert list(tmp_path.iterdir()) == []


def test_a_process_id_that_another_has_now_is_not_the_worker_s(tmp_path: Path) -> None:
    with heartbeat(tmp_path) as name:
        path = tmp_path / f"{name}.json"
        write_json(path, {**read_json(path), "started": "1"})
        assert alive_workers(tmp_path) == set()


def test_a_worker_elsewhere_is_dead_when_it_was_silent_for_long(tmp_path: Path) -> None:
    content = {"host": "elsewhere", "pid": os.getpid(), "started": "1"}
    write_json(tmp_path / "new.json", {**content, "refreshed": time.time()})
    write_json(tmp_path / "old.json", {**content, "refreshed": time.time() - SILENT_SECONDS - 1})
    assert alive_workers(tmp_path) == {"new"}
