"""A study from its plan to the recipe that it writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmctr_kit import __version__
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import manifest_of, plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import read_json
from mmctr_kit.recipe import load_recipe, parse_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.tuning.finalists import best_trials
from mmctr_kit.tuning.folder import StudyFolder
from mmctr_kit.tuning.heartbeat import WORKER, heartbeat
from mmctr_kit.tuning.space import changes, own_point
from mmctr_kit.tuning.study import StudyPlan, begin_study, conclude_study, plan_study, search_study
from mmctr_kit.tuning.summary import Summary
from mmctr_kit.tuning.worker import Event

Searched = tuple[StudyFolder, list[Event]]


@pytest.fixture(autouse=True, scope="module")
def one_core() -> Iterator[None]:
    """Small models on several threads mostly wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmctr_kit.cv.executors.local.available_cores", lambda: 1)
        yield


def conclude(plan: StudyPlan, folder: StudyFolder) -> Summary:
    return conclude_study(plan, folder, 2, 2, lambda *_: None)


@pytest.fixture(scope="module")
def concluded(plan: StudyPlan, searched: Searched) -> Summary:
    return conclude(plan, searched[0])


def test_finalists_are_the_best_trials_trained_with_seeds_of_their_own(
    concluded: Summary, plan: StudyPlan, searched: Searched
) -> None:
    trials = searched[0].study().trials
    assert {f.number for f in concluded.finalists} == {t.number for t in best_trials(trials, 2)}
    for finalist in concluded.finalists:
        run = Run(searched[0].finalist(finalist.number))
        assert run.finished
        assert run.manifest.seeds == (1, 2)
        assert run.manifest.folds == manifest_of(plan.base).folds
    assert not set(concluded.seeds) & set(plan.recipe.seeds)


def test_the_chosen_one_has_the_best_oof_whatever_valid_says(concluded: Summary) -> None:
    values = [f.oof.value - f.oof.se for f in concluded.finalists]
    assert values[0] == max(values)


def test_cv_of_the_best_recipe_gives_the_score_reported(
    concluded: Summary, searched: Searched, tiny: ChallengeData, tmp_path: Path
) -> None:
    recipe = load_recipe(str(searched[0].path / "best.yaml"))
    run = run_cv(
        plan_cv(recipe, tiny, LocalExecutor("cpu", 1)), tmp_path / "run", False, lambda _: None
    )
    assert run is not None
    chosen = concluded.finalists[0]
    for name, estimate in (("oof", chosen.oof), ("valid", chosen.valid)):
        assert run.metrics[name]["value"] == estimate.value
        assert run.metrics[name]["error"] == estimate.se


def test_study_json_is_the_summary_and_says_what_is_optimistic(
    concluded: Summary, searched: Searched
) -> None:
    stored = read_json(searched[0].path / "study.json")
    assert stored == concluded.as_json()
    trials = {t["number"]: t for t in stored["trials"]}
    assert len(trials) == 8
    best = trials[stored["search"]["best_trial"]]
    assert best["value"] == max(t["value"] for t in trials.values() if t["state"] == "complete")
    assert all(t["value"] is None for t in trials.values() if t["state"] == "pruned")
    chosen = stored["finalists"][0]
    assert stored["chosen_trial"] == chosen["trial"]
    assert stored["reported_valid"] == chosen["valid"]
    gap = trials[chosen["trial"]]["auc"]["value"] - chosen["oof_one_seed"]["value"]
    assert stored["optimism"] == pytest.approx(gap)
    assert sum(stored["importance"].values()) == pytest.approx(1.0)


def test_a_finalist_changes_what_is_not_the_recipes_own(
    concluded: Summary, plan: StudyPlan
) -> None:
    own = own_point(plan.search, plan.recipe)
    for finalist in concluded.finalists:
        for key, value in finalist.settings.items():
            assert (key in finalist.changes) == (own[key] != value), key


def test_the_recipes_own_point_changes_nothing(plan: StudyPlan) -> None:
    own = own_point(plan.search, plan.recipe)
    assert changes(own, plan.recipe) == {}
    assert changes(own | {"training.epochs": 3}, plan.recipe) == {"training.epochs": 3}
    assert changes({"model.mlp_hidden": [8]}, plan.recipe) == {}


def written(folder: StudyFolder) -> dict[Path, int]:
    """When each file of the finalists was written."""
    runs = (folder.path / "finalists").glob("trial-*")
    return {p: p.stat().st_mtime_ns for run in runs for p in run.rglob("*")}


def test_a_study_is_concluded_twice_with_one_result(
    concluded: Summary, plan: StudyPlan, searched: Searched
) -> None:
    before = written(searched[0])
    assert conclude(plan, searched[0]) == concluded
    assert written(searched[0]) == before


@pytest.mark.usefixtures("concluded")
def test_other_seeds_are_refused_with_advice_that_spares_the_study(
    plan: StudyPlan, searched: Searched
) -> None:
    before = written(searched[0])
    with pytest.raises(RunError, match=r"seeds; give --final-seeds .* as before, or delete") as e:
        conclude_study(plan, searched[0], 2, 1, lambda *_: None)
    assert "--force" not in str(e.value)
    assert written(searched[0]) == before


def test_a_study_is_not_over_while_another_command_s_trial_is_at_work(
    plan: StudyPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begin_study(plan, tmp_path / "joined.study", False)[0]
    study, events = folder.study(), list[Event]()
    with heartbeat(folder.heartbeats) as name:
        trial = study.ask()
        trial.set_user_attr(WORKER, name)
        monkeypatch.setattr("mmctr_kit.tuning.study.time.sleep", lambda _: study.tell(trial, 0.5))
        search_study(plan, folder, 1, None, events.append)
    assert [t.value for t in folder.study().trials] == [0.5]
    assert events == []


def test_a_pruned_trial_is_no_finalist(searched: Searched) -> None:
    trials = best_trials(searched[0].study().trials, 100)
    assert all(t.state.name == "COMPLETE" for t in trials)
    assert [t.value for t in trials] == sorted((t.value for t in trials), reverse=True)
    settings = [t.user_attrs["settings"] for t in trials]
    assert all(settings.count(s) == 1 for s in settings)


def test_without_a_complete_trial_there_is_no_finalist(plan: StudyPlan, tmp_path: Path) -> None:
    folder = begin_study(plan, tmp_path / "none.study", False)[0]
    with pytest.raises(RunError, match="no trial was completed"):
        conclude(plan, folder)


def test_another_search_is_another_study(
    plan: StudyPlan, searched: Searched, tiny: ChallengeData
) -> None:
    content = plan.recipe.resolved()
    content["search"] = {"training.epochs": {"int": [1, 2]}}
    other = plan_study(parse_recipe(content, "other"), tiny, LocalExecutor("cpu", 1))
    with pytest.raises(RunError, match="differs in search"):
        begin_study(other, searched[0].path, False)


def test_a_study_knows_the_version_that_made_it(plan: StudyPlan) -> None:
    assert plan.settings()["version"] == __version__


def test_an_infeasible_search_is_refused_before_it_begins(
    plan: StudyPlan, tiny: ChallengeData
) -> None:
    content = plan.recipe.resolved()
    condition = {"items.embedding": ["raw"]}
    content["search"] = {"training.epochs": {"int": [1, 3], "when": condition}}
    with pytest.raises(UsageError, match=r"search\.training\.epochs is never asked"):
        plan_study(parse_recipe(content, "other"), tiny, LocalExecutor("cpu", 1))
