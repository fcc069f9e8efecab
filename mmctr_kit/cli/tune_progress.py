"""What ``tune`` tells while it works."""

import time
from typing import TYPE_CHECKING

from mmctr_kit.cli.output import progress_bar, say, warn
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.cv.fold import Progress
    from mmctr_kit.tune.folder import StudyFolder
    from mmctr_kit.tune.study import StudyPlan
    from mmctr_kit.tune.worker import Event, TrialFinished


class Teller:
    """Progress: a bar with the time left on a terminal, and a line for each trial anywhere.

    ``final``: how many finalists, and how many seeds each.
    """

    def __init__(
        self,
        plan: "StudyPlan",
        folder: "StudyFolder",
        trials: int,
        final: tuple[int, int],
        quiet: bool,
    ) -> None:
        from mmctr_kit.tune.worker import counts

        self.folder, self.study = folder, folder.study()
        self.recipe, self.trials, self.final, self.quiet = plan.recipe, trials, final, quiet
        self.folds = plan.recipe.folds.count
        self.side_by_side = min(plan.resources.workers, self.folds * final[1])
        known = [t for t in self.study.get_trials(deepcopy=False) if counts(t)]
        best = max((t for t in known if "auc" in t.user_attrs), key=_value, default=None)
        self.ended = self.before = len(known)
        self.best: tuple[float, int, float] | None = None
        if best is not None:
            self.best = (_value(best), best.number, float(best.user_attrs["auc"]))
        self.began = time.perf_counter()
        self.going: dict[int, float] = {}
        self.final_jobs = 0
        self.final_done: dict[tuple[int, int, int], float] = {}
        self.finished = 0
        self.bar = progress_bar(quiet)
        if self.bar is not None:
            self.task = self.bar.add_task("", total=float(max(trials - self.before, 1)))

    def hear(self, event: "Event") -> None:
        """Of the search."""
        from mmctr_kit.tune.worker import TrialFinished, WorkerDied

        if isinstance(event, WorkerDied):
            which = ", ".join(f"trial {n}" for n in event.trials) or "no trial"
            for number in event.trials:
                self.going.pop(number, None)
            if not self.quiet:
                warn(f"a worker was killed (signal {event.signal}); {which} will be tried again")
        elif isinstance(event, TrialFinished):
            self._ended(event)
        else:
            at, position = event.number, event.position
            here = position.fold + (
                1.0 if position.epoch is None else position.epoch / position.epochs
            )
            self.going[at] = here / self.folds
            done = self.ended - self.before + sum(self.going.values())
            what = f"search: trial {at} fold {position.fold} AUC {position.auc:.4f}"
            self._show(done, self.trials - self.before, what)

    def begin_finalists(self) -> None:
        """The search is over; what is still to be trained is counted now."""
        from mmctr_kit.tune.finalists import jobs_waiting

        trials = self.study.get_trials(deepcopy=False)
        self.final_jobs = jobs_waiting(self.folder, trials, self.recipe, *self.final)
        self.began = time.perf_counter()
        if self.bar:
            self.bar.reset(self.task, total=float(max(self.final_jobs, 1)))

    def hear_finalist(self, number: int, event: "Progress") -> None:
        """Of the finalists."""
        job = (number, event.fold, event.seed)
        self.final_done[job] = 1.0 if event.epoch is None else event.epoch / event.epochs
        where = f"finalist, trial {number}: fold {event.fold} seed {event.seed}"
        done = sum(self.final_done.values())
        self._show(done, self.final_jobs, where)
        if event.epoch is None:
            self.finished += 1  # not the sum: a last epoch that is over is not yet written
            left = (time.perf_counter() - self.began) / done * (self.final_jobs - done)
            soon = f", {span(left)} left" if self.finished < self.final_jobs else ""
            took = f"{where} done in {event.seconds:.1f} s"
            self._say(f"{took}; {self.finished}/{self.final_jobs}{soon}")

    def _ended(self, event: "TrialFinished") -> None:
        self.going.pop(event.number, None)
        if event.state != "refused":
            self.ended += 1
        text = f"trial {event.number}"
        if event.result is not None:
            value = event.result.value
            if self.best is None or value > self.best[0]:
                self.best = (value, event.number, event.result.auc.value)
            text += f": {event.result.auc}"
        else:
            text += f" {event.state} ({event.why})"
        best = ""
        if self.best is not None:
            best = f"; best {self.best[2]:.4f}, trial {self.best[1]}"
        self._say(f"{text}{best}; {self.ended}/{self.trials}{self._left()}")

    def _left(self) -> str:
        """The search's time left, then the finalists', which no trial of the search counts."""
        from mmctr_kit.tune.finalists import finalists_seconds

        done, left = self.ended - self.before, self.trials - self.ended
        if not done:
            return ""
        trials = self.study.get_trials(deepcopy=False)
        seconds = finalists_seconds(self.folder, trials, *self.final, self.side_by_side)
        if seconds == 0.0:
            then = ""
        else:
            then = f", then {plural(self.final[0], 'finalist')}"
            then += "" if seconds is None else f", about {span(seconds)}"
        if left <= 0:
            return then
        return f", {span((time.perf_counter() - self.began) / done * left)} left{then}"

    def _show(self, completed: float, total: float, text: str) -> None:
        if self.bar:
            self.bar.update(self.task, completed=completed, total=total, description=text)

    def _say(self, text: str) -> None:
        if self.bar:
            self.bar.console.print(text, soft_wrap=True, markup=False)
        elif not self.quiet:
            say(text)


def span(seconds: float) -> str:
    """Like 40 s, 4 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _value(trial: object) -> float:
    values = getattr(trial, "values", None)
    return float(values[0]) if values else float("-inf")
