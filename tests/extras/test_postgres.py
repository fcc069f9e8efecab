"""A study in a real PostgreSQL: workers killed, the server restarted, other machines joining in."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import pytest
import yaml
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, make_url
from typer.testing import CliRunner

from mmctr_kit.cli.app import app
from mmctr_kit.errors import UsageError
from mmctr_kit.files import read_json
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.tuning.address import parse_address
from mmctr_kit.tuning.database import Database
from mmctr_kit.tuning.folder import RETRY, StudyFolder
from mmctr_kit.tuning.worker import counts
from tests.cli.test_tune import RECIPE
from tests.extras.postgres import PASSWORD, Server, binaries
from tests.tuning.killing import kill_in_a_trial, workers_of

ABSENT = [name for name in ("psycopg",) if find_spec(name) is None]
ABSENT += [] if binaries() else ["PostgreSQL (apt-get install postgresql)"]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)}: make test-extras")

TRIALS = 14
CONTENT = {**RECIPE, "training": {**RECIPE["training"], "epochs": 12}}  # type: ignore[dict-item]
"""Trials that take long enough to be interrupted."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    made.start()
    made.sql("CREATE DATABASE tuning", "postgres")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(yaml.safe_dump(CONTENT, sort_keys=False))
    return path


class Command:
    """A tune command that runs in ``cwd``, and the lines that it has printed so far."""

    def __init__(self, server: Server, cwd: Path, *arguments: str) -> None:
        environment = {
            "MMCTR_KIT_STORAGE": server.url,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONUNBUFFERED": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mmctr_kit", "tune", *arguments, "--devices", "cpu"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env={**os.environ, **environment},
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def wait_for(self, beginning: str, number: int = 1) -> None:
        """Wait until so many lines begin in this way."""
        for _ in range(6000):
            if sum(line.startswith(beginning) for line in self.lines) >= number:
                return
            assert self.process.poll() is None, self.lines
            time.sleep(0.05)
        raise AssertionError(self.lines)

    def output(self) -> str:
        """All that the command printed, when it has ended well."""
        try:
            status = self.process.wait(600)
        except subprocess.TimeoutExpired as e:
            raise AssertionError(self.lines) from e
        assert status == 0, self.lines
        self.reader.join()
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.lines.extend(lines)


@dataclass
class Story:
    """What two machines printed, and the trials and folders that they left."""

    first: str
    second: str
    trials: list[FrozenTrial]
    here: Path
    there: Path


@pytest.fixture(scope="module")
def story(
    server: Server, tiny_root: Path, recipe_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Story:
    """Three workers and a fourth on another machine; one is killed, then the server crashes."""
    here, there = (tmp_path_factory.mktemp(name) for name in ("here", "there"))
    (there / "copy").symlink_to(tiny_root / "data")  # there the data have another path
    common = (str(recipe_file), "--trials", str(TRIALS), "--final-seeds", "1")
    mine = ("--data", str(tiny_root / "data"), "--workers", "3", "--finalists", "1")
    other = ("--data", "copy", "--workers", "1", "--finalists", "0")
    folders = here / "runs" / "small.study", there / "runs" / "small.study"
    database = database_of(server, "small")
    with (
        closing(database),
        Command(server, here, *common, *mine) as first,
        Command(server, there, *common, *other) as second,
    ):
        first.wait_for("trial ")
        kill_in_a_trial(workers_of(first.process.pid), StudyFolder(folders[0], database))
        second.wait_for("trial ")
        server.stop("immediate")
        time.sleep(2.0)
        server.start()
        outputs = first.output(), second.output()
    with closing(database):
        return Story(*outputs, database.study().get_trials(), *folders)


def database_of(server: Server, name: str) -> Database:
    return Database(parse_address(server.url), name)


def test_a_killed_worker_and_a_crash_of_the_server_lose_and_double_no_trial(story: Story) -> None:
    assert sum(map(counts, story.trials)) == TRIALS
    assert {t.state for t in story.trials if counts(t)} <= {TrialState.COMPLETE, TrialState.PRUNED}
    failed = [t for t in story.trials if t.state == TrialState.FAIL]
    assert failed
    for trial in failed:
        (again,) = (t for t in story.trials if t.user_attrs.get(RETRY) == trial.number)
        assert trial.params.items() <= again.params.items()
    told = re.findall(r"^trial (\d+)(?:: | pruned)", story.first + story.second, re.MULTILINE)
    assert sorted(map(int, told)) == [t.number for t in story.trials if counts(t)]


def test_both_machines_ran_trials_and_waited_for_the_server_with_a_line(
    story: Story, server: Server
) -> None:
    assert "\ntrial " in story.first
    assert "\ntrial " in story.second
    line = f"warning: {server.place} does not answer ("
    # Where a worker was killed, its command may wait too.
    assert 1 <= story.first.count(line) <= 2
    assert story.second.count(line) == 1
    # Its trial, unless the other command, whose host is the same here, has marked it already; and
    # one that was being begun when the server crashed, which is nobody's.
    trials = r"(no trial|trial \d+(, trial \d+)*)"
    killed = rf"warning: a worker was killed \(signal 9\); {trials} will be tried again"
    assert re.search(killed, story.first), story.first
    assert "Traceback" not in story.first + story.second


def test_who_only_searches_says_so_and_writes_no_recipe(story: Story) -> None:
    assert story.second.endswith(
        "only searched (--finalists 0): no finalist was trained, and best.yaml not written\n"
    )
    names = [".locks", "DONE", "leases", "settings.json", "timings.json"]
    assert sorted(p.name for p in story.there.iterdir()) == names


def test_cv_of_the_recipe_written_gives_the_score_reported(
    story: Story, tiny_root: Path, tmp_path: Path
) -> None:
    best = story.here / "best.yaml"
    # In a runs folder of its own: beside its study it is known as a finalist, and not trained.
    data = ("--data", str(tiny_root / "data"), "--runs", str(tmp_path))
    again = CliRunner().invoke(app, ["cv", str(best), *data, "--jobs", "1", "--devices", "cpu"])
    assert again.exit_code == 0, again.output
    metrics = Run(tmp_path / load_recipe(str(best)).name).metrics
    study = read_json(story.here / "study.json")
    assert metrics["valid"] == study["reported_valid"]
    assert metrics["oof"] == study["finalists"][0]["oof"]


def test_the_report_and_the_list_of_runs_need_no_database(story: Story) -> None:
    runs = ("--runs", str(story.here.parent))
    for command in (("report", "small.study"), ("runs",)):
        done = CliRunner().invoke(app, [*command, *runs])
        assert done.exit_code == 0, done.output


def test_the_password_is_nowhere(story: Story, server: Server) -> None:
    assert read_json(story.here / "settings.json")["storage"] == server.place
    written = [p.read_bytes() for p in story.here.parents[1].rglob("*") if p.is_file()]
    written += [p.read_bytes() for p in story.there.parents[1].rglob("runs/**/*") if p.is_file()]
    assert len(written) > 20
    secrets = (PASSWORD, str(make_url(server.url).password), server.url, quote(PASSWORD, safe=""))
    for text in [*written, story.first.encode(), story.second.encode()]:
        assert not [s for s in secrets if s.encode() in text]


@pytest.mark.parametrize("how", ["ends", "fails"])
def test_an_end_whose_lock_was_lost_is_done_again(server: Server, how: str) -> None:
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'advisory'"
    looks: list[int] = []

    def work() -> int:
        looks.append(len(server.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")))
        if len(looks) == 1:
            server.sql(f"{others} AND pid <> pg_backend_pid()")
            if how == "fails":  # since another worker has ended the trial meanwhile
                raise UpdateFinishedTrialError
        return len(looks)

    with closing(database_of(server, "lock")) as database:
        with pytest.warns(UserWarning, match=r"does not answer .*terminating connection"):
            assert database.exclusively(work) == 2
        assert looks == [1, 1]
        assert server.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") == []


def test_a_server_that_cannot_be_used_is_told_in_seconds(server: Server) -> None:
    server.sql("CREATE USER guest PASSWORD 'guest'")
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        whole = make_url(server.url)
        guest = whole.set(username="guest", password="guest", database="postgres")
        cases = [
            (whole.set(password="wr0ng"), 'FATAL: password authentication failed for user "tuner"'),
            (whole.set(database="nowhere"), 'FATAL: database "nowhere" does not exist'),
            (guest, "permission denied for schema public"),
            (whole.set(port=closed.getsockname()[1]), "Connection refused"),
            (whole.set(port=silent.getsockname()[1]), "connection timeout expired"),
        ]
        for url, why in cases:
            began = time.monotonic()
            with closing(of_url(url)) as database, pytest.raises(UsageError) as refused:
                database.connect()
            assert time.monotonic() - began < 20
            where = f"postgresql://127.0.0.1:{url.port}/{url.database}"
            assert str(refused.value) == f"--storage {where} cannot be used: {why}"


def of_url(url: URL) -> Database:
    return Database(parse_address(url.render_as_string(hide_password=False)), "small")
