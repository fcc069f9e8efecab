"""Progress of long work: the events that a function reports, and one display for them."""

import logging
import math
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, Self

from mmctr_kit.data.folds import WHOLE
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from mmctr_kit.cv.fold import Job
    from mmctr_kit.cv.fold import Progress as FoldProgress
    from mmctr_kit.cv.plan import Plan
    from mmctr_kit.cv.run import ResumePoint
    from mmctr_kit.recipe import Training
    from mmctr_kit.tuning.folder import StudyFolder
    from mmctr_kit.tuning.study import StudyPlan
    from mmctr_kit.tuning.trial import Position
    from mmctr_kit.tuning.worker import Event as StudyEvent
    from mmctr_kit.tuning.worker import TrialFinished

Kind = Literal[
    "load", "begin", "epoch", "fold", "trial", "finalist", "cost", "note", "finished", "warning"
]


@dataclass(frozen=True)
class ProgressEvent:
    """One step of long work, as a ``progress`` callable receives it.

    ``text`` is a whole line, empty for a mere update; ``label`` is short enough to stand beside a
    bar. ``done`` of ``total`` units (mostly fold models) are finished; ``total`` is None while it
    is unknown. ``detail`` is the kit's own event (epoch, losses, AUC), None if there is none.
    """

    kind: Kind
    text: str = ""
    label: str = ""
    done: float = 0.0
    total: float | None = None
    detail: object = None


_LOG = logging.getLogger(__name__)

_SAME_OUTAGE = 60.0
"""Workers that begin to wait for a database within so many seconds are shown in one line."""

Listener = Callable[[ProgressEvent], None]
Progress = bool | Listener | None
"""None or False: silent but for warnings. True: a bar, or lines if there is no terminal."""


class Display:
    """A bar with the time left on a terminal or in a notebook, plain lines elsewhere.

    ``quiet`` shows warnings alone. ``warn`` prints a warning; by default Python's own.
    ``finished`` becomes True if the work turned out to be done already.
    """

    def __init__(self, quiet: bool, warn: Callable[[str], None] | None = None) -> None:
        self.quiet, self.finished = quiet, False
        self._warn = warn or (lambda text: warnings.warn(text, UserWarning, stacklevel=5))
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: ProgressEvent) -> None:
        self.finished = self.finished or event.kind == "finished"
        if event.text and event.kind != "warning":
            _LOG.info("%s", event.text)
        if event.kind == "warning":
            self._warn(event.text)
        elif not self.quiet:
            self._show(event)

    def _show(self, event: ProgressEvent) -> None:
        from rich.console import Console
        from rich.markup import escape

        console = Console(width=None if sys.stdout.isatty() else 80, highlight=False)
        if event.label and (console.is_terminal or console.is_jupyter):
            self._advance(event, console)
        if event.text and (self._bar is None or event.kind not in ("epoch", "fold", "cost")):
            out = console if self._bar is None else self._bar.console
            out.print(escape(event.text), soft_wrap=True)

    def _advance(self, event: ProgressEvent, console: "Console") -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn())
            rest = (TextColumn("{task.percentage:.0f}%"), TimeRemainingColumn())
            self._bar = Progress(*columns, *rest, console=console, transient=True)
            self._task = self._bar.add_task(event.label, total=event.total)
            self._bar.start()
        if event.kind == "begin":
            # Not an update: what was finished before says nothing about the time left.
            self._bar.reset(
                self._task, total=event.total, completed=int(event.done), description=event.label
            )
        else:
            self._bar.update(
                self._task, completed=event.done, total=event.total, description=event.label
            )


@contextmanager
def listening(progress: Progress) -> Iterator[Listener]:
    """The listener that a function's ``progress`` argument asks for."""
    if callable(progress):
        yield progress
        return
    with Display(quiet=not progress) as display:
        yield display


_NAMED = 6
"""How many finished fold models a line names at most."""


class CvProgress:
    """Turns the progress of one run's fold models into events."""

    def __init__(self, plan: "Plan", name: str, listen: Listener) -> None:
        self.name, self.jobs, self.listen = name, len(plan.jobs), listen
        self.training = plan.recipe.training
        self.raised = False
        self.done: dict[tuple[int, int], float] = defaultdict(float)
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

    def __call__(self, event: "FoldProgress") -> None:
        if not self.raised and event.epochs > self.training.epochs:
            raised = epochs_raised(event.epochs, self.training)
            self.listen(ProgressEvent("note", f"{self.name}: {raised}"))
            self.raised = True
        self.done[event.fold, event.seed] = _share(event)
        self.listen(_fold_event(self.name, event, sum(self.done.values()), self.jobs))


