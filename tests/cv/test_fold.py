"""mmctr_kit.cv.fold: the rows of a fold model, and the seconds that it takes."""

import threading
import time
from pathlib import Path

import numpy as np

from mmctr_kit.activity import doing
from mmctr_kit.cv.fold import PHASES, FoldActivity, Progress, fold_rows, model_seed
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.recipe import load_recipe
from tests.cv.epochs import epochs
from tests.cv.test_run import plan_here, recipe


def test_a_row_is_in_one_part_of_a_fold_with_all_rows_of_its_user(tiny: ChallengeData) -> None:
    for fold in range(2):
        parts = list(vars(fold_rows(recipe(), tiny, fold)).values())
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(tiny.train)))
        users = [set(tiny.train.user_id[part]) for part in parts]
        assert sum(map(len, users)) == len(set.union(*users))


def test_fold_models_have_unrelated_seeds() -> None:
    assert len({model_seed(seed, fold) for seed in range(20) for fold in range(20)}) == 400


def test_every_fold_holds_out_users_of_its_own(tiny: ChallengeData) -> None:
    held = [set(tiny.train.user_id[fold_rows(recipe(), tiny, f).holdout]) for f in range(2)]
    assert held[0]
    assert held[0] != held[1]
    # No user is kept from every fold model.
    five = load_recipe("din_demo", ["folds.count=5"])
    trained = [set(tiny.train.user_id[fold_rows(five, tiny, f).train]) for f in range(5)]
    assert set.union(*trained) == set(tiny.train.user_id)


def test_the_seconds_of_a_fold_model_add_up_to_its_time(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    finished: list[float] = []
    plan = plan_here(tiny, recipe())  # this imports what training needs, which is no phase
    began = time.perf_counter()
    run = run_cv(
        plan,
        tmp_path / "run",
        False,
        epochs(lambda e: finished.append(e.seconds) if e.epoch is None else None),
    )
    spent = time.perf_counter() - began
    assert run is not None
    phases = run.timings["phase_seconds"]
    assert list(phases) == list(PHASES)
    assert phases["compile"] == 0
    assert all(phases[name] > 0 for name in PHASES if name != "compile")
    assert 0.5 * spent < sum(finished) <= sum(phases.values()) <= spent


def test_a_listener_may_do_what_says_what_it_is_doing(tiny: ChallengeData, tmp_path: Path) -> None:
    heard: list[str] = []

    def listen(event: Progress | FoldActivity) -> None:
        if isinstance(event, FoldActivity):
            heard.append(event.activity.text)
            if heard == ["preparing"]:
                doing("reading")  # as a function of the kit would, that is called here

    training = threading.Thread(
        target=run_cv, args=(plan_here(tiny, recipe()), tmp_path / "run", False, listen)
    )
    training.daemon = True
    training.start()
    training.join(60.0)
    assert not training.is_alive()
    assert heard[:2] == ["preparing", "reading"]


def test_a_fold_by_item_is_predicted_by_a_model_that_has_none_of_its_targets_or_users(
    tiny: ChallengeData,
) -> None:
    item, user = tiny.train.item_id, tiny.train.user_id
    for fold in range(2):
        rows = fold_rows(recipe("folds.by=item"), tiny, fold)
        seen = np.concatenate([rows.train, rows.holdout])
        assert set(item[rows.predicted]).isdisjoint(item[seen])
        assert set(user[rows.predicted]).isdisjoint(user[seen])
        assert set(user[rows.train]).isdisjoint(user[rows.holdout])
        assert min(map(len, vars(rows).values())) > 20


def test_a_fold_by_time_is_predicted_by_a_model_of_all_that_came_before(
    timed: ChallengeData,
) -> None:
    time, by_time = timed.train.time, recipe("folds.by=time", "folds.count=3")
    assert time is not None
    for fold in range(3):
        rows = fold_rows(by_time, timed, fold)
        seen = np.concatenate([rows.train, rows.holdout])
        assert time[seen].max() < time[rows.predicted].min()
        assert len(seen) == (time < time[rows.predicted].min()).sum()
        users = timed.train.user_id
        assert set(users[rows.train]).isdisjoint(users[rows.holdout])
    whole = fold_rows(by_time, timed, WHOLE)
    assert len(whole.train) + len(whole.holdout) == len(time)
    assert len(whole.predicted) == 0
