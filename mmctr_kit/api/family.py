"""Train a family of recipes, all of it or the members that a budget of time allows."""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.members import load_members, suit
from mmctr_kit.api.options import Options
from mmctr_kit.api.plans import PlannedRun, plan_runs
from mmctr_kit.api.preflight import AnyPath, Settings, as_lines, load_to_train
from mmctr_kit.api.progress import Listener, Progress, ProgressEvent, listening, span
from mmctr_kit.api.recorded import recorded
from mmctr_kit.errors import DataError, RunError, UsageError, did_you_mean

if TYPE_CHECKING:
    from mmctr_kit.cv.executors.settings import AnyExecutor
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.recipe.family import Member
    from mmctr_kit.runs.run import Run

OVERRUN = 1.15
"""Up to this multiple of the budget, a member that has begun may go on: its training is spent."""

FULL = 0.97
"""When this share of the budget is given away, the cost of further members is not measured."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def budget_seconds(budget: str | float) -> float:
    """The seconds of a budget: a number of seconds, or text such as 90s, 30m or 2.5h."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", str(budget).strip())
    number = isinstance(budget, int | float) and not isinstance(budget, bool)
    seconds = float(budget) if number else 0.0
    if parts:
        seconds = float(parts[1]) * _UNITS[parts[2]]
    if not 0 < seconds < math.inf:
        raise UsageError(f"budget: expected a time such as 90s, 30m or 2h; found {budget!r}")
    return seconds


@dataclass(frozen=True)
class PlannedMember:
    """A member of a family on one data set.

    ``planned`` is None if the data rule it out, and ``why`` says why; otherwise ``why`` names the
    keys that were changed for the data. ``seconds``, the estimate of what is left to train, are 0
    if its run is finished, and NaN if they were not measured.
    """

    member: "Member"
    planned: PlannedRun | None
    why: str
    seconds: float = math.nan

    @property
    def kind(self) -> str:
        """The kind of its learner; estimates of one kind are off alike."""
        from mmctr_kit.models.registry import MODELS

        plan = None if self.planned is None else self.planned.plan
        return "" if plan is None else MODELS[plan.recipe.model_name].learner.target


def choose(seconds: Sequence[float], budget: float) -> list[bool]:
    """Which members to train: each in turn, if what is left of the budget suffices for it."""
    chosen = []
    for cost in seconds:
        chosen.append(cost <= budget)
        budget -= cost if chosen[-1] else 0.0
    return chosen


class _OverBudgetError(Exception):
    """Ends a member's training; its run goes on with the next command."""

    def __init__(self, slower: float, done: str) -> None:
        self.slower, self.done = slower, done


