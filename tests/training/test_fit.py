"""mmctr_kit.training.fit: the one fit loop."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.din import DIN
from mmctr_kit.recipe import Training
from mmctr_kit.training.data.batches import DeviceData, tensor, to_device
from mmctr_kit.training.data.source import OnDevice
from mmctr_kit.training.device import fast_bf16
from mmctr_kit.training.fit import Fit, Schedule, batch_size_for, schedule
from mmctr_kit.training.learner import State

CPU = torch.device("cpu")
OPTIONS = Training(epochs=3, batch_size=128, learning_rate=3e-3, holdout=0.1)


@pytest.fixture(scope="module")
def device_data(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


@pytest.fixture
def model(tiny: ChallengeData) -> nn.Module:
    return small_din(tiny)


def small_din(tiny: ChallengeData, seed: int = 0) -> DIN:
    torch.manual_seed(seed)
    return DIN(
        item_tags=tensor(tiny.item_tags.astype(np.int64), CPU),
        item_emb=tensor(tiny.item_emb, CPU),
        item_emb_widths=(tiny.item_emb.shape[1],),
        item_present=torch.ones(tiny.n_items + 1, 1, dtype=torch.bool),
        item_codes=torch.zeros(tiny.n_items + 1, 0, dtype=torch.long),
        n_codes=1,
        n_tags=tiny.n_tags,
        n_signals=0,
        n_row_signals=0,
        embedding_dim=8,
        item_emb_dim=8,
        attention_hidden=(8,),
        attention_dropout=0.1,
        mlp_hidden=(16,),
        mlp_dropout=0.1,
    )


TRAIN, HOLDOUT = np.arange(0, 1600), np.arange(1600, 2000)


def last_state(model: nn.Module, data: DeviceData, seed: int) -> State:
    """The state after the last epoch, before the best snapshot is put back."""
    fit = Fit(model, OnDevice(data), OPTIONS, seed)
    return [epoch.state() for epoch in fit.run(TRAIN, HOLDOUT)][-1]


def states_equal(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_the_loss_falls_and_every_epoch_is_told(device_data: DeviceData, model: nn.Module) -> None:
    epochs = list(Fit(model, OnDevice(device_data), OPTIONS, seed=0).run(TRAIN, HOLDOUT))
    assert [e.epoch for e in epochs] == [1, 2, 3]
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert all(0 < e.holdout_auc < 1 for e in epochs)


def test_what_remains_is_the_snapshot_with_the_best_holdout_auc(
    device_data: DeviceData, model: nn.Module
) -> None:
    fit = Fit(model, OnDevice(device_data), OPTIONS.model_copy(update={"epochs": 5}), seed=0)
    kept: dict[str, np.ndarray] = {}
    best = -1.0
    for epoch in fit.run(TRAIN, HOLDOUT):
        assert epoch.best == (epoch.holdout_auc > best)
        if epoch.best:
            best = epoch.holdout_auc
            kept = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    assert all(np.array_equal(kept[k], v.numpy()) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    ("average", "restart"), [("none", "none"), ("ema", "none"), ("tail", "none"), ("ema", "all")]
)
@pytest.mark.parametrize("stop", [1, 2])
def test_a_fit_resumed_from_an_epoch_ends_bit_for_bit_where_an_uninterrupted_one_does(
    tiny: ChallengeData, device_data: DeviceData, stop: int, average: str, restart: str
) -> None:
    options = OPTIONS.model_copy(update={"average": average, "embedding_restart": restart})
    whole = [
        e.state()
        for e in Fit(small_din(tiny), OnDevice(device_data), options, 7).run(TRAIN, HOLDOUT)
    ]
    resumed_fit = Fit(small_din(tiny, seed=99), OnDevice(device_data), options, 7)
    resumed = [e.state() for e in resumed_fit.run(TRAIN, HOLDOUT, resume=whole[stop - 1])]
    assert len(resumed) == 3 - stop
    assert states_equal(resumed[-1], whole[-1])


def test_two_fits_of_one_seed_are_bit_identical_and_of_two_seeds_differ(
    tiny: ChallengeData, device_data: DeviceData
) -> None:
    first = last_state(small_din(tiny), device_data, 1)
    assert states_equal(first, last_state(small_din(tiny), device_data, 1))
    assert not states_equal(first, last_state(small_din(tiny), device_data, 2))


def test_holdout_rows_teach_nothing(tiny: ChallengeData, device_data: DeviceData) -> None:
    label = device_data.rows["train"].label
    assert label is not None
    before = label.clone()
    a = last_state(small_din(tiny), device_data, 1)
    try:
        label[HOLDOUT] = 1 - label[HOLDOUT]
        b = last_state(small_din(tiny), device_data, 1)
    finally:
        label.copy_(before)
    assert all(np.array_equal(a[k], b[k]) for k in a if k.startswith(("model.", "optimizer.")))


def test_min_steps_adds_epochs_where_rows_are_few() -> None:
    options = Training(batch_size=100, epochs=2, min_steps=90)
    assert schedule(1_000, 100, options) == Schedule(steps=10, planned=9, epochs=9)
    assert schedule(100_000, 100, options) == Schedule(steps=1_000, planned=2, epochs=2)


def test_a_fit_that_stops_after_an_epoch_is_the_longer_one_until_then(
    tiny: ChallengeData, device_data: DeviceData
) -> None:
    whole = [
        e.state()
        for e in Fit(small_din(tiny), OnDevice(device_data), OPTIONS, 7).run(TRAIN, HOLDOUT)
    ]
    short = OPTIONS.model_copy(update={"stop_at": 0.6, "snapshot": "last"})
    epochs = list(Fit(small_din(tiny), OnDevice(device_data), short, 7).run(TRAIN, HOLDOUT))
    assert [(e.epoch, e.epochs) for e in epochs] == [(1, 2), (2, 2)]
    trained = {
        k: v for k, v in epochs[-1].state().items() if k.startswith(("model.", "optimizer."))
    }
    assert states_equal(trained, {k: whole[1][k] for k in trained})


def test_without_a_holdout_the_last_epoch_is_the_snapshot_and_no_auc_is_given(
    device_data: DeviceData, model: nn.Module
) -> None:
    options = OPTIONS.model_copy(update={"holdout": 0.0, "snapshot": "last"})
    fit = Fit(model, OnDevice(device_data), options, 0)
    epochs = list(fit.run(TRAIN, np.zeros(0, np.int64)))
    assert all(np.isnan(e.holdout_auc) and np.isnan(e.holdout_logloss) for e in epochs)
    last = epochs[-1].state()
    assert epochs[-1].best
    assert all(np.array_equal(last[f"model.{k}"], v) for k, v in model.state_dict().items())


def test_the_snapshot_of_an_averaged_fit_is_the_average_of_its_steps(
    tiny: ChallengeData, device_data: DeviceData
) -> None:
    """The plain mean over all steps, against weights that are noted after each of them."""
    options = OPTIONS.model_copy(update={"average": "tail", "tail": 1.0, "epochs": 2})
    model = small_din(tiny)
    fit = Fit(model, OnDevice(device_data), options.model_copy(update={"snapshot": "last"}), 0)
    noted: list[torch.Tensor] = []
    update = fit.step.update

    def noting() -> None:
        update()
        noted.append(parameter.detach().clone())

    fit.step.update = noting  # type: ignore[method-assign]
    parameter = next(p for p in model.parameters() if p.dim() == 2)
    epochs = list(fit.run(TRAIN, HOLDOUT))
    assert len(noted) == 2 * epochs[0].steps
    assert torch.allclose(parameter, torch.stack(noted).mean(0), atol=1e-6)
    assert not torch.allclose(parameter, noted[-1], atol=1e-4)


def test_each_epoch_but_the_first_begins_with_fresh_tables(
    tiny: ChallengeData, device_data: DeviceData
) -> None:
    """The first epoch is as without restarts; an average is of one epoch's steps."""
    states = {}
    for restart in ("none", "ids"):
        options = OPTIONS.model_copy(update={"embedding_restart": restart})
        fit = Fit(small_din(tiny), OnDevice(device_data), options, 3)
        states[restart] = [epoch.state() for epoch in fit.run(TRAIN, HOLDOUT)]
    assert states_equal(states["none"][0], states["ids"][0])
    step = next(k for k, v in states["ids"][0].items() if k.endswith(".step"))  # of the item ids
    assert [int(s[step]) for s in states["none"]] == [13, 26, 39]
    assert [int(s[step]) for s in states["ids"]] == [13, 13, 13]
    averaged = Training(average="tail", tail=1.0, embedding_restart="ids")
    shares = [Schedule(2, 2, 2).pace(number, averaged)[1] for number in range(4)]
    assert shares == [1, 0.5, 1, 0.5]


