"""``mmctr-kit blend``: average or stack runs into a run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmctr_kit.cli.complete import complete_runs
from mmctr_kit.cli.options import RUNS, ForceOption, JsonOption, RunsOption
from mmctr_kit.cli.output import print_json, progress, say, say_path, table, warn
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.api.results import BlendResult
    from mmctr_kit.metrics.estimate import Estimate


MethodName = Literal[
    "auto",
    "mean",
    "best",
    "probability",
    "power",
    "rank",
    "greedy",
    "logistic",
    "lightgbm",
    "lightgbm-context",
]

MOST_RUNS = 12
"""More runs than this are not all printed; metrics.json holds them all."""

HARM = 1.0
"""A run that lowers the blend's AUC by this many standard errors is named."""
DOUBT = 2.0
"""A method this many standard errors below the mean's valid AUC brings a warning."""

NAME_WIDTH = 40


def blend(
    run: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Names or folders of runs.", autocompletion=complete_runs
        ),
    ],
    name: Annotated[str, typer.Option(help="The blend's name; it is a run itself.")],
    method: Annotated[MethodName, typer.Option()] = "auto",
    group_softmax: Annotated[
        bool,
        typer.Option(
            "--group-softmax",
            help="Score a user's rows against each other: transductive, and labelled so.",
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="The runs' data: tries lightgbm-context, which looks at the rows too."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**31 - 1, help="Random seed for bagging and for the LightGBM stacker."
        ),
    ] = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Blend runs that share rows, labels and folds; their features may differ.

    Every method is fitted on some users and scored on the others. auto uses the plain mean (of
    calibrated logits) unless a method beats it by more than 2 standard errors, corrected for the
    number of methods. "adds" is what the blend's AUC loses without the run.

    [bold]Examples[/bold]

      mmctr-kit blend din_official din_e4 --name mix

      mmctr-kit blend din_official din_e4 --group-softmax --name grouped

      mmctr-kit blend din_mha_demo gbdt_demo --runs demo/runs --method lightgbm --name two
    """
    from mmctr_kit.api.runs import blend as blend_runs

    with progress(as_json) as display:
        result = blend_runs(
            run,
            name,
            method=method,
            group_softmax=group_softmax,
            data=data,
            seed=seed,
            force=force,
            runs=runs,
            progress=display,
        )
    if as_json:
        print_json(result.report | {"metrics": result.metrics})
    elif not display.finished:
        _print(result)


def _print(blend: "BlendResult") -> None:
    from mmctr_kit.metrics.estimate import Estimate

    report = blend.report
    scores, gains = report["scores"], report["differences"]
    if scores:
        rows = []
        for tried, score in scores.items():
            gain = Estimate.from_json(gains[tried]).signed() if tried in gains else ""
            rows.append((tried, str(Estimate.from_json(score)), gain))
        table(("method", "cross-fitted OOF AUC", "vs plain mean"), rows)
    say(report["reason"] + (f" Fitted: {report['note']}." if report["note"] else ""))
    if report.get("on_valid"):
        _print_valid(report["method"], Estimate.from_json(report["on_valid"]))
    if len(report["runs"]) > 1:
        _print_members(report)
    if report["group_softmax"]:
        _print_groups(report["group_softmax"])
    label = " (transductive)" if report["transductive"] else ""
    if blend.valid_auc is None:
        say_path("", blend.path, f"{label}: no valid AUC, since a run has no valid rows")
    else:
        say_path("", blend.path, f"{label}: valid AUC {blend.valid_auc} (fold mean)")


def _print_valid(method: str, gain: "Estimate") -> None:
    """The method against the mean on valid, which selects nothing but can warn."""
    say(f"Check on the valid split: {gain.signed()} over the plain mean.")
    if gain.z(0.0) < -DOUBT:
        warn(
            f"{method} may be better for single fold models, but averaged over folds it is worse "
            "than the mean: consider --method mean"
        )


def _print_members(report: dict[str, Any]) -> None:
    """Weights, what each run adds and the rank correlations: of at most `MOST_RUNS` runs."""
    from mmctr_kit.metrics.estimate import Estimate

    names, adds, weights = report["runs"], report["adds"], report["weights"]
    gain = [adds[n]["value"] if adds else 0.0 for n in names]
    shown = sorted(range(len(names)), key=lambda i: (-gain[i], i))[:MOST_RUNS]
    letters = [chr(ord("A") + i) for i in range(len(shown))]
    rows = [
        (
            f"{letter} {_short(names[i])}",
            "" if weights is None else f"{weights[names[i]]:.2f}",
            Estimate.from_json(adds[names[i]]).signed() if adds else "",
        )
        for letter, i in zip(letters, shown, strict=True)
    ]
    table(("run", "weight", "adds"), rows)
    worst = min(names, key=lambda n: adds[n]["value"]) if adds else None
    if worst is not None and (adds_least := Estimate.from_json(adds[worst])).z(0.0) < -HARM:
        without = replace(adds_least, value=-adds_least.value).signed()
        warn(f"the blend is better without {worst} (AUC {without}); consider leaving it out")
    related = report["correlation"]["spearman"]
    cells = [[f"{related[i][j]:.2f}".replace("0.", ".", 1) for j in shown] for i in shown]
    table(("r", *letters), [(a, *row) for a, row in zip(letters, cells, strict=True)])
    if len(names) > len(shown):
        say(f"r: rank correlation; {plural(len(names) - len(shown), 'more run')} in metrics.json")
    else:
        say("r: rank correlation")


def _print_groups(found: dict[str, Any]) -> None:
    """The group step beside the plain blend."""
    say(
        "group softmax (transductive: a user's rows are scored against each other), "
        f"temperature {found['temperature']:.2f}"
    )
    rows = [
        (name, *(_cell(found[f"{part}{key}"], name == "difference") for part in ("oof", "valid")))
        for name, key in (("plain", "_plain"), ("grouped", ""), ("difference", "_difference"))
    ]
    table(("", "cross-fitted OOF AUC", "valid AUC"), rows)


def _cell(stored: dict[str, Any] | None, signed: bool) -> str:
    from mmctr_kit.metrics.estimate import Estimate

    if stored is None:
        return "-"
    found = Estimate.from_json(stored)
    return found.signed() if signed else str(found)


def _short(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 3]}..."