@dataclass
class PlannedFamily:
    """A family that can be trained; ``budget`` (seconds, None: no limit) counts from ``began``."""

    members: list[PlannedMember]
    budget: float | None
    began: float
    clock: Callable[[], float] = time.monotonic
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def used(self) -> float:
        """The seconds that the command has used."""
        return self.clock() - self.began

    @property
    def left(self) -> float:
        """The seconds that are left of the budget."""
        return math.inf if self.budget is None else self.budget - self.used

    def verdicts(self) -> list[str]:
        """What is to happen to each member: trained, finished already, or left out and why."""
        unlimited = self.budget is None
        costs = [math.inf if m.planned is None else m.seconds for m in self.members]
        chosen = choose(costs, self.left)
        return [self._verdict(*each, unlimited) for each in zip(self.members, chosen, strict=True)]

    @staticmethod
    def _verdict(each: PlannedMember, chosen: bool, unlimited: bool) -> str:
        if each.planned is None:
            return f"left out: {each.why}"
        if each.planned.finished:
            return "finished already"
        if unlimited or chosen:
            return f"train, with {each.why}" if each.why else "train"
        return "left out: no time" if math.isfinite(each.seconds) else "left out: budget is full"

    def run(self, listen: Listener) -> "list[Run]":
        """Train members in order, as the time really used allows, and return finished runs.

        Raises RunError if no member was finished.
        """
        waiting = [each for each in self.members if each.planned is not None]
        slower: dict[str, float] = {}
        runs: list[Run] = []
        while waiting:
            left = max(self.left, 0.0)
            needs = [self._need(each, slower) for each in waiting]
            fits = [number for number, need in enumerate(needs) if need <= left]
            if not fits:
                break
            each = waiting.pop(fits[0])
            assert each.planned is not None
            began = self.used
            try:
                runs.append(each.planned.run(_Guard(self, each, listen)))
            except _OverBudgetError as over:
                slower[each.kind] = over.slower
                self._leave_out(each, f"{over.done}; the same command goes on there", listen)
                continue
            if each.seconds > 0 and not each.planned.finished:
                slower[each.kind] = (self.used - began) / each.seconds
        for each in waiting:
            need = each.seconds * slower.get(each.kind, 1.0)
            wants = f"needs about {span(need)}, " if math.isfinite(need) else ""
            self._leave_out(each, f"{wants}{span(max(self.left, 0.0))} left of the budget", listen)
        if not runs:
            raise RunError(
                f"the budget of {span(self.budget or 0)} is too small for any member; raise it "
                "(the same command goes on where it stopped)"
            )
        return runs

    def _need(self, each: PlannedMember, slower: Mapping[str, float]) -> float:
        """The seconds that a member needs, as far as the budget asks."""
        assert each.planned is not None
        if each.planned.finished or self.budget is None:
            return 0.0
        return each.seconds * slower.get(each.kind, 1.0)

    def _leave_out(self, each: PlannedMember, why: str, listen: Listener) -> None:
        self.left_out[each.member.name] = why
        listen(ProgressEvent("note", f"{each.member.name} left out: {why}"))


