"""What an executor costs: 1,000 jobs of a learner that learns nothing, 5 % of them killed once.

    python tests/studies/executor_load.py --work /tmp/load [--executor ray] [--ship]

A Ray cluster of three nodes with two cores each is started on this machine (the extra ``ray``), or
with ``--executor local`` six worker processes. Printed are the seconds of the whole run, its
overhead for each job, and the CPU seconds of the command itself; every job must end, and the run
equal one without kills. A job does nothing but write its fold folder (five files).
"""

import argparse
import os
import random
import shutil
import time
import warnings
from pathlib import Path

from dummy_learner import KILLS

from mmctr_kit.api.options import Options
from mmctr_kit.cv.executors.settings import AnyExecutor, Ray
from mmctr_kit.cv.fold import model_seed
from mmctr_kit.cv.plan import plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.models.registry import LearnerEntry, register_model
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.run import Run

FOLDS, WORKERS = 10, 6


def study(work: Path, executor: AnyExecutor, seeds: int, kills: float) -> tuple[Run, float, int]:
    """A run of FOLDS x ``seeds`` jobs; returns it, its seconds and how many jobs were killed."""
    recipe = load_recipe(
        str(work / "dummy.yaml"), [f"folds.count={FOLDS}", f"seeds={[*range(seeds)]}"]
    )
    doomed = Path(os.environ[KILLS])
    chosen = random.Random(0)
    for fold in range(FOLDS):
        for seed in range(seeds):
            if chosen.random() < kills:
                (doomed / str(model_seed(seed, fold))).touch()
    count = len(list(doomed.iterdir()))
    options = Options(None, (), "cpu", WORKERS, True, work, executor=executor, threads=1)
    plan = plan_cv(recipe, load(work / "data" / "data"), options.made_executor)
    began = time.monotonic()
    name = f"{options.made_executor.name}-{kills}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = run_cv(plan, work / name, True, lambda _: None)
    assert run is not None
    assert not list(doomed.iterdir()), "a doomed job was never begun"
    return run, time.monotonic() - began, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--executor", choices=("local", "ray"), default="ray")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--kills", type=float, default=0.05)
    parser.add_argument("--ship", action="store_true")
    given = parser.parse_args()
    work = given.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    (work / "doomed").mkdir(parents=True)
    os.environ[KILLS] = str(work / "doomed")
    os.environ["OMP_NUM_THREADS"] = "1"
    (work / "dummy.yaml").write_text("{name: dummy, model: {name: dummy}}\n")
    here = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(here)  # workers import the learner from there
    module = "dummy_learner"
    learner = LearnerEntry(f"{module}:DummyLearner", uses_gpu=False)
    register_model("dummy", f"{module}:Dummy", learner=learner)
    generate(work / "data", PRESETS["tiny"], seed=0)
    executor: AnyExecutor = "local"
    if given.executor == "ray":
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 2, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            cluster.add_node(num_cpus=2)
        executor = Ray(cluster.address, ship=given.ship)
    jobs = FOLDS * given.seeds
    for kills in (0.0, given.kills):
        before = time.process_time()
        run, seconds, killed = study(work, executor, given.seeds, kills)
        done = len(list(run.path.glob("folds/*/logits.safetensors")))
        print(
            f"{given.executor}{' ship' if given.ship else ''}: {done} of {jobs} jobs, {killed} "
            f"killed once, {seconds:.1f} s, {1e3 * seconds / jobs:.1f} ms a job; this process "
            f"{time.process_time() - before:.1f} CPU s",
            flush=True,
        )
        assert done == jobs
    first, second = (work / f"{given.executor}-{kills}" for kills in (0.0, given.kills))
    for name in ("oof.parquet", "valid.parquet", "test.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    print("equal with and without kills")


if __name__ == "__main__":
    main()
