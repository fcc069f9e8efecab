"""Progress of training: shares within an epoch, several models at once, the finalists' cost."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mmctr_kit.activity import Activity
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.api.training_progress import AblationProgress, CvProgress, StudyProgress
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.fold import FoldActivity, Progress
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import parse_recipe
from mmctr_kit.tuning.study import StudyPlan, begin_study, plan_study, search_study
from mmctr_kit.tuning.worker import TrialActivity
from tests.tuning.conftest import CONTENT


@pytest.fixture
def study(tiny: ChallengeData) -> StudyPlan:
    """A study of small networks, with one worker in this process."""
    return plan_study(parse_recipe(CONTENT, "small"), tiny, LocalExecutor("cpu", 1, 1))


def training(epoch: int, done: int, rate: float = 1000.0) -> Activity:
    return Activity("training", done, 100, rate, epoch, 10)


def epoch(fold: int, number: int | None) -> Progress:
    return Progress(fold, 0, number, 10, 0.5, 0.7, 1.0)


def of_jobs(jobs: int) -> Any:
    recipe = SimpleNamespace(training=SimpleNamespace(epochs=10, min_steps=1))
    return SimpleNamespace(jobs=[(f, 0) for f in range(jobs)], recipe=recipe)


def test_a_run_counts_the_parts_of_epochs_and_never_goes_back() -> None:
    heard = list[ProgressEvent]()
    run = CvProgress(of_jobs(2), "qin", heard.append)
    run(FoldActivity(0, 0, Activity("preparing")))
    for done in (0, 50, 100):
        run(FoldActivity(0, 0, training(1, done)))
    run(FoldActivity(0, 0, Activity("epoch 1/10, predicting held-out rows", 1, 4)))
    run(epoch(0, 1))
    run(FoldActivity(0, 0, training(2, 0)))
    run(epoch(0, None))
    shares = [round(e.done, 6) for e in heard]
    assert shares == [0, 0, 0, 0.05, 0.1, 0.1, 0.1, 0.1, 1.0]
    assert {e.total for e in heard} == {2}
    assert heard[3].label == "qin fold 0 seed 0: epoch 1/10, training 50%"
    assert heard[3].kind == "activity"
    assert heard[3].rate == 1000.0
    assert heard[5].label == "qin fold 0 seed 0: epoch 1/10, predicting held-out rows 25%"


def test_models_at_work_side_by_side_are_shown_together_with_their_speed_in_all() -> None:
    heard = list[ProgressEvent]()
    run = CvProgress(of_jobs(5), "qin", heard.append)
    for fold in range(5):
        run(FoldActivity(fold, 0, training(1, 10 * fold)))
    assert heard[2].label == (
        "qin fold 0 seed 0: epoch 1/10, training 0%; fold 1 seed 0: epoch 1/10, training 10%"
    )
    assert heard[-1].label.endswith("; and 2 more")
    assert heard[-1].rate == 5000.0
    run(epoch(0, None))
    run(FoldActivity(1, 0, training(2, 0)))
    assert "fold 0" not in heard[-1].label
    assert heard[-1].rate == 4000.0


def test_the_speed_of_the_last_epoch_stands_until_that_of_the_next_is_known() -> None:
    heard = list[ProgressEvent]()
    run = CvProgress(of_jobs(1), "qin", heard.append)
    for activity in (
        training(1, 50),
        Activity("scoring"),
        training(2, 0, 0.0),
        training(2, 9, 7.0),
    ):
        run(FoldActivity(0, 0, activity))
    assert [event.rate for event in heard[1:]] == [1000.0, 0.0, 1000.0, 7.0]


def test_an_ablation_counts_its_runs_one_after_another() -> None:
    heard = list[ProgressEvent]()
    run = AblationProgress(["base", "se-off"], 2, heard.append)
    run("base", FoldActivity(0, 0, training(6, 50)))
    run("base", epoch(0, None))
    run("base", epoch(1, None))
    run("se-off", FoldActivity(0, 0, training(1, 50)))
    assert [round(e.done, 6) for e in heard] == [0.55, 1.0, 2.0, 2.05]
    assert heard[-1].label == "2/2 se-off fold 0 seed 0: epoch 1/10, training 50%"
    assert heard[-1].total == 6


def test_a_study_says_what_finalists_cost_before_its_search_begins(
    study: StudyPlan, tmp_path: Path
) -> None:
    folder, _, _ = begin_study(study, tmp_path / "a.study", False)
    heard = list[ProgressEvent]()
    StudyProgress(study, folder, 2, (3, 2), heard.append).begin_search()
    assert heard[-1].text == (
        "after the search: 2 finalists x 2 seeds x 2 folds = 8 fold models "
        "(--finalists 0 trains none)"
    )
    search_study(study, folder, 2, None, lambda _: None)
    over = StudyProgress(study, folder, 2, (3, 2), heard.append)
    over.begin_search()
    assert heard[-1].text == ""  # what is still to be trained is said next
    again = StudyProgress(study, folder, 4, (3, 2), heard.append)
    again.begin_search()
    assert "= 12 fold models, about " in heard[-1].text
    again.begin_finalists()
    assert heard[-1].text.startswith("finalists: ")
    assert " fold models to train, about " in heard[-1].text
    only = len(heard)
    without = StudyProgress(study, folder, 4, (0, 2), heard.append)
    without.begin_search()
    without.begin_finalists()
    assert [e.text for e in heard[only:]] == [""]


def test_a_search_counts_the_parts_of_trials(study: StudyPlan, tmp_path: Path) -> None:
    folder, _, _ = begin_study(study, tmp_path / "a.study", False)
    heard = list[ProgressEvent]()
    progress = StudyProgress(study, folder, 4, (0, 1), heard.append)
    progress.search(TrialActivity(0, training(6, 0)))
    progress.search(TrialActivity(1, training(1, 50)))
    assert [round(e.done, 6) for e in heard] == [0.25, 0.275]
    assert cast(str, heard[-1].label).startswith(
        "search: trial 0 fold 0: epoch 6/10, training 0%; trial 1 fold 0: "
    )
