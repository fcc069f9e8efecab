"""mmctr_kit.training.neural: the learner of every neural model."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.recipe import load_recipe
from mmctr_kit.training.data import host_stream as placement
from mmctr_kit.training.data.host_stream import OnHost
from mmctr_kit.training.device import prepare
from mmctr_kit.training.fit import Fit
from mmctr_kit.training.learner import Learner
from mmctr_kit.training.neural import KNOWN_USER, TRAINED_ROWS
from mmctr_kit.training.step import compiled, compiled_batches
from tests.training.learners import learner_of

SETTINGS = ("training.epochs=2", "training.batch_size=256")
MORE = (*SETTINGS, "signals.kinds=all", "augmentation.per_user=1")
DATA_ON = ("device", "host")
TRAIN, HOLDOUT = np.arange(1500), np.arange(1500, 2000)


@pytest.fixture(scope="module")
def learner(tiny: ChallengeData) -> Learner:
    """Fitted."""
    learner = learner_of(load_recipe("din_demo", SETTINGS), tiny)
    list(learner.fit(TRAIN, HOLDOUT, seed=3))
    return learner


def test_loaded_weights_predict_what_the_fitted_model_did(
    tiny: ChallengeData, learner: Learner
) -> None:
    fitted = learner.predict("test")
    assert fitted.shape == (len(tiny.test),)
    other = learner_of(load_recipe("din_demo", SETTINGS), tiny)
    other.load(learner.weights())
    assert np.array_equal(other.predict("test"), fitted)


def test_what_is_counted_in_a_fold_comes_back_with_its_weights(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_mha_demo", MORE)
    first, other = (learner_of(recipe, tiny) for _ in range(2))
    list(first.fit(TRAIN, HOLDOUT, seed=3))
    list(other.fit(np.arange(500, 2000), np.arange(500), seed=4))
    other.load(first.weights())
    for split in SPLITS:
        assert np.array_equal(other.predict(split), first.predict(split))
        assert len(other.predict(split)) == len(tiny.rows[split])


BLOCKS = (*SETTINGS, "items.embedding=blocks", "items.factors_dim=8")


CODES = (*SETTINGS, "codes.of=factors", "codes.size=8", "model.code_prefix=true")
SIMILAR = "model.similarity_histogram=true"


@pytest.mark.parametrize(
    "settings", [BLOCKS, (*BLOCKS, "model.modality_dropout=0.2"), (*CODES, SIMILAR)]
)
def test_each_fold_model_has_its_own_factors_and_they_come_back_with_its_weights(
    tiny: ChallengeData, settings: tuple[str, ...]
) -> None:
    recipe = load_recipe("din_mha_demo", settings)
    first, other = (learner_of(recipe, tiny) for _ in range(2))
    list(first.fit(TRAIN, HOLDOUT, seed=3))
    expected = [first.predict(split) for split in SPLITS]
    list(other.fit(np.arange(500, 2000), np.arange(500), seed=4))
    other.load(first.weights())
    assert all(np.array_equal(other.predict(s), e) for s, e in zip(SPLITS, expected, strict=True))
    list(other.fit(TRAIN, HOLDOUT, seed=3))  # in the module of the first fit
    assert all(np.array_equal(other.predict(s), e) for s, e in zip(SPLITS, expected, strict=True))


def test_the_table_of_a_later_fold_lies_at_the_address_of_the_first(tiny: ChallengeData) -> None:
    learner = learner_of(load_recipe("din_demo", BLOCKS), tiny)
    fit, _ = learner.begin(TRAIN, 3)
    table = next(b for name, b in fit.model.named_buffers() if name.endswith("item_emb"))
    before, address = table.clone(), table.data_ptr()
    fit, _ = learner.begin(np.arange(500, 2000), 3)
    again = next(b for name, b in fit.model.named_buffers() if name.endswith("item_emb"))
    assert again.data_ptr() == address
    assert not torch.equal(again, before)
    learner.begin(TRAIN, 4)
    assert torch.equal(again, before)


@pytest.mark.slow
@pytest.mark.parametrize("counted", [("items.embedding=blocks",), ("codes.of=factors",)])
@pytest.mark.parametrize("name", ["din_mha_demo", "gbdt_demo"])
def test_no_history_and_no_label_of_the_predicted_users_changes_their_factors(
    tiny: ChallengeData, name: str, counted: tuple[str, ...]
) -> None:
    settings = ("training.epochs=1", *counted, "items.factors_from=positives")
    recipe = load_recipe(name, settings)
    rows = np.arange(2000, len(tiny.train))
    inside = np.zeros(len(tiny.histories), np.bool_)
    inside[tiny.train.history[np.arange(2000)]] = True
    outside = np.repeat(~inside, tiny.histories.lengths)
    values = tiny.histories.values
    label = tiny.train.labels().copy()
    label[rows] = 1 - label[rows]
    other = replace(
        tiny,
        rows={**tiny.rows, "train": replace(tiny.train, label=label)},
        histories=replace(tiny.histories, values=np.where(outside, 1 + values % 50, values)),
    )
    found = []
    for data in (tiny, other):
        learner = learner_of(recipe, data)
        list(learner.fit(TRAIN, HOLDOUT, seed=3))
        # Rows of training users: their histories are as before, and every table is the fold's.
        found.append(learner.predict("train", TRAIN))
    assert np.array_equal(*found)


def test_a_fit_with_signals_and_extra_rows_resumes_bit_for_bit(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_mha_demo", MORE)
    whole, cut = (learner_of(recipe, tiny) for _ in range(2))
    list(whole.fit(TRAIN, HOLDOUT, seed=3))
    state = next(cut.fit(TRAIN, HOLDOUT, seed=3)).state()
    resumed = learner_of(recipe, tiny)
    assert len(list(resumed.fit(TRAIN, HOLDOUT, 3, state))) == 1
    assert np.array_equal(resumed.predict("test"), whole.predict("test"))


@pytest.mark.parametrize("steps", ["plain", "captured"])
@pytest.mark.parametrize(
    "room", [pytest.param((1 << 18, 1 << 22), marks=pytest.mark.slow), (600, 1 << 22), (1, 1)]
)
def test_rows_on_the_host_train_bit_for_bit_what_rows_on_the_device_do(
    tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch, steps: str, room: tuple[int, int]
) -> None:
    monkeypatch.setattr(placement, "OnHost", lambda whole, device: OnHost(whole, device, *room))
    found = []
    for data_on in ("device", "host"):
        settings = (*MORE, f"training.steps={steps}", f"training.data_on={data_on}")
        learner = learner_of(load_recipe("din_mha_demo", settings), tiny)
        epochs = list(learner.fit(TRAIN, HOLDOUT, seed=3))
        assert learner.data_on == data_on
        told = [np.array([e.train_loss, e.holdout_auc]) for e in epochs]
        found.append([*told, *(learner.predict(s) for s in SPLITS), *learner.weights().values()])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.slow
def test_a_fit_begun_on_the_device_goes_on_from_the_host_bit_for_bit(tiny: ChallengeData) -> None:
    device, host = (load_recipe("din_mha_demo", (*MORE, f"training.data_on={d}")) for d in DATA_ON)
    whole, cut, resumed = (learner_of(r, tiny) for r in (device, device, host))
    list(whole.fit(TRAIN, HOLDOUT, seed=3))
    state = next(cut.fit(TRAIN, HOLDOUT, seed=3)).state()
    assert len(list(resumed.fit(TRAIN, HOLDOUT, 3, state))) == 1
    assert (whole.data_on, resumed.data_on) == DATA_ON
    assert np.array_equal(resumed.predict("test"), whole.predict("test"))


def test_the_cost_is_measured_where_the_rows_lie(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_demo", (*SETTINGS, "training.data_on=host"))
    assert learner_of(recipe, tiny).cost(2000).data_on == "host"


def test_a_model_fitted_after_another_is_the_model_fitted_alone(
    tiny: ChallengeData, learner: Learner
) -> None:
    other = learner_of(load_recipe("din_demo", SETTINGS), tiny)
    list(other.fit(HOLDOUT, TRAIN, seed=9))
    list(other.fit(TRAIN, HOLDOUT, seed=3))
    assert np.array_equal(other.predict("test"), learner.predict("test"))


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["captured", "compiled"])
def test_steps_of_fixed_size_learn_what_plain_ones_do(
    tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch, steps: str
) -> None:
    # Traced, not translated: tests/models/test_exactness.py translates a model.
    for name, ours in (("compiled", compiled), ("compiled_batches", compiled_batches)):
        monkeypatch.setattr(f"mmctr_kit.training.neural.{name}", partial(ours, "aot_eager"))
    # A compiled step draws other dropout masks.
    without = ("model.attention_dropout=0", "model.mlp_dropout=0")
    settings = (*MORE, "training.precision=float32", *without)
    predicted = []
    for how in ("plain", steps):
        recipe = load_recipe("din_mha_demo", (*settings, f"training.steps={how}"))
        learner = learner_of(recipe, tiny)
        list(learner.fit(TRAIN, HOLDOUT, seed=3))
        predicted.append(learner.predict("test"))
    assert np.allclose(*predicted, atol=1e-3)


def test_extra_rows_make_the_epochs_longer(tiny: ChallengeData) -> None:
    steps = {}
    for name, settings in (("own", SETTINGS), ("more", MORE)):
        learner = learner_of(load_recipe("din_mha_demo", settings), tiny)
        steps[name] = next(iter(learner.fit(TRAIN, HOLDOUT, seed=3))).steps
    assert steps == {"own": -(-1500 // 256), "more": -(-3000 // 256)}


def test_histories_of_users_outside_the_fold_change_no_signal(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_mha_demo", (*SETTINGS, "signals.kinds=all", "training.epochs=1"))
    rows = tiny.train.history[TRAIN]
    inside = np.zeros(len(tiny.histories), np.bool_)
    inside[rows] = True
    length = tiny.histories.lengths
    changed = tiny.histories.values.copy()
    outside = np.repeat(~inside, length)
    changed[outside] = 1 + changed[outside] % tiny.n_items
    other = replace(tiny, histories=replace(tiny.histories, values=changed))
    assert not np.array_equal(changed, tiny.histories.values)
    found = []
    for data in (tiny, other):
        learner = learner_of(recipe, data)
        list(learner.fit(TRAIN, HOLDOUT, seed=3))
        found.append(learner.predict("train", TRAIN))
    assert np.array_equal(*found)


def test_a_learner_without_a_model_says_so(tiny: ChallengeData) -> None:
    with pytest.raises(ValueError, match="no model was fitted"):
        learner_of(load_recipe("din_demo", SETTINGS), tiny).predict("test")


def test_the_cost_counts_what_a_fit_would_do(learner: Learner) -> None:
    cost = learner.cost(2000)
    assert (cost.batch_size, cost.epochs, cost.steps) == (256, 2, 16)
    assert cost.parameters == sum(
        v.size
        for k, v in learner.weights().items()
        if "running" not in k and "num_batches" not in k and k not in (KNOWN_USER, TRAINED_ROWS)
    )
    assert cost.seconds_per_step > 0


def test_asking_for_the_cost_leaves_the_fitted_model_alone(learner: Learner) -> None:
    before = learner.predict("test")
    learner.cost(2000)
    assert np.array_equal(learner.predict("test"), before)


def test_a_full_gpu_is_told_in_one_line(
    tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    learner = learner_of(load_recipe("din_demo", SETTINGS), tiny)
    monkeypatch.setattr(Fit, "predict", full)
    with pytest.raises(MmctrKitError, match=r"memory is full; lower training.batch_size"):
        list(learner.fit(TRAIN, HOLDOUT, seed=3))
    with pytest.raises(MmctrKitError, match="memory is full; free what other processes hold"):
        learner.predict("test")


SMALL = (
    *SETTINGS,
    "training.min_steps=0",
    "training.snapshot=last",
    "model.embedding_dim=8",
    "model.item_emb_dim=8",
    "model.attention_hidden=[8]",
    "model.mlp_hidden=[16]",
    "model.encoder_layers=1",
)


@pytest.mark.cuda
@pytest.mark.parametrize("place", DATA_ON)
def test_a_gpu_fits_after_another_fit_and_after_a_break_as_at_once(
    tiny: ChallengeData, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not bit for bit, since a GPU may add in any order; the CPU predicts the same with it."""
    monkeypatch.setattr(placement, "OnHost", lambda *given: OnHost(*given, 600, 1 << 22))
    more = (*MORE, "training.precision=float32", f"training.data_on={place}")
    recipe = load_recipe("din_mha_demo", more)

    def losses(learner: Any, state: Any = None) -> Any:
        found = [epoch.train_loss for epoch in learner.fit(TRAIN, HOLDOUT, 3, state)]
        assert (learner.trained().fallbacks, learner.data_on) == ([], place)
        return pytest.approx(found, rel=1e-3)

    once, later, cut, resumed = (learner_of(recipe, tiny, "cuda:0") for _ in range(4))
    first, second = losses(once).expected
    list(later.fit(HOLDOUT, TRAIN, seed=9))
    assert losses(later) == [first, second]
    state = next(cut.fit(TRAIN, HOLDOUT, seed=3)).state()
    assert losses(resumed, state) == [second]
    cpu = learner_of(recipe, tiny)
    cpu.load(once.weights())
    assert np.allclose(cpu.predict("test"), once.predict("test"), atol=1e-4)


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no second GPU here")
def test_the_second_gpu_predicts_as_the_cpu_does(tiny: ChallengeData, learner: Learner) -> None:
    threads = torch.get_num_threads()
    prepare("cuda:1", threads)
    try:
        second = learner_of(load_recipe("din_demo", SETTINGS), tiny, "cuda:1")
        list(second.fit(TRAIN, HOLDOUT, seed=3))
        second.load(learner.weights())
        assert np.allclose(second.predict("test"), learner.predict("test"), atol=1e-4)
    finally:
        prepare("cuda:0", threads)


@pytest.mark.parametrize(("steps", "says"), [("compiled", True), ("plain", False)])
def test_bf16_steps_are_not_compiled_for_a_card_without_bf16(
    steps: str, says: bool, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = "Tesla T4 has no bf16 arithmetic"
    monkeypatch.setattr("mmctr_kit.training.neural.warn_of_slow_bf16", lambda *_: gap)
    recipe = load_recipe("din_demo", [f"training.steps={steps}", "training.precision=bf16"])
    modes = learner_of(recipe, tiny)._modes
    assert modes.mode == "plain"
    line = f"training goes on without torch.compile, slower: {gap}"
    assert modes.fallbacks == ([line] if says else [])
