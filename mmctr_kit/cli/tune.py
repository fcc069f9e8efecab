"""``mmctr-kit tune``: search a recipe's keys, and report a score that chose nothing."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmctr_kit.cli.complete import complete_recipes
from mmctr_kit.cli.early import training_place
from mmctr_kit.cli.options import (
    RUNS,
    DataOption,
    DevicesOption,
    ForceOption,
    JsonOption,
    RunsOption,
)
from mmctr_kit.cli.output import fail, print_json, progress_bar, say, say_path, status, table, warn
from mmctr_kit.findings import count

if TYPE_CHECKING:
    from mmctr_kit.foldjobs import Progress
    from mmctr_kit.tune.folder import StudyFolder
    from mmctr_kit.tune.study import StudyPlan
    from mmctr_kit.tune.summary import Summary
    from mmctr_kit.tune.worker import Ended, Event

_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\d+(\.\d+)?[smh]", value):
        raise typer.BadParameter(f"expected a time like 90s, 30m or 2h; found {value!r}")
    return value


def tune(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="A name or a file.", autocompletion=complete_recipes),
    ],
    data: DataOption,
    trials: Annotated[
        int, typer.Option(min=1, help="How many trials the study has in the end.")
    ] = 30,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", callback=_seconds, help="Begin no trial after 90s, 30m, 2h."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "--jobs",
            min=1,
            help="Trials side by side; by default one a CPU core, or one a GPU.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The study's name; the recipe's by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe."),
    ] = None,
    finalists: Annotated[
        int, typer.Option(min=1, help="How many of the best trials are trained again.")
    ] = 3,
    seeds: Annotated[
        int, typer.Option("--final-seeds", min=1, help="With how many new seeds each.")
    ] = 3,
    listing: Annotated[
        bool, typer.Option("--list", help="Print the search space as YAML; train nothing.")
    ] = False,
    devices: DevicesOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Search a recipe's keys for the best mean fold AUC less its error.

    What is searched is the recipe's "search:" block, or a space around the recipe (--list shows
    it, as YAML to copy and change). Unpromising trials are given up early. The best few are then
    trained again with new seeds, the best of these by OOF is written to RUNS/NAME.study/best.yaml,
    and its valid AUC, which chose nothing, is the score to believe.

    The same command goes on with an unfinished study, or with more --trials extends one; given
    again elsewhere meanwhile, it joins in. optuna-dashboard RUNS/NAME.study/study.journal shows it.

    [bold]Examples[/bold]

      mmctr-kit tune din_mha_demo --data demo/data --trials 30

      mmctr-kit tune din_mha_se_pca --data DATA --trials 100 --timeout 2h

      mmctr-kit tune din_official --data DATA --list
    """
    from mmctr_kit.recipe import load_recipe

    base = load_recipe(recipe, settings or ())
    called = base.name if name is None else name
    path = training_place(runs, called, data, devices, ".study")
    from mmctr_kit.recipe.space import search_of
    from mmctr_kit.tune.possible import require_possible
    from mmctr_kit.tune.taken import require_study

    require_possible(search_of(base), base)
    if not listing:
        require_study(path, base, force)
    from mmctr_kit.challenge.load import load
    from mmctr_kit.items.fusion import left_out
    from mmctr_kit.training.device import resolve_device
    from mmctr_kit.tune.study import begin_study, plan_study

    where = resolve_device(devices)
    with status(f"loading {data} and planning"):
        plan = plan_study(base, load(data), where, workers)
    for modality in left_out(plan.data, base.items):
        warn(f"{base.items.embedding} goes without {modality}, which the folder does not hold")
    if listing:
        _list(plan, as_json)
        return
    folder, had, dead = begin_study(plan, path, force)
    if not as_json:
        for what, why in plan.left_out.items():
            say(f"left out: {what} ({why})")
        _say_begin(plan, path, trials, had, dead)
    summary = _run(plan, folder, trials, timeout, workers, (finalists, seeds), as_json)
    if as_json:
        print_json(summary.as_json())
    else:
        print_summary(summary, path)


def _run(
    plan: "StudyPlan",
    folder: "StudyFolder",
    trials: int,
    timeout: str | None,
    workers: int | None,
    final: tuple[int, int],
    quiet: bool,
) -> "Summary":
    from mmctr_kit.tune.study import conclude_study, search_study

    limit = None if timeout is None else float(timeout[:-1]) * _UNITS[timeout[-1]]
    teller = _Teller(plan, folder, trials, final, quiet)
    with teller:
        try:
            search_study(plan, folder, trials, limit, teller.hear)
            return conclude_study(plan, folder, workers, *final, teller.hear_finalist)
        except KeyboardInterrupt:
            fail("interrupted; the same command (without --force) goes on with the study", 130)


def _list(plan: "StudyPlan", as_json: bool) -> None:
    import yaml

    space = {key: values.as_plain() for key, values in plan.search.items()}
    if as_json:
        print_json({"search": space, "left_out": dict(plan.left_out)})
        return
    for what, why in plan.left_out.items():
        say(f"# left out: {what} ({why})")
    say("search:")
    for key, values in space.items():
        text = yaml.safe_dump(values, default_flow_style=True, width=1000, sort_keys=False)
        say(f"  {key}: {text.strip()}")


def _say_begin(plan: "StudyPlan", path: Path, trials: int, had: int, dead: int) -> None:
    folds, workers = plan.recipe.folds.count, plan.crew.workers
    side = f"{workers} side by side" if workers > 1 else "one after another"
    more = f", {had} of them there already" if had else ""
    say_path("", path, f": {count(trials, 'trial')} of {folds} folds, {side}{more}")
    if dead:
        say(f"{count(dead, 'trial')} of killed workers marked as failed, to be tried again")


