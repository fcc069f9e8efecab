"""``mmctr-kit tune``: search a recipe's keys, and report a score that chose nothing."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, progress, say, table
from mmctr_kit.cli.plans import show_study
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.api.studies import PlannedStudy
    from mmctr_kit.tuning.summary import Summary

_FEW = 50
"""With fewer complete trials the importance is called unreliable."""
_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\d+(\.\d+)?[smh]", value):
        raise BadParameter(f"expected a time like 90s, 30m or 2h; found {value!r}")
    return value


def tune(
    recipe: options.Recipe,
    data: options.DataUnlessListed = None,
    trials: Annotated[int, Option(min=1, help="How many trials the study has in the end.")] = 30,
    timeout: Annotated[
        str | None,
        Option(metavar="TIME", callback=_seconds, help="Begin no trial after 90s, 30m or 2h."),
    ] = None,
    jobs: options.Jobs = None,
    threads: options.Threads = None,
    executor: options.Executor = "local",
    ray_address: options.RayAddress = None,
    name: options.Name = None,
    settings: options.Settings = None,
    finalists: Annotated[
        int, Option(min=0, help="How many of the best trials are trained again; 0: only search.")
    ] = 3,
    seeds: Annotated[
        int, Option("--final-seeds", min=1, help="With how many new seeds each of them.")
    ] = 3,
    storage: Annotated[
        str | None,
        Option(
            metavar="URL",
            envvar="MMCTR_KIT_STORAGE",
            help="Keep the trials in a database, which workers on other machines can join.",
        ),
    ] = None,
    listing: Annotated[
        bool, Option("--list", help="Print the search space as YAML, to copy and change.")
    ] = False,
    devices: options.Devices = "auto",
    force: options.Force = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Search a recipe's keys for the best mean fold AUC less its standard error.

    The search space is the recipe's "search:" block, or one around the recipe (--list prints it, as
    YAML to copy and change). Unpromising trials are stopped early. The best few are then trained
    again with new seeds, and the best of these by OOF AUC is written to RUNS/NAME.study/best.yaml.
    Its valid AUC was not used for selection: it is the unbiased estimate. An AUC in the progress of
    a trial only steers the search, and has no standard error.

    The same command continues an unfinished study, and with more --trials extends it. With one
    worker the result is then the same byte for byte; with several, a trial learns from those that
    had ended when it began, which is chance after the first ten. Given in a second terminal, it
    joins in. To watch: optuna-dashboard RUNS/NAME.study/study.journal.

    With --storage postgresql://USER@HOST/DATABASE the same command joins in on any machine that has
    the data; --finalists 0 leaves the finalists to another. A restart of the database is waited
    for. Put a URL with a password into MMCTR_KIT_STORAGE, or the password into ~/.pgpass: a command
    line can be seen by others. sqlite:///FILE.db is for one machine: its locks fail on network
    disks.

    [bold]Examples[/bold]

      mmctr-kit tune din_mha_demo --data demo/data --trials 30
      mmctr-kit tune din_mha_se_pca --data DATA --trials 100 --timeout 2h
      mmctr-kit tune din_official --data DATA --dry-run
      mmctr-kit tune din_official --list
      mmctr-kit tune din_official --data DATA --storage postgresql://me@db/tuning
    """
    if listing:
        _list(recipe, settings or (), as_json)
        return
    from mmctr_kit.api.options import Options
    from mmctr_kit.api.plans import plan_dry
    from mmctr_kit.api.studies import plan_tuning

    where = options.executor_of(executor, ray_address)
    shared = Options(
        name, settings or (), devices, jobs, force, runs, executor=where, threads=threads
    )
    with progress() as display:
        folder = options.require_data(data)

        def plan(given: Options) -> "PlannedStudy":
            return plan_tuning(recipe, folder, given, display, storage=storage, dry=dry_run)

        planned = plan_dry(plan, shared, display) if dry_run else plan(shared)
    if dry_run:
        show_study(planned, trials, (finalists, seeds), as_json)
        return
    limit = None if timeout is None else float(timeout[:-1]) * _UNITS[timeout[-1]]
    with progress("with the study", force) as display:
        result = planned.run(trials, limit, (finalists, seeds), display)
    if as_json:
        print_json(result.summary.as_json())
    else:
        print_summary(result.summary, result.path)


