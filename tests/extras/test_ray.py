"""A Ray cluster of several nodes on this machine: runs equal local ones, whatever happens to it.

Needs the extra ``ray``: make test-extras.
"""

import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.api.options import Options
from mmctr_kit.api.plans import plan_ablation, plan_runs
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.api.studies import plan_tuning
from mmctr_kit.cv.executors.settings import AnyExecutor, Ray
from mmctr_kit.errors import MmctrKitError, RunError
from mmctr_kit.runs.run import Run
from tests.extras.equal import contents

if find_spec("ray") is None:
    pytest.skip("ray: make test-extras", allow_module_level=True)

# On a busy machine the nodes' processes take longer to start than a command waits without a word.
pytestmark = pytest.mark.filterwarnings("ignore:waiting for a free place on the Ray cluster")

SHORT = {"training.epochs": 2, "folds.count": 3}
# A node that dies is known to be dead after two seconds instead of thirty.
IMPATIENT = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}


def new_cluster(cpus: int = 1) -> Any:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": cpus, "include_dashboard": False, "_system_config": IMPATIENT}
    return Cluster(initialize_head=True, head_node_args=head)


def kill(node: Any) -> None:
    """End all processes of a node at once, its workers first, as if its machine lost power."""
    pids = [each.process.pid for every in node.all_processes.values() for each in every]
    for pid in pids:
        children = Path(f"/proc/{pid}/task/{pid}/children")
        pids += map(int, children.read_text().split()) if children.exists() else []
    for pid in reversed(pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """Nodes import this checkout, and a driver gives up a dead head within seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), *sys.path]))
        patch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")
        yield


@pytest.fixture(scope="module")
def cluster(environment: None) -> Iterator[Any]:
    """A cluster of three nodes of one core each; who ends a node puts another in its place."""
    del environment
    made = new_cluster()
    made.add_node(num_cpus=1)
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


Runner = Callable[..., Run]


def runner_in(runs: Path, data: Path) -> Runner:
    """Cross-validates din_demo by an executor, with one thread a fold model."""

    def runner(
        name: str,
        executor: AnyExecutor,
        listen: Callable[[ProgressEvent], None] = lambda _: None,
        device: str = "cpu",
        jobs: int = 3,
    ) -> Run:
        options = Options(name, SHORT, device, jobs, False, runs, executor=executor, threads=1)
        (planned,) = plan_runs(["din_demo"], data, options, listen)
        return planned.run(listen)

    return runner


@pytest.fixture
def run(tiny_root: Path, tmp_path: Path) -> Runner:
    return runner_in(tmp_path / "runs", tiny_root / "data")


@pytest.fixture(scope="module")
def local(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return runner_in(tmp_path_factory.mktemp("local"), tiny_root / "data")("local", "local", jobs=1)


@pytest.mark.parametrize("ship", [False, True], ids=["shared folder", "bytes"])
def test_where_a_node_dies_the_run_ends_and_equals_a_local_one_byte_for_byte(
    ship: bool, cluster: Any, run: Runner, local: Run
) -> None:
    doomed = cluster.list_all_nodes()[-1]
    assert doomed is not cluster.head_node
    killed = []

    def kill_one(event: ProgressEvent) -> None:
        if event.kind == "epoch" and not killed:
            killed.append(kill(doomed))

    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = run("ray", Ray(cluster.address, ship=ship), kill_one)
    finally:
        cluster.remove_node(doomed)
        cluster.add_node(num_cpus=1)
    assert contents(found) == contents(local)
    lines = [str(each.message) for each in told]
    # Ray tells of the worker or, before that, of its connection.
    expected = r"a worker on (a )?node .*ended .*(goes on elsewhere|another takes its place)"
    assert any(re.search(expected, line) for line in lines), lines


def test_a_node_that_does_not_see_the_data_gets_them_into_its_cache(
    run: Runner, local: Run, tmp_path: Path
) -> None:
    other = tmp_path / "cache of the node"
    cluster_of_one = new_cluster(cpus=0)
    cluster_of_one.add_node(num_cpus=1, env_vars={"MMCTR_KIT_CACHE": str(other)})
    try:
        with pytest.warns(UserWarning, match=r"node .* does not see the data; .* MiB go there"):
            found = run("ray", Ray(cluster_of_one.address, ship=True))
    finally:
        cluster_of_one.shutdown()
    assert contents(found) == contents(local)
    assert len(list(other.glob("placed-*"))) == 1


def test_a_gpu_that_no_node_has_is_one_line_before_anything_begins(
    cluster: Any, run: Runner, tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(RunError, match=r"no node of the Ray cluster .* has 1 GPU \(\d+ nodes"):
        run("ray", Ray(cluster.address), device="cuda")
    assert time.monotonic() - began < 20  # most of it to start a process and to import Ray
    assert not (tmp_path / "runs").exists()


def test_a_cluster_that_is_not_there_is_one_line(run: Runner) -> None:
    with pytest.raises(RunError, match=r"no Ray cluster that this Python can use at '127.0.0.1:1'"):
        run("ray", Ray("127.0.0.1:1"))


def test_a_node_with_another_version_is_named(
    cluster: Any, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "mmctr_kit"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text('__version__ = "0.0.9"\n')
    (other / "training").mkdir()
    (other / "training" / "__init__.py").touch()
    (other / "training" / "device.py").write_text("def describe_device(device): return 'CPU'\n")
    path = os.pathsep.join([str(other.parent), os.environ["PYTHONPATH"]])
    monkeypatch.chdir(tmp_path)  # a worker's first place to look is the command's own folder
    node = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": path})
    try:
        with pytest.raises(RunError, match=r"other versions.*: mmctr-kit 0\.0\.9, not \d.*install"):
            run("ray", Ray(cluster.address))
    finally:
        cluster.remove_node(node)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount a disk")
def test_a_full_disk_of_a_node_is_one_line_and_the_same_command_goes_on(
    cluster: Any, run: Runner, local: Run, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
    full = new_cluster(cpus=0)
    warnings.filterwarnings("ignore", ".*does not see the data")  # for the cache of this process
    try:
        full.add_node(num_cpus=1, env_vars={"TMPDIR": str(small)})
        with pytest.raises(MmctrKitError, match=r"node .*No space left.*make room"):
            run("ray", Ray(full.address, ship=True))
    finally:
        full.shutdown()
        subprocess.run(["umount", small], check=True)
    assert contents(run("ray", Ray(cluster.address, ship=True))) == contents(local)


def test_where_the_head_dies_that_is_one_line_and_the_same_command_goes_on(
    cluster: Any, run: Runner, local: Run
) -> None:
    mortal = new_cluster()
    worker = mortal.add_node(num_cpus=1)

    def kill_head(event: ProgressEvent) -> None:
        if event.kind == "epoch":
            kill(mortal.head_node)

    with pytest.raises(RunError, match=r"the Ray cluster at .* was lost .*same command goes on"):
        # One after another, so that models are left to train when the head is gone.
        run("ray", Ray(mortal.address), kill_head, jobs=1)
    kill(worker)
    events: list[ProgressEvent] = []
    found = run("ray", Ray(cluster.address), events.append)
    assert contents(found) == contents(local)
    begun = [event for event in events if event.kind == "begin"]
    assert begun


def test_ctrl_c_ends_what_runs_and_what_is_queued(cluster: Any, run: Runner) -> None:
    def stop(event: ProgressEvent) -> None:
        if event.kind == "epoch":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("ray", Ray(cluster.address), stop)
    deadline = time.monotonic() + 30
    while actors(cluster):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def actors(cluster: Any) -> list[int]:
    """The processes of the workers that are at work on the cluster's nodes."""
    raylets = [
        each.process.pid
        for node in cluster.list_all_nodes()
        for each in node.all_processes["raylet"]
    ]
    children = [
        child
        for pid in raylets
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ]
    named = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [int(child) for child, name in named.items() if b"ray::Actor" in name]


def test_a_study_searches_on_the_nodes_and_loses_no_trial_of_a_killed_worker(
    cluster: Any, tiny_root: Path, tmp_path: Path
) -> None:
    space = {"training.learning_rate": {"float": [0.001, 0.02], "log": True}}
    settings = {"training.epochs": 2, "folds.count": 2, "search": space}
    options = Options(
        "study", settings, "cpu", 2, False, tmp_path, executor=Ray(cluster.address), threads=1
    )
    killed: list[int] = []

    def kill_one(event: ProgressEvent) -> None:
        if event.kind == "epoch" and not killed:
            killed.append(actors(cluster)[0])
            os.kill(killed[0], signal.SIGKILL)

    study = plan_tuning("din_demo", tiny_root / "data", options, lambda _: None)
    events: list[ProgressEvent] = []

    def listen(event: ProgressEvent) -> None:
        events.append(event)
        kill_one(event)

    result = study.run(4, None, (1, 1), listen)
    states = [trial["state"] for trial in result.summary.as_json()["trials"]]
    assert killed
    assert any("a worker was killed" in event.text for event in events)
    assert states.count("complete") + states.count("pruned") == 4
    assert (tmp_path / "study.study" / "best.yaml").is_file()


def test_an_ablation_trains_on_the_nodes(cluster: Any, tiny_root: Path, tmp_path: Path) -> None:
    options = Options(
        "one", SHORT, "cpu", 3, False, tmp_path, executor=Ray(cluster.address), threads=1
    )
    planned = plan_ablation(
        "din_demo", tiny_root / "data", options, lambda _: None, only=["tags-off"]
    )
    result = planned.run(lambda _: None)
    assert list(result.changes().variant) == ["base", "tags-off"]
