"""``mmctr-kit doctor``: what this machine and this installation mean for a run."""

from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import report, status


def doctor(
    self_test: Annotated[
        bool, Option("--self-test/--no-self-test", help="Train for a moment on every device.")
    ] = True,
    as_json: options.Json = False,
    strict: options.Strict = False,
    problems: options.Problems = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Check this machine: libraries, GPUs, compiler, memory, disks, and a short training.

    Exits 1 if a check FAILs. A WARN is something that makes runs slower or may stop one; it exits
    0, or 1 with --strict. A SKIP is a check that needs something that is not there.

    [bold]Examples[/bold]

      mmctr-kit doctor
      mmctr-kit doctor --problems
      mmctr-kit doctor --json > doctor.json
    """
    with status("loading PyTorch"):
        from mmctr_kit.bench.doctor import diagnose

        findings = diagnose(runs, self_test)
    report(findings, strict, as_json, problems)