def test_label_smoothing_trains_on_labels_moved_towards_a_half(
    tiny: ChallengeData, device_data: DeviceData
) -> None:
    plain, smooth = (
        Fit(small_din(tiny), OnDevice(device_data), OPTIONS.model_copy(update=changed), 0)
        for changed in ({}, {"label_smoothing": 0.2})
    )
    index = torch.arange(64)
    labels = device_data.rows["train"].labels[index]
    for fit in (plain, smooth):
        fit.model.eval()
    batch = smooth.step.batch(index)
    logit = smooth.model(batch)
    expected = F.binary_cross_entropy_with_logits(logit, 0.8 * labels + 0.1)
    assert torch.allclose(smooth.step.loss(batch, index), expected, atol=1e-6)
    assert not torch.allclose(plain.step.loss(batch, index), expected, atol=1e-3)


def test_auto_batch_size_is_a_power_of_two_within_its_bounds() -> None:
    sizes = {n: batch_size_for(n, Training()) for n in (10, 10_000, 100_000, 1_000_000, 4_000_000)}
    assert sizes == {10: 10, 10_000: 256, 100_000: 512, 1_000_000: 4096, 4_000_000: 8192}
    assert batch_size_for(50, Training(batch_size=64)) == 50


def test_prediction_in_parts_equals_prediction_at_once(
    device_data: DeviceData, model: nn.Module
) -> None:
    fit = Fit(model, OnDevice(device_data), OPTIONS, 0)
    whole = fit.predict("test")
    assert whole.dtype == np.float64
    part = fit.predict("test", np.arange(100, 110))
    assert np.allclose(whole[100:110], part, atol=1e-5)


