"""SLURM jobs, run as processes here by submitit's local executor, and the script for sbatch.

Needs the extra ``slurm``: make test-extras.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.executors.settings import Slurm
from mmctr_kit.cv.executors.slurm import SlurmExecutor
from mmctr_kit.cv.executors.slurm_pool import SlurmPool
from mmctr_kit.cv.fold import Progress
from mmctr_kit.cv.plan import Plan, plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.processes import WorkerExit
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.run import Run
from tests.cv.epochs import epochs
from tests.extras.equal import contents
from tests.extras.slurm_work import work_and_die, work_and_fail

if find_spec("submitit") is None:
    pytest.skip("submitit: make test-extras", allow_module_level=True)

SHORT = ("training.epochs=2", "folds.count=2")
HERE = Slurm(cluster="local", cpus=1, memory=1)


def planned(data: ChallengeData, settings: Slurm = HERE, *more: str) -> Plan:
    recipe = load_recipe("din_demo", [*SHORT, *more])
    return plan_cv(recipe, data, SlurmExecutor(settings, "cpu", threads=1))


@pytest.fixture(scope="module")
def local(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("runs") / "local"
    plan = plan_cv(load_recipe("din_demo", SHORT), tiny, LocalExecutor("cpu", 1, 1))
    run = run_cv(plan, path, False, lambda _: None)
    assert run is not None
    return run


def test_a_run_of_jobs_equals_a_local_one_byte_for_byte_and_leaves_nothing_else(
    tiny: ChallengeData, local: Run, tmp_path: Path
) -> None:
    told: list[Progress] = []
    run = run_cv(planned(tiny), tmp_path / "run", False, epochs(told.append))
    assert run is not None
    assert contents(run) == contents(local)
    assert {(p.fold, p.epoch) for p in told} == {(f, e) for f in (0, 1) for e in (1, 2, None)}
    assert not list((tmp_path / ".slurm").iterdir())


def test_the_script_for_sbatch_asks_for_what_the_settings_say(tmp_path: Path) -> None:
    lab = {"partition": "gpu", "account": "lab", "constraint": "h100", "memory": 32, "cpus": 8}
    settings = Slurm(**lab, minutes=120, setup=("module load cuda",))
    executor = SlurmExecutor(settings, "auto", jobs=2)
    resources = executor.resources(5, uses_gpu=True)
    assert (resources.device, resources.hardware) == ("cuda:0", "GPU (h100)")
    script = executor.preview(resources, load_recipe("din_official"), 5, tmp_path / "run")
    golden = Path(__file__).with_name("golden.sbatch").read_text()
    home = str(tmp_path.resolve() / ".slurm" / "run")
    assert script.replace(home, "HOME").replace(sys.executable, "PYTHON") == golden
    on_cpu = executor.resources(5, uses_gpu=False)
    assert "gpus" not in executor.preview(on_cpu, load_recipe("gbdt"), 5, tmp_path / "run")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose calls.txt holds every command that the stand-in for SLURM was given."""
    folder, place = tmp_path / "slurm", tmp_path / "bin"
    folder.mkdir()
    place.mkdir()
    text = (Path(__file__).with_name("fake_slurm.py")).read_text()
    for name in ("sbatch", "srun", "sacct", "scancel", "scontrol"):
        (place / name).write_text(f"#!{sys.executable}\n{text}")
        (place / name).chmod(0o755)
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), *sys.path]))
    return folder


def calls(slurm: Path, command: str) -> list[str]:
    return [c for c in (slurm / "calls.txt").read_text().splitlines() if c.startswith(command)]


CLUSTER = Slurm(cpus=1, memory=1)
LONG = "training.epochs=30"
"""Jobs that take long enough to be interrupted."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command looks for its jobs' results ten times a second."""
    monkeypatch.setattr("mmctr_kit.cv.executors.slurm_pool._POLL_SECONDS", 0.1)


def test_a_job_that_is_preempted_is_queued_again_and_goes_on_from_its_last_epoch(
    tiny: ChallengeData, tmp_path: Path, slurm: Path
) -> None:
    preempted: list[str] = []

    def preempt(progress: Progress) -> None:
        if progress.epoch == 1 and not preempted:
            preempted.extend(path.stem for path in slurm.glob("*.step"))
            for job in preempted:
                subprocess.run(["scancel", job, "--signal", "USR2"], check=True)

    plan = planned(tiny, CLUSTER, LONG)
    like = plan_cv(plan.recipe, tiny, LocalExecutor("cpu", 1, 1))
    expected = run_cv(like, tmp_path / "local", False, lambda _: None)
    run = run_cv(plan, tmp_path / "run", False, epochs(preempt))
    assert run is not None
    assert expected is not None
    assert contents(run) == contents(expected)
    assert len(calls(slurm, "sbatch")) == 1
    assert calls(slurm, "scontrol requeue")