class _Guard:
    """Passes a member's progress on, and ends its training if it would overrun the budget."""

    def __init__(self, family: PlannedFamily, each: PlannedMember, listen: Listener) -> None:
        assert each.planned is not None
        self.family, self.each, self.listen = family, each, listen
        self.began, self.finished, self.new = family.used, 0, 0
        plan = each.planned.plan
        self.workers = 1 if plan is None else plan.resources.workers

    def __call__(self, event: ProgressEvent) -> None:
        self.listen(event)
        family = self.family
        if family.budget is None or event.total is None or event.kind == "activity":
            return
        if event.kind == "begin":
            self.finished = int(event.done)
        elif event.kind == "fold":
            self.finished += 1
            self.new += 1
        waiting = int(event.total) - self.finished
        if not waiting:
            return
        end, spent = family.used, family.used - self.began
        if event.kind == "fold":  # the first folds of all workers end together
            rounds = -(-self.new // self.workers)
            end += spent / rounds * -(-waiting // self.workers)
        if end > OVERRUN * family.budget:
            total = spent + end - family.used
            done = f"stopped after {self.finished} of {int(event.total)} fold models"
            raise _OverBudgetError(max(1.0, total / (self.each.seconds or total)), done)


def plan_family(
    family: str,
    data: "str | Path | ChallengeData",
    options: Options,
    budget: str | float | None,
    listen: Listener,
    *,
    measure: bool = False,
) -> PlannedFamily:
    """Check that the members of a family can be trained on the data, and plan their runs.

    The cost of each is measured if there is a budget, which counts from here, or if ``measure``.
    A recipe is suited to the data, and a setting is for the members that have its key. Raises
    UsageError if there is no such family,
    DataError if no member can be trained on the data, and RunError if other runs have their names.
    """
    from mmctr_kit.recipe.family import FAMILIES

    began = time.monotonic()
    limit = None if budget is None else budget_seconds(budget)
    if family not in FAMILIES:
        raise UsageError(f"no family '{family}'{did_you_mean(family, FAMILIES)}")
    if options.name is not None:
        raise UsageError(
            f"--name: the runs of family {family} have the names of its members; choose another "
            "folder of runs with --runs"
        )
    if (limit is not None or measure) and options.executor != "local":
        raise UsageError(
            f"executor {options.executor!r}: costs are measured on this machine; leave out "
            "--budget and --dry-run, or --executor"
        )
    members, settings = FAMILIES[family], as_lines(options.settings)
    recipes = load_members([m.recipe for m in members], settings, listen)
    for member in members:  # a wrong folder is an error before the data is loaded
        options.path(member.name, data)
    content = load_to_train(data, listen, recipes.values(), options.strict)
    suited = suit(recipes, content, settings)
    alone = replace(options, settings=())
    plans, faults = list[PlannedMember](), list[DataError]()
    for member in members:
        recipe, changes = suited[member.recipe]
        named = {"name": member.name, "seeds": (member.seed,)}
        try:
            (run,) = plan_runs([recipe.model_copy(update=named)], content, alone, lambda _: None)
            plans.append(PlannedMember(member, run, ", ".join(changes)))
        except DataError as e:
            faults.append(e)
            plans.append(PlannedMember(member, None, str(e)))
        except UsageError as e:
            raise UsageError(f"{member.name}: {e}") from e
    if len(faults) == len(plans):
        raise DataError(f"{plans[0].member.name}: {faults[0]}")
    planned = PlannedFamily(plans, limit, began)
    if limit is not None or measure:
        planned.members = _measured(planned, listen)
    return planned


def _measured(family: PlannedFamily, listen: Listener) -> list[PlannedMember]:
    """The members with their estimated seconds, the cost of each recipe measured once."""
    from mmctr_kit.cv.estimate import Meter

    costs: dict[str, float] = {}
    made: list[PlannedMember] = []
    given = 0.0
    with Meter() as meter:
        for each in family.members:
            run, name = each.planned, each.member.recipe
            if run is None or run.plan is None:
                made.append(replace(each, seconds=math.nan if run is None else 0.0))
                continue
            full = family.budget is not None and given > FULL * family.left
            if name not in costs and not full:
                listen(ProgressEvent("load", label=f"measuring {name}"))
                costs[name] = meter.cost(run.plan).seconds
            seconds = costs.get(name, math.nan) * _waiting(run)
            if seconds <= family.left - given:
                given += seconds
            made.append(replace(each, seconds=seconds))
    return made


def _waiting(run: PlannedRun) -> float:
    """The share of a run's training that no earlier command has done."""
    from mmctr_kit.runs.writer import RunWriter

    assert run.plan is not None
    jobs, workers = run.plan.jobs, run.plan.resources.workers
    if run.force or not run.path.exists():
        return 1.0
    waiting = sum(not RunWriter(run.path).fold(*job).finished for job in jobs)
    return -(-waiting // workers) / -(-len(jobs) // workers)


@recorded
def train_family(
    family: str,
    data: "str | Path | ChallengeData",
    *,
    budget: str | float | None = None,
    set: Settings = (),
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    executor: "AnyExecutor" = "local",
    force: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> "list[Run]":
    """Cross-validate the members of a family, all or those that a budget of time allows.

    The same call continues an interrupted one; finished runs cost nothing again.

    Parameters
    ----------
    family : str
        ``"best"``: trees and networks that differ, for a blend.
    data : str, Path or ChallengeData
        The folder that contains ``MicroLens_1M_x1/``, or the data loaded from it.
    budget : str or float, optional
        Such as ``"30m"`` or ``"2h"``, or seconds. Members are taken in the order of what they add,
        if their measured cost fits; without it all are trained.
    set, device, jobs, threads, executor, force, runs, progress
        As in :func:`cross_validate`, for every member.

    Returns
    -------
    list of Run
        The finished runs, which :func:`blend` takes.

    Raises
    ------
    UsageError
        For a wrong family, budget, key or device.
    DataError
        If no member can be trained on the data.
    RunError
        If a different run has a member's name, or if the budget is too small for every member.

    Examples
    --------
    >>> runs = mmctr_kit.train_family("best", DATA, budget="30m")
    >>> mmctr_kit.blend([run.path for run in runs], "best", data=DATA)
    """
    options = Options(None, set, device, jobs, force, runs, executor=executor, threads=threads)
    with listening(progress) as listen:
        return plan_family(family, data, options, budget, listen).run(listen)
