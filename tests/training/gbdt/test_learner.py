"""mmctr_kit.training.gbdt.learner: fit, resume, save, load; no leak from the predicted fold."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import DataError
from mmctr_kit.items.augment import next_item_examples
from mmctr_kit.items.features import item_levels
from mmctr_kit.metrics.auc import auc
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.training.gbdt.learner import BoostedLearner
from mmctr_kit.training.learner import Epoch, Learner, derive_seed
from tests.training.learners import learner_of

CHUNKS = 4
SETTINGS = (
    "items.embedding=item_info",
    "model.rounds=3",
    "model.leaf_rows=20",
    "training.learning_rate=0.3",
    f"training.epochs={CHUNKS}",
)
MORE = (*SETTINGS, "augmentation.per_user=1", "augmentation.negatives=1")
LAST = (*SETTINGS, "training.snapshot=last")
TRAIN, HOLDOUT, FOLD = np.arange(1200), np.arange(1200, 1500), np.arange(1500, 2000)
"""Row numbers of the train split. Each user has four rows, so no user is in two of them."""

SEED = 3


def recipe_of(settings: Sequence[str] = SETTINGS) -> Recipe:
    return load_recipe("gbdt_demo", settings)


def fitted(data: ChallengeData, settings: Sequence[str] = SETTINGS) -> tuple[Learner, list[Epoch]]:
    learner = learner_of(recipe_of(settings), data)
    return learner, list(learner.fit(TRAIN, HOLDOUT, SEED))


@pytest.fixture(scope="module")
def whole(tiny: ChallengeData) -> tuple[Learner, list[Epoch]]:
    return fitted(tiny)


@pytest.fixture(scope="module")
def learner(whole: tuple[Learner, list[Epoch]]) -> Learner:
    return whole[0]


def relabelled(data: ChallengeData, rows: NDArray[np.int64]) -> ChallengeData:
    """The same data, with the labels of these train rows shuffled and all valid labels inverted."""
    label = data.train.labels().copy()
    label[rows] = np.random.default_rng(0).permutation(label[rows])
    assert not np.array_equal(label, data.train.labels())
    train = replace(data.train, label=label)
    valid = replace(data.valid, label=1 - data.valid.labels())
    return replace(data, rows={**data.rows, "train": train, "valid": valid})


def assert_same_arrays(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        assert value.tobytes() == other[name].tobytes(), name


def assert_same_predictions(one: Learner, other: Learner) -> None:
    for split in SPLITS:
        np.testing.assert_array_equal(one.predict(split), other.predict(split))


def measured(epoch: Epoch) -> tuple[float, ...]:
    """Everything that an epoch reports, except durations."""
    return (
        *(epoch.epoch, epoch.epochs, epoch.steps, epoch.best),
        *(epoch.train_loss, epoch.holdout_auc, epoch.holdout_logloss),
    )


def test_the_three_parts_of_train_share_no_user(tiny: ChallengeData) -> None:
    users = [set(tiny.train.user_id[rows].tolist()) for rows in (TRAIN, HOLDOUT, FOLD)]
    assert sum(map(len, users)) == len(set.union(*users))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SETTINGS, MORE, LAST], ids=["best", "extra rows", "last"])
def test_a_fit_resumed_after_any_chunk_is_the_uninterrupted_fit_byte_for_byte(
    tiny: ChallengeData, settings: tuple[str, ...]
) -> None:
    expected, epochs = fitted(tiny, settings)
    assert len(epochs) == CHUNKS
    for done in range(1, CHUNKS + 1):
        state = {name: array.copy() for name, array in epochs[done - 1].state().items()}
        resumed = learner_of(recipe_of(settings), tiny)
        rest = list(resumed.fit(TRAIN, HOLDOUT, SEED, state))
        assert [measured(e) for e in rest] == [measured(e) for e in epochs[done:]]
        assert_same_arrays(resumed.weights(), expected.weights())
        assert_same_predictions(resumed, expected)
        if rest:
            assert_same_arrays(rest[-1].state(), epochs[-1].state())


def test_a_fit_that_was_left_off_can_be_resumed_by_the_same_learner(
    tiny: ChallengeData, learner: Learner
) -> None:
    other = learner_of(recipe_of(), tiny)
    epochs = other.fit(TRAIN, HOLDOUT, SEED)
    next(epochs)
    state = next(epochs).state()
    epochs.close()  # type: ignore[attr-defined]
    list(other.fit(TRAIN, HOLDOUT, SEED, state))
    assert_same_predictions(other, learner)


def test_loaded_weights_predict_what_the_fitted_model_did_even_after_another_fold(
    tiny: ChallengeData, learner: Learner
) -> None:
    other = learner_of(recipe_of(), tiny)
    list(other.fit(FOLD, HOLDOUT, seed=9))
    other.load({name: array.copy() for name, array in learner.weights().items()})
    assert_same_predictions(other, learner)
    assert_same_arrays(other.weights(), learner.weights())


OF_USERS = ("items.embedding=blocks", "items.factors_dim=8"), ("codes.of=factors", "codes.size=8")


@pytest.mark.slow
@pytest.mark.parametrize("of_users", OF_USERS)
def test_each_fold_model_has_its_own_factors_and_they_come_back_with_its_weights(
    tiny: ChallengeData, of_users: tuple[str, ...]
) -> None:
    settings = (*SETTINGS, *of_users, "model.similarity_histogram=true")
    first, _ = fitted(tiny, settings)
    other = learner_of(recipe_of(settings), tiny)
    list(other.fit(FOLD, HOLDOUT, seed=9))
    other.load({name: array.copy() for name, array in first.weights().items()})
    assert_same_predictions(other, first)


def test_a_model_fitted_after_another_is_the_model_fitted_alone(
    tiny: ChallengeData, learner: Learner
) -> None:
    other = learner_of(recipe_of(), tiny)
    list(other.fit(FOLD, TRAIN, seed=9))
    list(other.fit(TRAIN, HOLDOUT, SEED))
    assert_same_arrays(other.weights(), learner.weights())
    assert_same_predictions(other, learner)


def test_no_label_of_the_predicted_fold_or_of_valid_changes_a_prediction(
    tiny: ChallengeData, whole: tuple[Learner, list[Epoch]]
) -> None:
    learner, epochs = whole
    other, after = fitted(relabelled(tiny, FOLD))
    assert_same_arrays(other.weights(), learner.weights())
    assert_same_predictions(other, learner)
    assert [measured(e) for e in after] == [measured(e) for e in epochs]


def test_labels_of_training_rows_change_the_predictions(
    tiny: ChallengeData, learner: Learner
) -> None:
    other, _ = fitted(relabelled(tiny, TRAIN))
    assert not np.array_equal(other.predict("train", FOLD), learner.predict("train", FOLD))


def test_labels_of_the_holdout_choose_the_snapshot_and_grow_no_tree(tiny: ChallengeData) -> None:
    one, epochs = fitted(tiny, LAST)
    other, after = fitted(relabelled(tiny, HOLDOUT), LAST)
    assert_same_arrays(one.weights(), other.weights())
    assert_same_predictions(one, other)
    assert [e.train_loss for e in epochs] == [e.train_loss for e in after]
    assert [e.holdout_auc for e in epochs] != [e.holdout_auc for e in after]


def test_rows_outside_the_fold_may_be_absent(tiny: ChallengeData, learner: Learner) -> None:
    """Data without the rows of the fold gives a model with the same predictions."""
    part = {
        name: None if value is None else value[: len(TRAIN) + len(HOLDOUT)]
        for name, value in vars(tiny.train).items()
    }
    without = replace(tiny, rows={**tiny.rows, "train": replace(tiny.train, **part)})
    other, _ = fitted(without)
    np.testing.assert_array_equal(other.predict("valid"), learner.predict("valid"))


@pytest.mark.parametrize("settings", [SETTINGS, LAST], ids=["best", "last"])
def test_what_an_epoch_says_is_true_of_the_model_that_remains(
    tiny: ChallengeData, settings: tuple[str, ...]
) -> None:
    learner, epochs = fitted(tiny, settings)
    assert [(e.epoch, e.epochs, e.steps) for e in epochs] == [
        (chunk, CHUNKS, 3) for chunk in range(1, CHUNKS + 1)
    ]
    remaining = [e for e in epochs if e.best][-1]
    best = max(epochs, key=lambda e: e.holdout_auc)
    assert remaining is (epochs[-1] if settings is LAST else best)
    assert sum(name.startswith("trees.") for name in learner.weights()) == remaining.epoch
    label = tiny.train.labels()
    scores = learner.predict("train", HOLDOUT)
    assert scores.dtype == np.float64
    assert auc(label[HOLDOUT], scores) == pytest.approx(remaining.holdout_auc, abs=1e-12)
    assert logloss(label[HOLDOUT], scores) == pytest.approx(remaining.holdout_logloss)
    fitted_rows = logloss(label[TRAIN], learner.predict("train", TRAIN))
    assert fitted_rows == pytest.approx(remaining.train_loss)
    assert all(e.seconds >= e.evaluate_seconds >= e.compile_seconds == 0 for e in epochs)


def logloss(label: NDArray[np.int8], logit: NDArray[np.float64]) -> float:
    rate = 1 / (1 + np.exp(-logit))
    return float(-np.mean(np.where(label == 1, np.log(rate), np.log(1 - rate))))


def test_the_snapshot_of_a_best_chunk_before_the_last_has_the_chunks_up_to_it(
    tiny: ChallengeData,
) -> None:
    """With a learning rate of 3 the trees overfit, so the best chunk is an early one."""
    settings = (*SETTINGS, "training.learning_rate=3", "model.leaf_rows=1", "model.l2=0")
    learner, epochs = fitted(tiny, settings)
    best = max(epochs, key=lambda e: e.holdout_auc)
    assert best.epoch < CHUNKS
    assert [e.best for e in epochs][best.epoch :] == [False] * (CHUNKS - best.epoch)
    chunks = [name for name in best.state() if name.startswith("trees.")]
    assert len(chunks) == best.epoch
    for name in chunks:
        np.testing.assert_array_equal(learner.weights()[name], best.state()[name])
    assert f"trees.{best.epoch:04d}" not in learner.weights()


@pytest.mark.parametrize("settings", [SETTINGS, MORE], ids=["own rows", "extra rows"])
def test_a_model_starts_from_the_mean_label_of_what_it_is_trained_on(
    tiny: ChallengeData, settings: tuple[str, ...]
) -> None:
    recipe, label = recipe_of(settings), tiny.train.labels()[TRAIN].astype(int)
    if settings is MORE:
        longest, levels = recipe.training.max_history, item_levels(tiny)
        extra = next_item_examples(
            tiny, TRAIN, recipe.augmentation, longest, levels, derive_seed(SEED, 3)
        )
        assert extra.label is not None
        assert extra.label.mean() == 0.5
        label = np.concatenate([label, extra.label])
    learner, _ = fitted(tiny, settings)
    expected = np.log(label.sum() / (len(label) - label.sum()))
    assert float(learner.weights()["base"]) == pytest.approx(expected)


def test_a_models_weights_know_which_rows_it_was_trained_on(
    tiny: ChallengeData, learner: Learner
) -> None:
    packed = learner.weights()["trained_rows"]
    trained = np.unpackbits(packed, count=len(tiny.train))
    assert np.flatnonzero(trained).tolist() == TRAIN.tolist()


def test_a_learner_without_a_model_says_so(tiny: ChallengeData) -> None:
    nothing = learner_of(recipe_of(), tiny)
    with pytest.raises(ValueError, match="no model was fitted"):
        nothing.predict("test")
    with pytest.raises(ValueError, match="no model was fitted"):
        nothing.weights()


def test_rows_are_predicted_in_the_order_in_which_they_are_asked_for(
    tiny: ChallengeData, learner: Learner
) -> None:
    every = learner.predict("train")
    assert every.shape == (len(tiny.train),)
    asked = np.array([1999, 0, 7, 0])
    np.testing.assert_array_equal(learner.predict("train", asked), every[asked])
    assert learner.predict("train", np.zeros(0, np.int64)).shape == (0,)


def test_the_fold_is_predicted_better_than_by_chance(tiny: ChallengeData, learner: Learner) -> None:
    assert auc(tiny.train.labels()[FOLD], learner.predict("train", FOLD)) > 0.6


def test_the_cost_counts_what_a_fit_would_do(learner: Learner) -> None:
    cost = learner.cost(6000)
    assert (cost.batch_size, cost.epochs, cost.steps) == (6000, CHUNKS, CHUNKS)
    # Splits and leaves of each tree of at most 8 leaves.
    assert cost.parameters == CHUNKS * 3 * (7 + 8)
    assert cost.data_on == learner.data_on == "device"
    assert cost.trees == CHUNKS * 3
    assert 0 < cost.seconds_per_step < 60
    assert 0 < cost.seconds_to_prepare < 60
    assert 0 < cost.seconds_per_row < cost.seconds_per_step


def test_asking_for_the_cost_leaves_the_fitted_model_alone(tiny: ChallengeData) -> None:
    learner, _ = fitted(tiny)
    before, weights = learner.predict("test"), learner.weights()
    learner.cost(2000)
    np.testing.assert_array_equal(learner.predict("test"), before)
    assert_same_arrays(learner.weights(), weights)


def test_the_cost_can_be_asked_before_anything_is_fitted(tiny: ChallengeData) -> None:
    fresh = learner_of(recipe_of(), tiny)
    assert isinstance(fresh, BoostedLearner)
    fresh.cost(2000)
    with pytest.raises(ValueError, match="no model was fitted"):
        fresh.predict("test")


@pytest.mark.parametrize("label", [0, 1])
def test_training_rows_of_one_label_are_an_error_that_says_which(
    tiny: ChallengeData, label: int
) -> None:
    train = replace(tiny.train, label=np.full_like(tiny.train.labels(), label))
    data = replace(tiny, rows={**tiny.rows, "train": train})
    with pytest.raises(DataError, match=rf"all 1,200 training rows have label {label};"):
        next(learner_of(recipe_of(), data).fit(TRAIN, HOLDOUT, SEED))