class AblationProgress:
    """Turns the progress of an ablation's runs, and of measuring their costs, into events."""

    def __init__(self, names: list[str], jobs: int, listen: Listener) -> None:
        self.names, self.jobs, self.listen = names, jobs, listen
        self.done: dict[tuple[str, int, int], float] = {}

    def __call__(self, name: str, event: "FoldProgress | None") -> None:
        position, runs = self.names.index(name), len(self.names)
        at, total = f"{position + 1}/{runs} {name}", runs * (self.jobs + 1)
        if event is None:
            text = f"{at}: measuring its cost"
            self.listen(ProgressEvent("cost", text, text, runs * self.jobs + position, total))
            return
        self.done[name, event.fold, event.seed] = _share(event)
        of_run = sum(share for (run, *_), share in self.done.items() if run == name)
        self.listen(_fold_event(at, event, position * self.jobs + of_run, total))


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
        from mmctr_kit.tuning.worker import counts

        self.folder, self.study, self.listen = folder, folder.study(), listen
        self.recipe, self.trials, self.final = plan.recipe, trials, final
        self.folds = plan.recipe.folds.count
        self.side_by_side = min(plan.resources.workers, self.folds * final[1])
        known = [t for t in self.study.get_trials(deepcopy=False) if counts(t)]
        scored = [t for t in known if "auc" in t.user_attrs]
        bests = [(_value(t), t.number, float(t.user_attrs["auc"])) for t in scored]
        self.best = max(bests, key=itemgetter(0), default=None)
        self.ended = self.before = len(known)
        self.began = time.perf_counter()
        self.running: dict[int, float] = {}
        self.outage = float("-inf")
        self.final_jobs = 0
        self.final_done: dict[tuple[int, int, int], float] = {}
        self.finished = 0

    def search(self, event: "StudyEvent") -> None:
        """Report an event of the search."""
        from mmctr_kit.tuning.worker import Outage, TrialFinished, WorkerDied

        if isinstance(event, Outage):
            if time.perf_counter() - self.outage > _SAME_OUTAGE:
                self.listen(ProgressEvent("warning", event.text, detail=event))
            self.outage = time.perf_counter()
        elif isinstance(event, WorkerDied):
            for number in event.trials:
                self.running.pop(number, None)
            which = ", ".join(f"trial {n}" for n in event.trials) or "no trial"
            text = f"a worker was killed ({event.cause}); {which} will be tried again"
            self.listen(ProgressEvent("warning", text, detail=event))
        elif isinstance(event, TrialFinished):
            self.listen(self._event("trial", self._ended(event), "search", event))
        else:
            at, position = event.number, event.position
            self.running[at] = (position.fold + _share(position)) / self.folds
            label = f"search: trial {at} fold {position.fold} AUC {position.auc:.4f}"
            self.listen(self._event("epoch", "", label, event))

    def begin_finalists(self) -> None:
        """Count what is still to be trained once the search is over."""
        if not self.final[0]:
            return
        from mmctr_kit.tuning.finalists import jobs_waiting

        trials = self.study.get_trials(deepcopy=False)
        self.final_jobs = jobs_waiting(self.folder, trials, self.recipe, *self.final)
        self.began = time.perf_counter()
        self.listen(ProgressEvent("begin", label="finalists", total=max(self.final_jobs, 1)))

    def finalist(self, number: int, event: "FoldProgress") -> None:
        """Report an epoch of a finalist's fold model, or its end."""
        self.final_done[number, event.fold, event.seed] = _share(event)
        label = f"finalist, trial {number}: {_job((event.fold, event.seed))}"
        done, text = sum(self.final_done.values()), ""
        if event.epoch is None:
            self.finished += 1  # not the sum: a last epoch that is over is not yet written
            left = (time.perf_counter() - self.began) / done * (self.final_jobs - done)
            soon = f", {span(left)} left" if self.finished < self.final_jobs else ""
            text = f"{label} done in {event.seconds:.1f} s; "
            text += f"{self.finished}/{self.final_jobs}{soon}"
        self.listen(ProgressEvent("finalist", text, label, done, self.final_jobs, event))

    def _event(self, kind: Kind, text: str, label: str, detail: object) -> ProgressEvent:
        done = self.ended - self.before + sum(self.running.values())
        return ProgressEvent(kind, text, label, done, max(self.trials - self.before, 1), detail)

    def _ended(self, event: "TrialFinished") -> str:
        self.running.pop(event.number, None)
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
        from mmctr_kit.tuning.finalists import finalists_seconds

        done, left = self.ended - self.before, self.trials - self.ended
        if not done:
            return ""
        trials = self.study.get_trials(deepcopy=False)
        seconds = finalists_seconds(self.folder, trials, *self.final, self.side_by_side)
        final = self.final[0]
        then = f", then {plural(final, 'finalist')}" if final and seconds != 0.0 else ""
        then += f", about {span(seconds)}" if seconds else ""
        if left <= 0:
            return then
        return f", {span((time.perf_counter() - self.began) / done * left)} left{then}"


def epochs_raised(epochs: int, training: "Training") -> str:
    """Say why more epochs are trained than the recipe asks for."""
    return (
        f"training.epochs {training.epochs} raised to {epochs} by training.min_steps "
        f"{training.min_steps:,} (for fewer: --set training.min_steps=1)"
    )


def span(seconds: float) -> str:
    """Write seconds for a reader, like 40 s, 4 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


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


def _share(event: "FoldProgress | Position") -> float:
    return 1.0 if event.epoch is None else event.epoch / event.epochs


def _value(trial: Any) -> float:
    return float(trial.values[0]) if trial.values else float("-inf")
