"""``study.json``: all of a study, for its table and its report."""

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
from mmctr_kit.runs.scores import plain
from mmctr_kit.tune.finalists import Finalist
from mmctr_kit.tune.folder import REFUSED, RETRY, StudyFolder
from mmctr_kit.tune.trial import objective

_GOOD, _IMPORTANCE_TRIALS = 5, 4
"""So many good trials are set against the others; of fewer complete ones than the second no
importance is told."""


@dataclass(frozen=True)
class Summary:
    """A finished study. ``finalists``: the chosen one first. ``trials``, each as JSON takes it, by
    number; ``importance``: the share of each key in what set good trials apart."""

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
    def best(self) -> Mapping[str, Any]:
        """The trial that the search found best: its score is the optimistic one."""
        complete = [t for t in self.trials if t["state"] == "complete"]
        return max(complete, key=lambda t: (t["value"], -t["number"]))

    @property
    def optimism(self) -> float:
        """How much the search's score of the chosen trial lies above that of new seeds."""
        chosen = self.finalists[0]
        return chosen.searched.value - chosen.one_seed.value

    def as_json(self) -> dict[str, Any]:
        best, chosen = self.best, self.finalists[0]
        return {
            "name": self.name,
            "recipe": self.recipe,
            "objective": "mean fold AUC less its error",
            "folds": self.folds,
            "space": dict(self.space),
            "left_out": dict(self.left_out),
            "trials": [dict(t) for t in self.trials],
            "importance": dict(self.importance),
            "search": {"best_trial": best["number"], "auc": best["auc"], "value": best["value"]},
            "final_seeds": list(self.seeds),
            "finalists": [_final(f) for f in self.finalists],
            "chosen_trial": chosen.number,
            "optimism": self.optimism,
            "reported_valid": plain(chosen.valid),
        }


def summarize(
    folder: StudyFolder,
    recipe: Recipe,
    search: Search,
    left_out: Mapping[str, str],
    finalists: Sequence[Finalist],
    seeds: tuple[int, ...],
) -> Summary:
    """What the folder's journal and its finalists tell."""
    study = folder.study()
    return Summary(
        name=folder.path.name.removesuffix(".study"),
        recipe=recipe.name,
        folds=recipe.folds.count,
        space={key: values.as_plain() for key, values in search.items()},
        left_out=left_out,
        trials=tuple(
            _trial(t)
            for t in study.get_trials(deepcopy=False)
            if t.state != TrialState.WAITING  # in line when the last trial was begun
        ),
        importance=importance(study),
        finalists=tuple(finalists),
        seeds=seeds,
    )


def importance(study: optuna.Study) -> dict[str, float]:
    """Shares that add up to 1, largest first: PED-ANOVA, which keys that are not asked in every
    trial may take part in (Watanabe et al., IJCAI 2023). Empty where too few trials tell."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < _IMPORTANCE_TRIALS or len({t.values[0] for t in complete}) < 2:
        return {}
    # The good ones are a tenth of the trials, or five of them where there are few.
    share = min(0.5, max(0.1, _GOOD / len(complete)))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
    with warnings.catch_warnings():
        # That few trials tell little is said where the importance is shown.
        warnings.simplefilter("ignore", UserWarning)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {key: float(share) for key, share in found.items()}


def state_of(trial: FrozenTrial) -> str:
    """complete, pruned, refused, failed or running."""
    if REFUSED in trial.user_attrs:
        return "refused"
    names = {TrialState.FAIL: "failed"}
    return names[trial.state] if trial.state in names else trial.state.name.lower()


def states(trials: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many trials ended how."""
    return dict(Counter(str(t["state"]) for t in trials))


def _trial(trial: FrozenTrial) -> dict[str, Any]:
    none: dict[str, Any] = {"settings": {}, REFUSED: None, "why": None, RETRY: None}
    told, state = none | trial.user_attrs, state_of(trial)
    auc = None
    if state == "complete":
        auc = plain(Estimate(told["auc"], told["error"], told["rows"]))
    seconds = None
    if trial.datetime_start is not None and trial.datetime_complete is not None:
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    return {
        "number": trial.number,
        "state": state,
        "params": told["settings"],
        "value": trial.values[0] if state == "complete" else None,
        "auc": auc,
        "fold_aucs": told["fold_aucs"] if state == "complete" else [],
        "intermediate": {str(k): v for k, v in sorted(trial.intermediate_values.items())},
        "seconds": seconds,
        "why": told[REFUSED] or told["why"],
        "retry_of": told[RETRY],
    }


def _final(finalist: Finalist) -> dict[str, Any]:
    return {
        "trial": finalist.number,
        "params": finalist.settings,
        "changes": finalist.changes,
        "searched": plain(finalist.searched),
        "oof": plain(finalist.oof),
        "oof_one_seed": plain(finalist.one_seed),
        "valid": plain(finalist.valid),
        "value": objective(finalist.oof),
        "run": f"trial-{finalist.number}",
    }