KILLED = """
import os, signal, sys
from pathlib import Path
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.load import load
from tests.extras.test_slurm import CLUSTER, LONG, planned

def kill(progress):
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    plan = planned(load(Path(sys.argv[1])), CLUSTER, LONG)
    run_cv(plan, Path(sys.argv[2]), False, kill)
"""


def test_jobs_go_on_without_their_command_and_the_next_one_takes_them_over(
    tiny: ChallengeData, tiny_root: Path, tmp_path: Path, slurm: Path
) -> None:
    script, path = tmp_path / "script.py", tmp_path / "runs" / "run"
    script.write_text(KILLED)
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_root / "data"), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    known = json.loads((path.parent / ".slurm" / "run" / "jobs.json").read_text())
    assert len(known["jobs"]) == 2
    plan = planned(tiny, CLUSTER, LONG)
    run = run_cv(plan, path, False, lambda _: None)
    assert run is not None
    assert len(calls(slurm, "sbatch")) == 1


def test_ctrl_c_cancels_the_jobs(tiny: ChallengeData, tmp_path: Path, slurm: Path) -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cv(planned(tiny, CLUSTER, LONG), tmp_path / "run", False, epochs(stop))
    assert len(calls(slurm, "scancel")) == 2


def pool(tmp_path: Path) -> SlurmPool:
    return SlurmPool(HERE, "x", "key", tmp_path / "home", {}, 2)


def test_what_a_job_raises_is_why_it_ended(tmp_path: Path) -> None:
    with pool(tmp_path) as jobs:
        jobs.start(0, work_and_fail)
        ((_, event),) = jobs.events()
    assert re.match(r"job \S+: the disk is gone$", event.cause)


def test_a_job_that_is_killed_says_so_and_where_its_log_is(tmp_path: Path) -> None:
    with pool(tmp_path) as jobs:
        jobs.start(3, work_and_die)
        ((number, event),) = jobs.events()
    assert number == 3
    assert isinstance(event, WorkerExit)
    assert re.match(r"job \d+, \w+: .*; its log: .*_log.err$", event.cause)


def test_a_failed_fold_model_fails_the_run_after_the_others(
    tiny: ChallengeData, local: Run, tmp_path: Path
) -> None:
    plan, path = planned(tiny), tmp_path / "run"

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cv(replace(plan, executor=LocalExecutor("cpu", 1, 1)), path, False, epochs(stop))
    shutil.rmtree(path / "folds")
    (path / "folds").mkdir()
    (path / "folds" / "0-0").write_text("in the way of the first fold model")
    with pytest.raises(
        RunError, match=r"1 fold model failed \(job .*File exists.*; its log: (\S+)"
    ):
        run_cv(plan, path, False, lambda _: None)
    assert (path / "folds" / "1-0" / "logits.safetensors").is_file()
    assert list((tmp_path / ".slurm" / "run").glob("*_log.err"))
    (path / "folds" / "0-0").unlink()
    run = run_cv(plan, path, False, lambda _: None)
    assert run is not None
    assert contents(run) == contents(local)


def test_jobs_of_another_recipe_are_ended_and_not_taken_over(
    tiny: ChallengeData, tmp_path: Path, slurm: Path
) -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_cv(planned(tiny, CLUSTER, LONG), path, False, epochs(stop))
    cancelled = len(calls(slurm, "scancel"))
    known = path.parent / ".slurm" / "run" / "jobs.json"
    content = json.loads(known.read_text())
    assert content["cancelled"]
    known.write_text(json.dumps({**content, "cancelled": False}))  # as if it had been killed
    plan = planned(tiny, CLUSTER)
    run = run_cv(plan, path, True, lambda _: None)
    assert run is not None
    assert len(calls(slurm, "sbatch")) == 2
    assert len(calls(slurm, "scancel")) >= cancelled
    assert all(len(lines) == 2 for lines in run.epochs().values())


def test_what_sbatch_refuses_is_one_line(tiny: ChallengeData, tmp_path: Path, slurm: Path) -> None:
    sbatch = slurm.parent / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition: gpux' >&2\nexit 1\n")
    with pytest.raises(UsageError, match=r"sbatch refused the jobs \(.*invalid partition: gpux"):
        run_cv(planned(tiny, Slurm("gpux")), tmp_path / "run", False, lambda _: None)


def test_without_sbatch_that_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(RunError, match="there is no sbatch here; run the command on a login node"):
        SlurmExecutor(Slurm()).require()
