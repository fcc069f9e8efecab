"""The progress of training as events: fold models of a run, runs of an ablation, trials."""

import math
import time
from collections import defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mmctr_kit.activity import Activity
from mmctr_kit.api.progress import AtWork, Kind, Listener, ProgressEvent, epochs_raised, span
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from mmctr_kit.cv.fold import FoldActivity, Job
    from mmctr_kit.cv.fold import Progress as FoldProgress
    from mmctr_kit.cv.plan import Plan
    from mmctr_kit.cv.run import ResumePoint
    from mmctr_kit.tuning.folder import StudyFolder
    from mmctr_kit.tuning.study import StudyPlan
    from mmctr_kit.tuning.trial import Position
    from mmctr_kit.tuning.worker import Event as StudyEvent
    from mmctr_kit.tuning.worker import TrialFinished

    FoldEvent = FoldProgress | FoldActivity

_SAME_OUTAGE = 60.0
"""Workers that begin to wait for a database within so many seconds are shown in one line."""

_NAMED = 6
"""How many finished fold models a line names at most."""


class CvProgress:
    """Turns the progress of one run's fold models into events."""

    def __init__(self, plan: "Plan", name: str, listen: Listener) -> None:
        self.name, self.jobs, self.listen = name, len(plan.jobs), listen
        self.training = plan.recipe.training
        self.raised = False
        self.done: dict[tuple[int, int], float] = defaultdict(float)
        self.at_work = AtWork()
        listen(ProgressEvent("begin", label=name, total=self.jobs))

    def resume(self, left: "ResumePoint") -> None:
        """Report what an earlier command has finished, and count it."""
        self.done |= dict.fromkeys(left.finished, 1.0)
        parts = []
        if left.finished:
            which = ", ".join(_job(job) for job in left.finished[:_NAMED])
            more = ", ..." if len(left.finished) > _NAMED else ""
            parts.append(f"finished {len(left.finished)} of {self.jobs} ({which}{more})")
        parts += [f"{_job(job)} after epoch {n}" for job, n in left.epochs.items()]
        text = f"{self.name} goes on where it stopped: {'; '.join(parts)}"
        self.listen(ProgressEvent("begin", text, self.name, len(left.finished), self.jobs, left))

    def __call__(self, event: "FoldEvent") -> None:
        if _is_activity(event):
            self.listen(_activity_event(self.name, event, self.done, self.at_work, 0, self.jobs))
            return
        if not self.raised and event.epochs > self.training.epochs:
            raised = epochs_raised(event.epochs, self.training)
            self.listen(ProgressEvent("note", f"{self.name}: {raised}"))
            self.raised = True
        self.done[event.fold, event.seed] = _share(event)
        if event.epoch is None:
            self.at_work.end((event.fold, event.seed))
        self.listen(_fold_event(self.name, event, sum(self.done.values()), self.jobs))


class AblationProgress:
    """Turns the progress of an ablation's runs, and of measuring their costs, into events."""

    def __init__(self, names: list[str], jobs: int, listen: Listener) -> None:
        self.names, self.jobs, self.listen = names, jobs, listen
        self.done: dict[str, dict[tuple[int, int], float]] = defaultdict(lambda: defaultdict(float))
        self.at_work = AtWork()

    def __call__(self, name: str, event: "FoldEvent | None") -> None:
        position, runs = self.names.index(name), len(self.names)
        at, total = f"{position + 1}/{runs} {name}", runs * (self.jobs + 1)
        before = position * self.jobs
        if event is None:
            text = f"{at}: measuring its cost"
            self.listen(ProgressEvent("cost", text, text, runs * self.jobs + position, total))
            return
        done = self.done[name]
        if _is_activity(event):
            self.listen(_activity_event(at, event, done, self.at_work, before, total))
            return
        done[event.fold, event.seed] = _share(event)
        if event.epoch is None:
            self.at_work.end((event.fold, event.seed))
        self.listen(_fold_event(at, event, before + sum(done.values()), total))