def _list(recipe: str, settings: Sequence[str], as_json: bool) -> None:
    import yaml

    from mmctr_kit.api.studies import search_space

    space = {key: each.as_plain() for key, each in search_space(recipe, settings).items()}
    if as_json:
        print_json({"search": space})
        return
    say("# A study leaves out what its data folder cannot give, and says so.")
    say("search:")
    for key, values in space.items():
        text = yaml.safe_dump(values, default_flow_style=True, width=1000, sort_keys=False)
        say(f"  {key}: {text.strip()}", wrap=False)


def print_summary(summary: "Summary", path: Path) -> None:
    """Print the search's importances, the finalists, and the unbiased score."""
    from mmctr_kit.tuning.summary import states
    from mmctr_kit.yaml_files import label

    counts = states(summary.trials)
    by_state = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))
    say(f"{plural(len(summary.trials), 'trial')}: {by_state}", style="bold")
    if summary.importance:
        complete = counts["complete"]
        few = f"; only {plural(complete, 'trial')}, so unreliable" if complete < _FEW else ""
        say(f"Parameter importance (PED-ANOVA{few})", style="bold")
        for key, share in list(summary.importance.items())[:5]:
            say(f"  {share:4.0%} {key}")
    if not summary.finalists:
        _best_of_search(summary)
        say("only searched (--finalists 0): no finalist was trained, and best.yaml not written")
        return
    _finalists(summary)
    chosen = summary.finalists[0]
    say(f"trial {chosen.number} has the best OOF AUC less its SE; what differs from the recipe:")
    for key, value in chosen.changes.items():
        say(f"  {key}={label(value)}")
    if not chosen.changes:
        say("  nothing: the unchanged recipe was best")
    _best_of_search(summary)
    say(f"valid AUC {chosen.valid} (fold mean; not used for selection: unbiased)")
    say(f"recipe: {path / 'best.yaml'}")
    say(f"run: {path / 'finalists' / f'trial-{chosen.number}'}")
    if len(summary.finalists) > 1:
        _offer_blend(summary, path)


def _offer_blend(summary: "Summary", path: Path) -> None:
    """Print the command that blends the finalists, which are runs as they are."""
    runs = [str(path / "finalists" / f"trial-{f.number}") for f in summary.finalists]
    name = f"{path.name.removesuffix('.study')}-finalists"
    command = ["mmctr-kit", "blend", *runs, "--name", name]
    if path.parent != options.RUNS:
        command += ["--runs", str(path.parent)]
    say("to blend the finalists:")
    say(shlex.join(command), wrap=False)


def _best_of_search(summary: "Summary") -> None:
    from mmctr_kit.metrics.estimate import Estimate

    if (best := summary.best) is not None:
        top = f"{best['auc']['value']:.4f}, trial {best['number']}"
        say(f"the search's best AUC was {top}: optimistic, the best of many")
    if (own := summary.unchanged) is not None:
        auc = Estimate.from_json(own["auc"])
        say(f"the recipe unchanged, trial {own['number']}, had {auc} in it")


def _finalists(summary: "Summary") -> None:
    """Print one seed's AUCs side by side, then those of the seeds' mean, another predictor."""
    n = len(summary.seeds)
    say(f"Finalists, trained again with {plural(n, 'new seed')}", style="bold")
    several = n > 1
    columns = ["trial", "search", *(["one seed again"] if several else [])]
    columns += [f"{n} seeds: OOF" if several else "again", "valid"]
    rows = []
    for f in summary.finalists:
        estimates = [f.searched, *([f.one_seed] if several else []), f.oof, f.valid]
        rows.append((str(f.number), *(e.compact() for e in estimates)))
    table(columns, rows, left=0)
    if several:
        say("search, one seed again: mean fold AUC of one seed, then and now (on average);")
        say(f"{n} seeds: AUC of the {n} seeds' mean logits, a better predictor;")
    else:
        say("search, again: mean fold AUC, in the search and with a new seed;")
    say("valid: AUC of all fold models' mean logits on valid, which chose no trial")
