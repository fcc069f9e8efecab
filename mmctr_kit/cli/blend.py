"""``mmctr-kit blend``: average or stack runs into a run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Context, Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, console, print_json, progress, say, say_path, table, warn
from mmctr_kit.ensemble.methods import Method
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.api.progress import Listener
    from mmctr_kit.api.results import BlendResult
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.metrics.estimate import Estimate


MethodName = Literal["auto", Method]

MOST_RUNS = 12
"""How many runs are printed at most; metrics.json holds them all."""


def blend(
    context: Context,
    run: Annotated[list[str], options.run_argument("RUN...", "Names or folders of runs.")],
    name: Annotated[str, Option(help="Name of the blend, which is a run itself.")],
    method: Annotated[MethodName, Option(help="auto: the best, if it beats the mean.")] = "auto",
    group_softmax: Annotated[
        bool,
        Option(
            "--group-softmax",
            help="Score a user's rows against each other: transductive, and labelled so.",
        ),
    ] = False,
    data: Annotated[
        Path | None,
        options.data_option("The runs' data: tries stack and lightgbm-context too."),
    ] = None,
    seed: options.Seed = 0,
    force: options.Force = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
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

    with progress() as display:
        usual = data is not None and not options.typed(context, "data")
        result = blend_runs(
            run,
            name,
            method=method,
            group_softmax=group_softmax,
            data=_if_theirs(data, run, runs, display) if usual else data,
            seed=seed,
            force=force,
            runs=runs,
            progress=display,
        )
    if as_json:
        print_json(result.report | {"metrics": result.metrics})
    elif not display.finished:
        _print(result, method)


def _if_theirs(
    data: Path | None, runs: list[str], folder: Path, listen: "Listener"
) -> "ChallengeData | None":
    """The data that the environment or the settings file names, if the runs were made from it."""
    from mmctr_kit.api.preflight import as_data
    from mmctr_kit.api.runs import open_run

    assert data is not None
    loaded = as_data(data, listen)
    if loaded.rows_fingerprint == open_run(runs[0], folder).manifest.rows:
        return loaded
    warn(f"{data} is not the data of {runs[0]}: blended without it; --data DATA names another")
    return None


def _print(blend: "BlendResult", asked: str) -> None:
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.run import Run

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
    if report.get("over_best"):
        _print_best(report["best_run"], Estimate.from_json(report["over_best"]))
    if len(report["runs"]) > 1:
        _print_members(report)
        if asked == "auto":  # which leaves out what does harm
            _explain_kept(report)
        else:
            _warn_of_harm(report)
    if report["group_softmax"]:
        _print_groups(report["group_softmax"])
    label = " (transductive)" if report["transductive"] else ""
    if blend.valid_auc is None:
        places = blend.source_places.items()
        bare = " and ".join(n for n, place in places if Run(place).valid_auc is None)
        say_path("", blend.path, f"{label}: no valid AUC, since there are no valid rows of {bare}")
    else:
        say_path("", blend.path, f"{label}: valid AUC {blend.valid_auc} (the blend)")


def _print_valid(method: str, gain: "Estimate") -> None:
    """Print the method against the mean on valid, which selects nothing but can warn."""
    from mmctr_kit.metrics.estimate import DOUBT_Z

    say(f"Check on the valid split: {gain.signed()} over the plain mean.")
    if gain.z(0.0) < -DOUBT_Z:
        warn(
            f"{method} may be better for single fold models, but averaged over folds it is worse "
            "than the mean: consider --method mean"
        )


def _print_best(name: str, gain: "Estimate") -> None:
    """Print the blend against its best run alone on valid, and say so if it is no better."""
    from mmctr_kit.metrics.estimate import DOUBT_Z

    say(f"Over {name} alone, the best run: {gain.signed()} on valid.")
    if gain.z(0.0) < -DOUBT_Z:
        warn(f"on the valid split the blend is worse than {name} alone: consider that run instead")
    elif gain.value <= 0.0:
        say(f"{name} alone is not beaten: the blend's valid AUC is no higher than that run's.")


def _print_members(report: dict[str, Any]) -> None:
    """Print weights, what each run adds and the rank correlations of `MOST_RUNS` runs at most."""
    from mmctr_kit.metrics.estimate import Estimate

    names, adds, weights = report["runs"], report["adds"], report["weights"]
    gain = [adds[n]["value"] if adds else 0.0 for n in names]
    most = min(MOST_RUNS, (console().width - 4) // 5)  # so that the correlations fit
    shown = sorted(range(len(names)), key=lambda i: (-gain[i], i))[:most]
    letters = [chr(ord("A") + i) for i in range(len(shown))]
    rows = [
        (
            f"{letter} {names[i]}",
            "" if weights is None else f"{weights[names[i]]:.2f}",
            Estimate.from_json(adds[names[i]]).signed() if adds else "",
        )
        for letter, i in zip(letters, shown, strict=True)
    ]
    table(("run", "weight", "adds"), rows)
    related = report["correlation"]["spearman"]
    cells = [[f"{related[i][j]:.2f}".replace("0.", ".", 1) for j in shown] for i in shown]
    table(("r", *letters), [(a, *row) for a, row in zip(letters, cells, strict=True)])
    hidden = len(names) - len(shown)
    say(
        "r: rank correlation"
        + (f"; {plural(hidden, 'more run')} in metrics.json" if hidden else "")
    )


def _explain_kept(report: dict[str, Any]) -> None:
    """Say why a run stays that adds less than nothing."""
    from mmctr_kit.metrics.estimate import required_z

    adds = report["adds"] or {}
    kept = [n for n, gain in adds.items() if gain["value"] < 0 and n not in report["left_out"]]
    if kept:
        needed = f"{required_z(len(adds)):.1f} standard errors"
        say(f"kept: {', '.join(kept)}; a run is left out if it surely does harm, by {needed}")


def _warn_of_harm(report: dict[str, Any]) -> None:
    from mmctr_kit.ensemble.harm import most_harmful
    from mmctr_kit.metrics.estimate import Estimate

    adds = {i: Estimate.from_json(gain) for i, gain in enumerate(report["adds"].values())}
    if (worst := most_harmful(adds)) is not None:
        without = replace(adds[worst], value=-adds[worst].value).signed()
        name = list(report["adds"])[worst]
        warn(f"the blend is better without {name} (AUC {without}); leave it out, or use auto")


def _print_groups(grouped: dict[str, Any]) -> None:
    """Print the group step beside the plain blend."""
    from mmctr_kit.metrics.estimate import Estimate

    say(
        "group softmax (transductive: a user's rows are scored against each other), "
        f"temperature {grouped['temperature']:.2f}"
    )
    rows = []
    for name, key in (("plain", "_plain"), ("grouped", ""), ("difference", "_difference")):
        estimates = [Estimate.find(grouped, f"{split}{key}") for split in ("oof", "valid")]
        rows.append((name, *(cell(each, signed=name == "difference") for each in estimates)))
    table(("", "cross-fitted OOF AUC", "valid AUC"), rows)
