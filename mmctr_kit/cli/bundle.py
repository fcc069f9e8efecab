"""``mmctr-kit bundle`` and ``reproduce``: a run that others can run again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Context, Exit, Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import (
    finite,
    print_findings,
    print_json,
    progress,
    report,
    say,
    say_path,
    status,
    warn,
)

if TYPE_CHECKING:
    from mmctr_kit.api.bundle import Reproduction


def bundle(
    context: Context,
    run: Annotated[str, options.run_argument("RUN", "A fit or cv run.")],
    out: Annotated[Path, Option(metavar="FOLDER", help="A new folder.")],
    task: Annotated[options.Task, options.task_option("Column of the submission.")] = "Task2",
    licence: Annotated[
        Literal["MIT", "Apache-2.0"], Option("--licence", "--license", help="Text of LICENSE.")
    ] = "Apache-2.0",
    holder: Annotated[str, Option(help="Copyright holder named in README.")] = "the authors",
    strict: options.Strict = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Write a folder from which others can run a run again.

    It holds the recipe, the weights, the submission, mmctr-kit itself, versions of the packages
    that it imports, fingerprints of the data, a licence, and a README with the commands. Organisers
    run a winner's code again.

    Each rule of the task that the run breaks, or may break, is a WARN; with --strict, nothing is
    written then.

    [bold]Examples[/bold]

      mmctr-kit bundle din_official --out entry --task Task1

      mmctr-kit bundle din_demo_e4 --out demo/bundle --licence MIT --runs demo/runs
    """
    from mmctr_kit.files import require_new_folder

    require_new_folder(out)
    from mmctr_kit import check_rules
    from mmctr_kit.api import bundle as api
    from mmctr_kit.submission.score import column_name

    with status(f"checking the rules of {run}"):
        rules = check_rules(run, runs=runs)
    findings = rules.findings(str(column_name(task)))
    if strict and findings:
        if not as_json:
            say(str(rules))
        warn(f"nothing was written to {out}, because of --strict")
        report(findings, strict, as_json)
    with status(f"bundling {run}"):
        made = api.bundle(run, out, task=task, licence=licence, holder=holder, runs=runs)
    if as_json:
        print_json(made.content)
        return
    say(str(made))
    if not options.typed(context, "task"):
        say(f"for {made.task}, as no --task was given; --task Task1 or both: for the others")
    say(f"sha256 of submission.zip: {made.sha256}")
    say(str(rules))
    if findings:
        print_findings(findings)
    say_path("to check it: mmctr-kit reproduce ", made.path, " --data DATA")


def reproduce(
    bundle: Annotated[Path, Argument(metavar="FOLDER", help="A bundle.")],
    data: options.Data,
    train: Annotated[bool, Option("--train", help="Train the run again too.")] = False,
    out: Annotated[
        Path | None, Option(help="Zip to write; by default it is only compared.")
    ] = None,
    devices: options.Devices = "auto",
    as_json: options.Json = False,
    runs: Annotated[
        Path | None,
        Option(metavar="FOLDER", help="With --train: keep the run in this folder of runs."),
    ] = None,
) -> None:
    """Predict again from a bundle's weights, and compare with its submission.

    First the bundle's files and the data are checked; what was changed is named. README.md and
    LICENSE may have been edited. Exits 0 if the scores are the same: identical bytes, or
    differences that rounding makes on another device (all but 1 in 1,000 rows within 0.001 in
    logit, or in share of it). Exits 1 if not.

    --train says how far the new valid AUC lies from the bundle's; it does not change the exit code,
    since on another device training ends elsewhere.

    [bold]Examples[/bold]

      mmctr-kit reproduce entry --data DATA

      mmctr-kit reproduce demo/bundle --data demo/data --train --devices cpu
    """
    from mmctr_kit.api import bundle as api

    with progress() as display:
        result = api.reproduce(
            bundle, data, train=train, out=out, device=devices, runs=runs, progress=display
        )
    if as_json:
        print_json(_plain(result))
    else:
        _show(result)
    raise Exit(0 if result.same else 1)


def _show(result: "Reproduction") -> None:
    bundle = result.bundle
    say(str(bundle))
    for rule in bundle.rules or ["kept"]:
        say(f"its README on the rules of {bundle.task}: {rule}")
    for note in result.notes:
        warn(note, "[yellow]note:[/yellow]")
    if result.out is not None:
        say_path("wrote ", result.out, "")
    say(str(result))
    say(f"valid AUC {result.valid_auc}; in the bundle {bundle.valid_auc}")
    if result.trained is not None:
        say(str(result.trained))


def _plain(result: "Reproduction") -> dict[str, Any]:
    again: dict[str, Any] = {
        "verdict": result.verdict,
        "same": result.same,
        "difference": vars(result.difference),
        "rules": result.bundle.rules,
        "valid": result.valid_auc,
        "notes": result.notes,
    }
    if (trained := result.trained) is not None:
        of_run = {"valid": trained.valid_auc, "gap": trained.gap, "identical": trained.identical}
        again["trained"] = of_run
    return dict(finite(again))
