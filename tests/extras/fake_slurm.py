"""A stand-in for SLURM's commands, as far as submitit uses them: jobs are processes here.

Installed under the names sbatch, srun, sacct, scancel and scontrol; ``$FAKE_SLURM`` is a folder
that says what was submitted (calls.txt) and what became of it.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(os.environ["FAKE_SLURM"])


def start(job: str, task: str, script: str) -> None:
    """Start a job, or start it again: its state is that of its last attempt alone."""
    variables = {"SLURM_JOB_ID": job, "SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": task}
    attempt = len(list(ROOT.glob(f"{job}_{task}.attempt-*")))
    code = ROOT / f"{job}_{task}.code-{attempt}"
    (ROOT / f"{job}_{task}.attempt-{attempt}").touch()
    (ROOT / f"{job}_{task}.script").write_text(script)
    subprocess.Popen(
        ["bash", "-c", f"bash {script}; echo $? > {code}"],
        env={**os.environ, **variables},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def sbatch(script: str) -> None:
    job = str(1000 + len(list(ROOT.glob("*_0.script"))))
    count = re.search(r"--array=0-(\d+)", Path(script).read_text())
    for task in range(int(count[1]) + 1 if count else 1):
        start(job, str(task), script)
    print(f"Submitted batch job {job}")


def srun(*arguments: str) -> None:
    rest = list(arguments)
    job, task = os.environ["SLURM_ARRAY_JOB_ID"], os.environ["SLURM_ARRAY_TASK_ID"]
    while rest[0].startswith("--"):
        option = rest.pop(0)
        if option in ("--output", "--error"):
            name = rest.pop(0).replace("%A", job).replace("%a", task).replace("%t", "0")
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(handle, 1 if option == "--output" else 2)
    (ROOT / f"{job}_{task}.step").write_text(str(os.getpid()))
    os.execvp(rest[0], rest)


def sacct(*_: str) -> None:
    print("JobID|State|NodeList")
    for script in ROOT.glob("*.script"):
        last = len(list(ROOT.glob(f"{script.stem}.attempt-*"))) - 1
        code = script.with_suffix(f".code-{last}")
        state = "RUNNING"
        if code.is_file():
            state = "COMPLETED" if code.read_text().strip() == "0" else "FAILED"
        print(f"{script.stem}|{state}|here")


def scancel(job: str, *how: str) -> None:
    step = ROOT / f"{job}.step"
    if step.is_file():
        name = how[-1].removeprefix("SIG") if how else "KILL"
        os.kill(int(step.read_text()), getattr(signal, f"SIG{name}"))


def scontrol(_: str, job: str) -> None:
    identity, _, task = job.partition("_")
    start(identity, task or "0", (ROOT / f"{job}.script").read_text())


if __name__ == "__main__":
    command = Path(sys.argv[0]).name
    if command != "srun":
        with (ROOT / "calls.txt").open("a") as calls:
            calls.write(" ".join([command, *sys.argv[1:]]) + "\n")
    globals()[command](*sys.argv[1:])
