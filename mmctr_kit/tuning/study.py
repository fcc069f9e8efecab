"""A study, step by step: plan it, begin it, search, train the finalists."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from mmctr_kit import __version__
from mmctr_kit.cv.executors.base import Executor, Resources
from mmctr_kit.cv.plan import Plan, plan_cv
from mmctr_kit.data.cache import content_hash
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.files import write_json
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.search import Range
from mmctr_kit.recipe.space import search_of
from mmctr_kit.tuning.finalists import FinalListener, final_seeds, train_finalists
from mmctr_kit.tuning.folder import StudyFolder, open_study
from mmctr_kit.tuning.space import fit_to_data, own_point, require_feasible
from mmctr_kit.tuning.summary import Summary, summarize
from mmctr_kit.tuning.worker import Budget, Listener, counts, run_search

if TYPE_CHECKING:
    from mmctr_kit.tuning.database import Database

_OPTIONAL = ("item_feature", "item_emb")
"""Files that item embeddings are made of and the data's fingerprints do not cover."""


@dataclass(frozen=True)
class StudyPlan:
    """A study before it begins.

    ``search`` is what the data allow of the recipe's search; ``left_out`` the rest of it, and why.
    """

    recipe: Recipe
    data: ChallengeData
    search: Mapping[str, Range]
    left_out: Mapping[str, str]
    resources: Resources
    base: Plan

    def settings(self) -> dict[str, Any]:
        """The settings of the study: a study with others is another study.

        They are alike on every machine: of the data they have what was read, not what was computed
        from it, whose last bits depend on the processor.
        """
        files = {name: self.data.folder / FILES[name].path for name in _OPTIONAL}
        files |= {key: Path(given) for key, given in self.recipe.items.files.items()}
        known = {name: content_hash(p) for name, p in files.items() if p.is_file()}
        fingerprints = self.data.rows_fingerprint, self.data.context_fingerprint
        return {
            "recipe": self.recipe.content(),
            "search": {key: values.as_plain() for key, values in self.search.items()},
            "data": fingerprint(*fingerprints, known),
            "version": __version__,
        }


def plan_study(recipe: Recipe, data: ChallengeData, executor: Executor) -> StudyPlan:
    """Check that the recipe and its search can run on the data.

    A worker of the ``executor`` runs a trial. Raises as plan_cv does, and UsageError if an entry of
    the search is infeasible.
    """
    base = plan_cv(recipe, data, executor)
    search, left_out = fit_to_data(search_of(recipe), recipe, data)
    require_feasible(search, recipe)
    resources = executor.resources(None, MODELS[recipe.model_name].learner.uses_gpu)
    return StudyPlan(recipe, data, search, left_out, resources, base)


def begin_study(
    plan: StudyPlan, path: Path, force: bool, database: "Database | None" = None
) -> tuple[StudyFolder, int, int]:
    """Open or create the study's folder; raises as open_study does.

    Returns it, how many trials it has, and how many of dead workers were marked as failed.
    """
    first = own_point(plan.search, plan.recipe)
    folder = open_study(path, plan.settings(), first, force, database)
    dead = folder.reap()
    trials = folder.study().get_trials(deepcopy=False)
    return folder, sum(map(counts, trials)), len(dead)


def search_study(
    plan: StudyPlan, folder: StudyFolder, trials: int, timeout: float | None, listen: Listener
) -> None:
    """Run trials until the study has ``trials`` of them, or begin none after ``timeout`` seconds.

    Returns when no trial is running any more, in this command or another.
    """
    deadline = None if timeout is None else time.time() + timeout
    budget = Budget(trials, deadline)

    def spent() -> bool:
        return budget.spent(folder.study().get_trials(deepcopy=False))

    while True:
        if not spent():
            run_search(
                folder,
                plan.recipe,
                plan.search,
                plan.data,
                plan.base.executor,
                plan.resources,
                budget,
                listen,
            )
        # Even if another command's trials fill the budget: one of them may be the best.
        study = folder.study()
        while study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            folder.reap()
            time.sleep(1.0)
        if spent():
            return


def conclude_study(
    plan: StudyPlan,
    folder: StudyFolder,
    finalists: int,
    seeds: int,
    listen: FinalListener,
) -> Summary:
    """Train the finalists, choose among them, and write study.json and best.yaml.

    Without ``finalists`` nothing is trained or written.
    """
    recipe, used = plan.recipe, final_seeds(plan.recipe, seeds)
    if not finalists:
        return summarize(folder, recipe, plan.search, plan.left_out, (), used)
    executor = plan.base.executor
    trained = train_finalists(folder, recipe, plan.data, executor, finalists, seeds, listen)
    summary = summarize(folder, recipe, plan.search, plan.left_out, trained, used)
    write_json(folder.path / "study.json", summary.as_json())
    return summary