def print_summary(summary: "Summary", path: Path) -> None:
    """The search's best trials, the finalists, and what to believe."""
    from mmctr_kit.recipe.search import label
    from mmctr_kit.tune.summary import states

    counted = ", ".join(f"{n} {state}" for state, n in sorted(states(summary.trials).items()))
    say(f"{count(len(summary.trials), 'trial')}: {counted}", style="bold")
    if summary.importance:
        complete = states(summary.trials)["complete"]
        say(
            f"What set good ones apart, roughly, of {count(complete, 'complete trial')}",
            style="bold",
        )
        for key, share in list(summary.importance.items())[:5]:
            say(f"  {share:4.0%} {key}")
    again = count(len(summary.seeds), "new seed")
    say(f"Finalists, trained again with {again}", style="bold")
    columns = ("trial", "in the search", "OOF", "valid")
    rows = [
        (str(f.number), *(str(e).replace("± 0.", "±.") for e in (f.searched, f.oof, f.valid)))
        for f in summary.finalists
    ]
    table(columns, rows, left=0)
    chosen = summary.finalists[0]
    say(f"trial {chosen.number} has the best OOF less its error; what it changed:")
    for key, value in chosen.settings.items():
        say(f"  {key}={label(value)}")
    best, top = summary.best["number"], summary.best["auc"]["value"]
    say(f"the search's best AUC was {top:.4f}, trial {best}: optimistic, the best of many")
    before, after = chosen.searched.value, chosen.one_seed.value
    say(f"trial {chosen.number}: {before:.4f} in the search, {after:.4f} with {again}")
    say(f"valid AUC {chosen.valid} (fold mean), which chose nothing: the score to believe")
    say(f"recipe: {path / 'best.yaml'}")
    say(f"run: {path / 'finalists' / f'trial-{chosen.number}'}")


class _Teller:
    """Progress: a bar with the time left on a terminal, and a line for each trial anywhere."""

    def __init__(
        self,
        plan: "StudyPlan",
        folder: "StudyFolder",
        trials: int,
        final: tuple[int, int],
        quiet: bool,
    ) -> None:
        from mmctr_kit.tune.worker import counts

        self.folds, self.trials, self.quiet = plan.recipe.folds.count, trials, quiet
        known = [t for t in folder.study().get_trials(deepcopy=False) if counts(t)]
        best = max((t for t in known if "auc" in t.user_attrs), key=_value, default=None)
        self.ended = self.before = len(known)
        self.best: tuple[float, int, float] | None = None
        if best is not None:
            self.best = (_value(best), best.number, float(best.user_attrs["auc"]))
        self.began = time.perf_counter()
        self.going: dict[int, float] = {}
        self.final_jobs = final[0] * final[1] * self.folds
        self.final_done: dict[tuple[int, int, int], float] = {}
        self.bar = progress_bar(quiet)
        if self.bar is not None:
            self.task = self.bar.add_task("", total=float(max(trials - self.before, 1)))

    def __enter__(self) -> None:
        if self.bar:
            self.bar.start()

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def hear(self, event: "Event") -> None:
        """Of the search."""
        from mmctr_kit.tune.worker import Died, Ended

        if isinstance(event, Died):
            which = ", ".join(f"trial {n}" for n in event.trials) or "no trial"
            for number in event.trials:
                self.going.pop(number, None)
            if not self.quiet:
                warn(f"a worker was killed (signal {event.signal}); {which} will be tried again")
        elif isinstance(event, Ended):
            self._ended(event)
        else:
            at, place = event.number, event.place
            here = place.fold + (1.0 if place.epoch is None else place.epoch / place.epochs)
            self.going[at] = here / self.folds
            done = self.ended - self.before + sum(self.going.values())
            what = f"trial {at} fold {place.fold} AUC {place.auc:.4f}"
            self._show(done, self.trials - self.before, what)

    def _ended(self, event: "Ended") -> None:
        self.going.pop(event.number, None)
        if event.state != "refused":
            self.ended += 1
        text = f"trial {event.number}"
        if event.scored is not None:
            value = event.scored.value
            if self.best is None or value > self.best[0]:
                self.best = (value, event.number, event.scored.auc.value)
            text += f": {event.scored.auc}"
        else:
            text += f" {event.state} ({event.why})"
        best = ""
        if self.best is not None:
            best = f"; best {self.best[2]:.4f}, trial {self.best[1]}"
        self._say(f"{text}{best}; {self.ended}/{self.trials}{self._left()}")

    def hear_finalist(self, number: int, event: "Progress") -> None:
        """Of the finalists."""
        job = (number, event.fold, event.seed)
        self.final_done[job] = 1.0 if event.epoch is None else event.epoch / event.epochs
        where = f"finalist, trial {number}: fold {event.fold} seed {event.seed}"
        self._show(sum(self.final_done.values()), self.final_jobs, where)
        if event.epoch is None:
            self._say(f"{where} done in {event.seconds:.1f} s")

    def _left(self) -> str:
        done, left = self.ended - self.before, self.trials - self.ended
        if not done or left <= 0:
            return ""
        seconds = (time.perf_counter() - self.began) / done * left
        return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"

    def _show(self, completed: float, total: float, text: str) -> None:
        if self.bar:
            self.bar.update(self.task, completed=completed, total=total, description=text)

    def _say(self, text: str) -> None:
        if self.bar:
            self.bar.console.print(text, soft_wrap=True, markup=False)
        elif not self.quiet:
            say(text)


def _value(trial: object) -> float:
    values = getattr(trial, "values", None)
    return float(values[0]) if values else float("-inf")