class StudyProgress:
    """Turns a study's trials, then its finalists' fold models, into events.

    ``final``: how many finalists, and how many seeds each.
    """

    def __init__(
        self,
        plan: "StudyPlan",
        folder: "StudyFolder",
        trials: int,
        final: tuple[int, int],
        listen: Listener,
    ) -> None:
        from mmctr_kit.tuning.finalists import FinalistShape
        from mmctr_kit.tuning.worker import counts

        self.folder, self.study, self.listen = folder, folder.study(), listen
        self.recipe, self.trials = plan.recipe, trials
        self.folds = plan.recipe.folds.count
        side_by_side = min(plan.resources.workers, self.folds * final[1])
        rows = len(plan.data.valid) + len(plan.data.test)
        self.shape = FinalistShape(self.folds, final[1], side_by_side, rows)
        known = [t for t in self.study.get_trials(deepcopy=False) if counts(t)]
        scored = [t for t in known if "auc" in t.user_attrs]
        bests = [(_value(t), t.number, float(t.user_attrs["auc"])) for t in scored]
        self.best = max(bests, key=itemgetter(0), default=None)
        self.ended = self.before = len(known)
        self.final = min(final[0], max(trials, len(known))), final[1]
        self.began = time.perf_counter()
        self.running: dict[int, float] = {}
        self.fold: dict[int, int] = defaultdict(int)
        self.at_work = AtWork()
        self.outage = float("-inf")
        self.final_jobs = 0
        self.final_done: dict[int, dict[tuple[int, int], float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self.finished = 0

    def begin_search(self) -> None:
        """Say what the finalists will cost, as far as it is known, before the search begins."""
        label = "search: claiming a trial"
        self.listen(ProgressEvent("begin", label=label, total=max(self.trials - self.before, 1)))
        count, seeds = self.final
        if count and self.before < self.trials:
            text = (
                f"after the search: {plural(count, 'finalist')} x {plural(seeds, 'seed')} x "
                f"{plural(self.folds, 'fold')} = "
                f"{plural(count * seeds * self.folds, 'fold model')}{self._finalists_cost()} "
                "(--finalists 0 trains none)"
            )
            self.listen(ProgressEvent("note", text))

    def search(self, event: "StudyEvent") -> None:
        """Report an event of the search."""
        from mmctr_kit.tuning.worker import Outage, TrialActivity, TrialFinished, WorkerDied

        if isinstance(event, Outage):
            if time.perf_counter() - self.outage > _SAME_OUTAGE:
                self.listen(ProgressEvent("warning", event.text, detail=event))
            self.outage = time.perf_counter()
        elif isinstance(event, WorkerDied):
            for number in event.trials:
                self.running.pop(number, None)
                self.at_work.end(number)
            which = ", ".join(f"trial {n}" for n in event.trials) or "no trial"
            text = f"a worker was killed ({event.cause}); {which} will be tried again"
            self.listen(ProgressEvent("warning", text, detail=event))
        elif isinstance(event, TrialFinished):
            self.listen(self._event("trial", self._ended(event), "search", event))
        elif isinstance(event, TrialActivity):
            self._hear(event.number, event.activity)
        else:
            at, position = event.number, event.position
            self.running[at] = (position.fold + _share(position)) / self.folds
            self.fold[at] = position.fold + (position.epoch is None)
            label = f"search: trial {at} fold {position.fold} AUC {position.auc:.4f}"
            self.listen(self._event("epoch", "", label, event))

    def _hear(self, number: int, activity: Activity) -> None:
        """Report what is being done for a trial."""
        fold = self.fold[number]
        if activity.epochs:
            done = (fold + _part(activity)) / self.folds
            self.running[number] = max(done, self.running.get(number, 0.0))
        self.at_work.hear(number, f"trial {number} fold {fold}", activity)
        label = self.at_work.label("search:")
        self.listen(self._event("activity", "", label, activity, self.at_work.rate))

    def begin_finalists(self) -> None:
        """Count what is still to be trained once the search is over, and say what it will take."""
        if not self.final[0]:
            return
        from mmctr_kit.tuning.finalists import jobs_waiting

        trials = self.study.get_trials(deepcopy=False)
        self.final_jobs = jobs_waiting(self.folder, trials, self.recipe, *self.final)
        self.began = time.perf_counter()
        self.at_work = AtWork()
        waiting = plural(self.final_jobs, "fold model")
        text = f"finalists: {waiting} to train{self._finalists_cost()}"
        total = max(self.final_jobs, 1)
        if self.before >= self.trials and not self.final_jobs:
            line = "nothing to train: a larger --trials goes on with the study, --force begins anew"
            self.listen(ProgressEvent("note", line))
        self.listen(ProgressEvent("begin", text if self.final_jobs else "", "finalists", 0, total))

    def finalist(self, number: int, event: "FoldEvent") -> None:
        """Report an epoch of a finalist's fold model, or its end."""
        at = f"finalist, trial {number}:"
        mine = self.final_done[number]
        before = sum(sum(d.values()) for other, d in self.final_done.items() if other != number)
        if _is_activity(event):
            made = _activity_event(at, event, mine, self.at_work, before, self.final_jobs)
            self.listen(made)
            return
        mine[event.fold, event.seed] = _share(event)
        label = f"{at} {_job((event.fold, event.seed))}"
        done, text = before + sum(mine.values()), ""
        if event.epoch is None:
            self.at_work.end((event.fold, event.seed))
            self.finished += 1  # not the sum: a last epoch that is over is not yet written
            left = (time.perf_counter() - self.began) / done * (self.final_jobs - done)
            soon = f", {span(left)} left" if self.finished < self.final_jobs else ""
            text = f"{label} done in {event.seconds:.1f} s; "
            text += f"{self.finished}/{self.final_jobs}{soon}"
        self.listen(ProgressEvent("finalist", text, label, done, self.final_jobs, event))

    def _event(
        self, kind: Kind, text: str, label: str, detail: object, rate: float = 0.0
    ) -> ProgressEvent:
        done = self.ended - self.before + sum(self.running.values())
        total = max(self.trials - self.before, 1)
        return ProgressEvent(kind, text, label, done, total, detail, rate)

    def _ended(self, event: "TrialFinished") -> str:
        self.running.pop(event.number, None)
        self.at_work.end(event.number)
        if event.state in ("complete", "pruned"):
            self.ended += 1
        text = f"trial {event.number}"
        if event.result is not None:
            value = event.result.value
            if self.best is None or value > self.best[0]:
                self.best = (value, event.number, event.result.auc.value)
            text += f": {event.result.auc}"
        else:
            text += f" {event.state} ({event.why})"
        best = "" if self.best is None else f"; best {self.best[2]:.4f}, trial {self.best[1]}"
        return f"{text}{best}; {self.ended}/{self.trials}{self._left()}"

    def _left(self) -> str:
        """Say the time left for the search, then for the finalists, which no trial counts."""
        done, left = self.ended - self.before, self.trials - self.ended
        if not done:
            return ""
        seconds = self._finalists_seconds()
        final = self.final[0]
        then = f", then {plural(final, 'finalist')}" if final and seconds != 0.0 else ""
        then += self._finalists_cost()
        if left <= 0:
            return then
        return f", {span((time.perf_counter() - self.began) / done * left)} left{then}"

    def _finalists_cost(self) -> str:
        seconds = self._finalists_seconds()
        return f", about {span(seconds)}" if seconds else ""

    def _finalists_seconds(self) -> float | None:
        """The seconds that the finalists will take; None if no trial tells."""
        from mmctr_kit.tuning.finalists import finalists_seconds

        trials = self.study.get_trials(deepcopy=False)
        return finalists_seconds(self.folder, trials, self.final[0], self.shape)


def _job(job: "Job") -> str:
    fold, seed = job
    return f"seed {seed}" if fold == WHOLE else f"fold {fold} seed {seed}"


def _fold_event(run: str, event: "FoldProgress", done: float, total: int) -> ProgressEvent:
    """An epoch of a run's fold model, or its end, as a line and a label."""
    at, held = f"{run} {_job((event.fold, event.seed))}", math.isfinite(event.holdout_auc)
    auc = f"holdout AUC {event.holdout_auc:.4f}" if held else f"loss {event.train_loss:.4f}"
    label = f"{at} {auc}"
    if event.epoch is None:
        best = f", best {auc}" if held else ""
        text = f"{at}: done in {event.seconds:.1f} s{best}"
        return ProgressEvent("fold", text, label, done, total, event)
    text = f"{at} epoch {event.epoch}/{event.epochs}: loss {event.train_loss:.4f}"
    text += f", {auc}" if held else ""
    return ProgressEvent("epoch", text, label, done, total, event)


def _is_activity(event: "FoldEvent") -> "TypeIs[FoldActivity]":
    from mmctr_kit.cv.fold import FoldActivity

    return isinstance(event, FoldActivity)


def _activity_event(
    run: str,
    event: "FoldActivity",
    done: dict[tuple[int, int], float],
    at_work: AtWork,
    before: float,
    total: int,
) -> ProgressEvent:
    """What is being done for a run's fold models; an epoch's share is counted in ``done``."""
    job = event.fold, event.seed
    if event.activity.epochs:
        done[job] = max(_part(event.activity), done[job])
    at_work.hear(job, _job(job), event.activity)
    label, sofar = at_work.label(run), before + sum(done.values())
    return ProgressEvent("activity", "", label, sofar, total, event, at_work.rate)


def _part(activity: Activity) -> float:
    """The share of a model's training that is over, from 0 to 1."""
    return (activity.epoch - 1 + activity.done / activity.total) / activity.epochs


def _share(event: "FoldProgress | Position") -> float:
    return 1.0 if event.epoch is None else event.epoch / event.epochs


def _value(trial: Any) -> float:
    return float(trial.values[0]) if trial.values else float("-inf")
