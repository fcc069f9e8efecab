"""Plans of tuning: all errors come before the first trial."""

from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.activity import doing
from mmctr_kit.api.options import Options
from mmctr_kit.api.plans import left_out_lines
from mmctr_kit.api.preflight import Settings, load_recipe, load_to_train, warn_of_missing
from mmctr_kit.api.progress import Listener, ProgressEvent
from mmctr_kit.api.results import StudyResult
from mmctr_kit.api.training_progress import StudyProgress
from mmctr_kit.errors import UsageError, plural

if TYPE_CHECKING:
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.recipe import Recipe
    from mmctr_kit.recipe.search import Search
    from mmctr_kit.tuning.database import Database
    from mmctr_kit.tuning.study import StudyPlan


@dataclass(frozen=True)
class PlannedStudy:
    """A study that can begin. Its trials are in ``database``, or in its folder if that is None."""

    path: Path
    plan: "StudyPlan"
    force: bool
    database: "Database | None" = None

    def left(self, trials: int, finalists: int) -> tuple[int, int]:
        """How many of the ``trials`` and ``finalists`` are still to be run; nothing is written."""
        from mmctr_kit.tuning.finalists import finished_finalists
        from mmctr_kit.tuning.folder import StudyFolder
        from mmctr_kit.tuning.worker import counts

        with closing(self.database) if self.database is not None else nullcontext():
            if self.database is None:
                there = self.path.is_dir()
            else:
                there = self.database.connect(dry=True) and self.database.settings() is not None
            if self.force or not there:
                return trials, min(finalists, trials)
            folder = StudyFolder(self.path, self.database)
            known = folder.study().get_trials(deepcopy=False)
        ended = sum(map(counts, known))
        waiting, finalists = max(trials - ended, 0), min(finalists, max(trials, ended))
        # Trials that are still to come may be better than those whose finalists are trained.
        done = 0 if waiting else finished_finalists(folder, known, finalists)
        return waiting, finalists - done

    def run(
        self, trials: int, timeout: float | None, final: tuple[int, int], listen: Listener
    ) -> StudyResult:
        """Search, train the finalists (how many, with how many seeds) and conclude."""
        from mmctr_kit.runs.lineage import begin_lineage, note_begun, note_finished
        from mmctr_kit.tuning.conflict import SETTINGS
        from mmctr_kit.tuning.status import MADE_ANEW, workers_alive
        from mmctr_kit.tuning.study import begin_study, conclude_study, search_study

        plan = self.plan
        with closing(self.database) if self.database is not None else nullcontext():
            folder, before, dead = begin_study(plan, self.path, self.force, self.database)
            device = plan.resources.hardware
            joins = workers_alive(folder.path)
            lineage = begin_lineage(plan.data.folder, device, trials)
            note_begun(folder.path, lineage, joins, MADE_ANEW)
            for line in _study_notes(self, trials, before, dead):
                listen(ProgressEvent("note", line))
            progress = StudyProgress(plan, folder, trials, final, listen)
            progress.begin_search()
            search_study(plan, folder, trials, timeout, progress.search)
            progress.begin_finalists()
            summary = conclude_study(plan, folder, *final, progress.finalist)
            if final[0] or not workers_alive(folder.path):
                inside = [folder.finalist(each.number) for each in summary.finalists]
                note_finished(folder.path, (SETTINGS, *MADE_ANEW), inside)
        return StudyResult(self.path, summary)


def search_space(recipe: "str | Path | Recipe", set: Settings = ()) -> "Search":
    """What a study of the recipe searches, before what a data folder lacks is left out of it."""
    base = load_recipe(recipe, set)
    from mmctr_kit.recipe.space import search_of
    from mmctr_kit.tuning.space import require_feasible

    search = search_of(base)
    require_feasible(search, base)
    return search


def plan_tuning(
    recipe: "str | Path | Recipe",
    data: "str | Path | ChallengeData",
    options: Options,
    listen: Listener,
    *,
    storage: str | None = None,
    dry: bool = False,
) -> PlannedStudy:
    """Check that the recipe and its search can run on the data.

    ``storage`` is the URL of the database for the trials; ``dry``: nothing is written to it.
    """
    base = options.load(recipe)
    path = options.path(options.name_of(base), data, ".study")
    from mmctr_kit.recipe.space import search_of
    from mmctr_kit.tuning.conflict import require_study
    from mmctr_kit.tuning.space import require_feasible

    require_feasible(search_of(base), base)
    database = _database(storage, path, options) if storage else None
    options.require()
    place = None if database is None else database.address.place
    require_study(path, base, options.force, place)
    if database is not None:
        _require_joinable(database, path, base, options.force, dry)
    content = load_to_train(data, listen, [base])
    doing("loading Optuna and PyTorch")
    from mmctr_kit.tuning.study import plan_study

    plan = plan_study(base, content, options.made_executor)
    warn_of_missing(base.name, base, plan.base.items, listen)
    return PlannedStudy(path, plan, options.force, database)


def _database(storage: str, path: Path, options: Options) -> "Database":
    """The database at a URL, not yet asked; UsageError if it is no such URL."""
    from mmctr_kit.tuning.address import parse_address

    address = parse_address(storage)
    slurm = options.executor != "local" and options.made_executor.name == "slurm"
    if slurm and address.has_password:
        raise UsageError(
            "--storage has a password, and SLURM keeps what a job is given in a file; leave it out "
            "of the URL and put it into ~/.pgpass"
        )
    if address.file is not None and options.executor != "local":
        raise UsageError(
            f"--storage {address.place} is a file of one machine; where others train give a "
            "database server, or a runs folder on a disk that they share"
        )
    from mmctr_kit.tuning.database import Database

    return Database(address, path.name.removesuffix(".study"))


def _require_joinable(
    database: "Database", path: Path, recipe: "Recipe", force: bool, dry: bool
) -> None:
    """Raise UsageError if the database cannot be used, RunError if it has another such study."""
    from mmctr_kit.tuning.conflict import require_study_there

    with closing(database):
        if database.connect(dry) and not force:
            require_study_there(path, database.address.place, database.settings(), recipe)


def _study_notes(study: PlannedStudy, trials: int, before: int, dead: int) -> list[str]:
    plan, workers = study.plan, study.plan.resources.workers
    side = f"{workers} at once" if workers > 1 else "one after another"
    done = f", {before} of them finished already" if before else ""
    lines = left_out_lines(plan.left_out)
    trials_text = f"{plural(trials, 'trial')} of {plan.recipe.folds.count} folds"
    where = "" if study.database is None else f", in {study.database.address.place}"
    lines.append(f"{study.path}: {trials_text}, {side}{done}{where}")
    if dead:
        lines.append(f"marked {plural(dead, 'trial')} of killed workers as failed, to try again")
    return lines