def test_predictions_come_in_the_order_asked_though_made_by_length(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    fit = Fit(small_din(tiny), OnDevice(device_data), OPTIONS, seed=0)
    order = np.random.default_rng(0).permutation(2000)[:900]
    lengths = device_data.rows["train"].lengths[order]
    assert (lengths.diff() < 0).any()
    expected = fit.predict("train")[order]
    assert np.allclose(fit.predict("train", order), expected, atol=1e-5)
    assert len(np.unique(np.round(expected, 4))) > 100
    assert len(fit.predict("train", order[:0])) == 0


@pytest.mark.cuda
def test_training_on_a_gpu_uses_bf16_and_predicts_in_float32(tiny: ChallengeData) -> None:
    data = to_device(tiny, torch.device("cuda"), 64)
    fit = Fit(small_din(tiny).cuda(), OnDevice(data), OPTIONS, 0)
    *_, last = fit.run(TRAIN, HOLDOUT)
    assert fit.trained().precision == ("bf16" if fast_bf16("cuda") else "float32")
    assert np.isfinite(last.train_loss)
    logits = fit.predict("test")
    # bf16 logits have 8 bits: predictions in it would tie by the hundreds.
    assert len(np.unique(logits)) > 0.9 * len(logits)


@pytest.mark.parametrize(("limit", "shared"), [(1 << 40, False), (0, True)])
def test_a_large_state_is_not_copied_and_a_small_one_is(
    device_data: DeviceData,
    model: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    shared: bool,
) -> None:
    monkeypatch.setattr("mmctr_kit.training.fit.LARGE_STATE", limit)
    fit = Fit(model, OnDevice(device_data), OPTIONS, 3)
    epoch = next(fit.run(np.arange(1500), np.arange(1500, 2000)))
    state = epoch.state()
    assert epoch.live == shared
    for name, value in fit.best.items():
        assert np.array_equal(state[f"best.{name}"], value.numpy())
        assert np.shares_memory(state[f"best.{name}"], value.numpy()) == shared
