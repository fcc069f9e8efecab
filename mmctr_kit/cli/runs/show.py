"""``mmctr-kit runs show``: where a run comes from, how far it is, and its scores."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, finite, print_json, say, table

if TYPE_CHECKING:
    from mmctr_kit.api.overview import Details
    from mmctr_kit.runs.fold_models import FoldModel
    from mmctr_kit.runs.importance import FeatureImportance
    from mmctr_kit.runs.progress import FoldState

_FEATURES = 10
"""How many features are shown, the most important first."""
_KINDS = {
    "cv": "cv run",
    "fit": "single fit",
    "blend": "blend",
    "imported": "import",
    "study": "study",
    "ablation": "ablation",
}
SCORES = {
    "valid": "valid AUC",
    "oof": "OOF AUC",
    "fold_models_valid": "fold models' valid AUC",
    "valid_logloss": "valid logloss",
    "oof_logloss": "OOF logloss",
    "valid_gauc": "valid GAUC",
    "recipe_valid": "recipe's valid AUC",
    "recipe_oof": "recipe's OOF AUC",
}
"""The names of scores, for people."""


def show(
    run: Annotated[
        str, options.run_argument("NAME", "A run, blend, study or ablation, finished or not.")
    ],
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Show where a run comes from: dates, command, data, git commit, host; its scores and folds.

    An unfinished run has the command that goes on with it. Scores have standard errors; a recipe's
    AUC is the mean over seeds, whose standard error counts the variance between them. A study has
    its chosen finalist's scores, an ablation its base's.

    [bold]Examples[/bold]

      mmctr-kit runs show din_official
      mmctr-kit runs show blend --runs demo/runs --json
    """
    from mmctr_kit.api.overview import show_run

    details = show_run(run, runs)
    if as_json:
        print_json(finite(details.to_json()))
        return
    _print(details)


def _print(details: "Details") -> None:
    at_work = {True: ", running", False: ""}[details.alive]
    state = "finished, but OOF and valid disagree" if details.alarm else details.state
    say(f"{details.name}: {_KINDS[details.kind]}, {state}{at_work}", style="bold")
    facts = list(_facts(details))
    wide = max(len(name) for name, _ in facts)
    for name, text in facts:
        say(f"  {name.ljust(wide)}  {text}", wrap=False)
    from mmctr_kit.runs.progress import HOLDOUT

    # The mean over one seed is that seed's score, which stands above.
    one_seed = len(details.seeds) == 1 and "recipe_valid" in details.scores
    scores = [(n, s) for n, s in details.scores.items() if not (one_seed and "recipe" in n)]
    if scores:
        table(("score", "value"), [(SCORES[name], str(score)) for name, score in scores])
    if one_seed:
        say("recipe's AUC: n/a, since one seed does not show how far seeds differ (seeds=[0,1,2])")
    if details.folds:
        columns = ("fold model", "state", "best epoch", "holdout AUC", "seconds")
        table(columns, [_fold(state) for state in details.folds], left=2)
        if any(state.holdout_auc is not None for state in details.folds):
            say(HOLDOUT)
    if details.models:
        scored = ("fold model", "OOF rows", "OOF AUC", "valid AUC")
        table(scored, [_model(model) for model in details.models])
    if details.features:
        measured = ("feature", "drop of valid AUC", "gain")
        table(measured, [_feature(feature) for feature in details.features[:_FEATURES]])
        if len(details.features) > _FEATURES:
            say(
                f"{len(details.features) - _FEATURES} more features, and what each of them means: "
                "--json, or 'mmctr-kit report'"
            )
    if details.alarm:
        say(details.alarm, style="yellow")


def _facts(details: "Details") -> Iterator[tuple[str, str]]:
    """Name and text of all that is not a table."""
    from mmctr_kit.submission.verdicts import summary

    lineage = details.lineage
    yield "folder", str(details.path)
    if details.progress:
        yield "progress" if details.state == "unfinished" else "contents", details.progress
    if details.again:
        yield "to resume", details.again
    yield "begun", _moment(details.began)
    if lineage is None:
        yield "command", "not recorded: begun by an earlier version of mmctr-kit"
    else:
        if lineage.finished is not None:
            yield "finished", _moment(lineage.finished)
        yield "resumed", {0: "never", 1: "once"}.get(lineage.resumed, f"{lineage.resumed} times")
        yield "command", lineage.command or "not known"
        yield "in folder", lineage.folder
        if lineage.data is not None:
            yield "data", lineage.data
        changes = " with changes that were not committed" if lineage.dirty else ""
        yield "git commit", f"{lineage.commit}{changes}" if lineage.commit else "none"
        yield "host", lineage.host
        yield "device", lineage.device or "none"
        yield "version", f"mmctr-kit {lineage.version}"
    if details.storage is not None:
        yield "trials in", details.storage
    if details.seeds:
        yield "seeds", ", ".join(map(str, details.seeds))
    known = {k: v for k, v in details.environment.items() if k not in ("mmctr_kit", "device")}
    with_values = [f"{name} {value}" for name, value in known.items() if value is not None]
    if with_values:
        yield "made with", ", ".join(with_values)
    for name, place in details.sources.items():
        yield "made of", f"{name} ({place})"
    if details.rules:
        yield "rules", summary(details.rules).removeprefix("rules ")


def _fold(state: "FoldState") -> list[str]:
    of = f"/{state.epochs}" if state.epochs else ""
    text = "finished" if state.finished else f"epoch {state.epoch}{of}"
    return [
        state.name,
        text if state.finished or state.epoch else "waiting",
        "-" if state.best_epoch is None else str(state.best_epoch),
        "-" if state.holdout_auc is None else f"{state.holdout_auc:.4f}",
        "-" if state.seconds is None else f"{state.seconds:,.1f}",
    ]


def _model(model: "FoldModel") -> list[str]:
    name = f"{model.fold}-{model.seed}"
    return [name, f"{model.oof_rows:,}", cell(model.oof), cell(model.valid)]


def _feature(feature: "FeatureImportance") -> list[str]:
    return [feature.name, cell(feature.drop, signed=True), f"{100 * feature.gain.value:.1f} %"]


def _moment(time: str | None) -> str:
    """A time in UTC, as this machine's clock shows it."""
    from datetime import datetime

    if time is None:
        return "not known"
    return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M:%S %Z}"
