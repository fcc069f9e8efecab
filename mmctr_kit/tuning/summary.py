"""``study.json``: the whole study, for its table and its report."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.search import Search
from mmctr_kit.tuning.finalists import Finalist
from mmctr_kit.tuning.folder import REFUSED, RETRY, UNCHANGED, StudyFolder

_GOOD, _IMPORTANCE_TRIALS = 5, 4
"""How many good trials are compared with the others; with fewer complete trials than the second
number no importance is given."""


@dataclass(frozen=True)
class Summary:
    """A study whose search is over.

    ``finalists``: the chosen one first; none if only the search was asked for. ``trials``: by
    number, each as in study.json. ``importance``: each key's share in what distinguishes good
    trials.
    """

    name: str
    recipe: str
    folds: int
    space: Mapping[str, Any]
    left_out: Mapping[str, str]
    trials: tuple[Mapping[str, Any], ...]
    importance: Mapping[str, float]
    finalists: tuple[Finalist, ...]
    seeds: tuple[int, ...]

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The best trial of the search, if any is complete. Its score is optimistic."""
        complete = [t for t in self.trials if t["state"] == "complete"]
        return max(complete, key=lambda t: (t["value"], -t["number"]), default=None)

    @property
    def unchanged(self) -> Mapping[str, Any] | None:
        """The complete trial of the recipe as it was, to hold the others against."""
        own = (t for t in self.trials if t["state"] == "complete" and t.get("unchanged", False))
        return next(own, None)

    def as_json(self) -> dict[str, Any]:
        """The content of study.json.

        ``optimism`` is the chosen trial's AUC in the search less its AUC with new seeds. It and
        others are None without finalists.
        """
        best, chosen = self.best, self.finalists[0] if self.finalists else None
        search = None
        if best is not None:
            search = {"best_trial": best["number"], "auc": best["auc"], "value": best["value"]}
        return {
            "name": self.name,
            "recipe": self.recipe,
            "objective": "mean fold AUC less its standard error",
            "folds": self.folds,
            "space": dict(self.space),
            "left_out": dict(self.left_out),
            "trials": [dict(t) for t in self.trials],
            "importance": dict(self.importance),
            "search": search,
            "final_seeds": list(self.seeds),
            "finalists": [_final(f) for f in self.finalists],
            "chosen_trial": chosen and chosen.number,
            "optimism": chosen and chosen.searched.value - chosen.one_seed.value,
            "reported_valid": chosen and chosen.valid.to_json(),
        }


def summarize(
    folder: StudyFolder,
    recipe: Recipe,
    search: Search,
    left_out: Mapping[str, str],
    finalists: Sequence[Finalist],
    seeds: tuple[int, ...],
) -> Summary:
    """Summarise the folder's journal and its finalists."""
    study = folder.study()
    begun = (t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING)
    return Summary(
        name=folder.path.name.removesuffix(".study"),
        recipe=recipe.name,
        folds=recipe.folds.count,
        space={key: values.as_plain() for key, values in search.items()},
        left_out=left_out,
        trials=tuple(map(_trial, begun)),
        importance=importance(study),
        finalists=tuple(finalists),
        seeds=seeds,
    )


def importance(study: optuna.Study) -> dict[str, float]:
    """Each key's importance, largest first; they add up to 1. Empty if there are too few trials.

    By PED-ANOVA, which takes keys that only some trials have (Watanabe et al., IJCAI 2023).
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < _IMPORTANCE_TRIALS or len({t.values[0] for t in complete}) < 2:
        return {}
    # The good trials are a tenth of all, or five if there are few.
    quantile = min(0.5, max(0.1, _GOOD / len(complete)))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    with warnings.catch_warnings():
        # It warns of few trials, and so does whoever shows the importance.
        warnings.simplefilter("ignore", UserWarning)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {key: float(share) for key, share in shares.items()}


def state_of(trial: FrozenTrial) -> str:
    """The trial's state: complete, pruned, refused, failed or running."""
    if REFUSED in trial.user_attrs:
        return "refused"
    return "failed" if trial.state == TrialState.FAIL else trial.state.name.lower()


def states(trials: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many trials there are in each state."""
    return dict(Counter(str(t["state"]) for t in trials))


def _trial(trial: FrozenTrial) -> dict[str, Any]:
    absent: dict[str, Any] = {"settings": {}, REFUSED: None, "why": None, RETRY: None}
    absent[UNCHANGED] = False
    attributes, state = absent | trial.user_attrs, state_of(trial)
    auc = None
    if state == "complete":
        auc = Estimate(attributes["auc"], attributes["error"], attributes["rows"]).to_json()
    seconds = None
    if trial.datetime_start is not None and trial.datetime_complete is not None:
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    return {
        "number": trial.number,
        "state": state,
        "params": attributes["settings"],
        "value": trial.values[0] if state == "complete" else None,
        "auc": auc,
        "fold_aucs": attributes["fold_aucs"] if state == "complete" else [],
        "intermediate": {str(k): v for k, v in sorted(trial.intermediate_values.items())},
        "seconds": seconds,
        "why": attributes[REFUSED] or attributes["why"],
        "retry_of": attributes[RETRY],
        "unchanged": attributes[UNCHANGED],
    }


def _final(finalist: Finalist) -> dict[str, Any]:
    return {
        "trial": finalist.number,
        "params": finalist.settings,
        "changes": finalist.changes,
        "searched": finalist.searched.to_json(),
        "oof": finalist.oof.to_json(),
        "oof_one_seed": finalist.one_seed.to_json(),
        "valid": finalist.valid.to_json(),
        "value": finalist.value,
        "run": f"trial-{finalist.number}",
    }
