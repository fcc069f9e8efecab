"""mmctr_kit.training.user_rows: steps that read and write the rows of their users alone."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din_target_encoder import DINTargetEncoder
from mmctr_kit.models.layers.blocks import UserEmbedding
from mmctr_kit.recipe import Training
from mmctr_kit.training.cuda_graph import EagerSteps, StaticSteps
from mmctr_kit.training.data.batches import DeviceData, make_batch, tensor, to_device
from mmctr_kit.training.data.sampler import RowSampler
from mmctr_kit.training.data.source import OnDevice
from mmctr_kit.training.fit import Fit
from mmctr_kit.training.optimizer import Adam
from mmctr_kit.training.step import Forward, Step, compiled, compiled_batches, eager
from mmctr_kit.training.user_rows import UserRows, distinct
from tests.training.test_cuda_graph import run
from tests.training.test_fit import CPU, HOLDOUT, TRAIN, small_din, states_equal

RATE, DIM = 0.01, 4
PACES = torch.tensor([[1e-3, 1.0], [2e-3, 0.5], [3e-3, 0.25], [1e-3, 0.25]])


class Users(nn.Module):
    """A model that knows a row's user and nothing else."""

    def __init__(self, n_users: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.user = UserEmbedding(n_users, DIM)
        self.user.weight.data[1:].normal_()
        self.weight = nn.Parameter(torch.randn(DIM))

    def forward(self, batch: Batch) -> Tensor:
        logit: Tensor = self.user(batch.user) @ self.weight
        return logit


class DINWithUsers(nn.Module):
    def __init__(self, tiny: ChallengeData, n_users: int, seed: int = 0) -> None:
        super().__init__()
        self.din = small_din(tiny, seed)
        self.users = Users(n_users)

    def forward(self, batch: Batch) -> Tensor:
        logit: Tensor = self.din(batch) + self.users(batch)
        return logit


def target_encoder(tiny: ChallengeData, n_users: int, seed: int = 0) -> DINTargetEncoder:
    torch.manual_seed(seed)
    levels = torch.ones(2, tiny.n_items + 1, dtype=torch.long)
    return DINTargetEncoder(
        item_tags=tensor(tiny.item_tags.astype(np.int64), CPU),
        item_emb=tensor(tiny.item_emb, CPU),
        item_likes_level=levels[0],
        item_views_level=levels[1],
        n_tags=tiny.n_tags,
        n_users=n_users,
        embedding_dim=8,
        item_emb_dim=8,
        attention_hidden=(8,),
        attention_dropout=0.1,
        mlp_hidden=(16,),
        mlp_dropout=0.1,
    )


@pytest.fixture(scope="module")
def device_data(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


def rows(**options: Any) -> Training:
    chosen = {"user_updates": "rows", "learning_rate": RATE, "precision": "float32", **options}
    return Training.model_validate(chosen)


def step_of(
    model: nn.Module, data: DeviceData, options: Training, forward: Forward = eager
) -> Step:
    known = torch.ones(data.n_users + 1, dtype=torch.bool, device=data.device)
    return Step(model, data, options, known, forward)


def batches(data: DeviceData, size: int = 64, steps: int = 4) -> Tensor:
    rows = data.rows["train"]
    return RowSampler(torch.arange(len(rows)), rows.lengths, size, 0).batches(0, steps)


def seen_by(data: DeviceData, index: Tensor) -> Tensor:
    """(n_users + 1,) which users have rows among ``index``."""
    seen = torch.zeros(data.n_users + 1, dtype=torch.bool)
    seen[data.rows["train"].user[index].flatten()] = True
    return seen


@pytest.mark.parametrize(
    ("user", "numbers"),
    [
        ([7, 2, 7, 9], [0, 2, 7, 9, 0]),
        ([3, 0, 3, 0], [0, 3, 0, 0, 0]),
        ([0, 0], [0, 0, 0]),
        ([4, 3, 2, 1], [0, 1, 2, 3, 4]),
    ],
)
def test_each_user_of_a_batch_has_one_slot_and_user_0_the_first(
    user: list[int], numbers: list[int]
) -> None:
    found, slot = distinct(torch.tensor(user))
    assert found.tolist() == numbers
    assert found[slot].tolist() == user
    assert [s == 0 for s in slot.tolist()] == [u == 0 for u in user]


def test_steps_by_rows_are_those_of_torchs_sparse_adam(device_data: DeviceData) -> None:
    user, label = device_data.rows["train"].user, device_data.rows["train"].label
    assert label is not None
    index = batches(device_data)
    assert all(len(user[i].unique()) < len(i) for i in index)  # users occur twice
    model = Users(device_data.n_users)
    step = step_of(model, device_data, rows(clip_norm=None))
    table = nn.Embedding.from_pretrained(
        model.user.weight.detach().clone(), freeze=False, padding_idx=0, sparse=True
    )
    weight = nn.Parameter(model.weight.detach().clone())
    # Its epsilon is another: so small a one makes no difference.
    step.optimizer.eps = 1e-20
    theirs = torch.optim.SparseAdam(table.parameters(), lr=RATE, eps=1e-20)
    other = torch.optim.Adam([weight], lr=RATE, eps=1e-20)
    for chosen in index:
        step(chosen)
        theirs.zero_grad()
        other.zero_grad()
        logit = table(user[chosen]) @ weight
        nn.functional.binary_cross_entropy_with_logits(logit, label[chosen]).backward()
        theirs.step()
        other.step()
    assert torch.allclose(model.user.weight, table.weight, atol=1e-5)
    assert not torch.allclose(model.user.weight, Users(device_data.n_users).user.weight)
    ours = step.optimizer.state[model.user.weight]
    for name in ("exp_avg", "exp_avg_sq"):
        assert torch.allclose(ours[name], theirs.state[table.weight][name], rtol=1e-4, atol=1e-9)
    assert ours["step"] == len(index)


@pytest.mark.parametrize("more", [{}, {"optimizer": "adamw", "weight_decay": 0.1}])
def test_where_each_step_sees_every_user_rows_are_trained_as_densely(
    device_data: DeviceData, more: dict[str, Any]
) -> None:
    """Clipping and the regulariser included."""
    everyone = torch.arange(len(device_data.rows["train"]))
    assert seen_by(device_data, everyone)[1:].all()
    states = []
    for how in ("rows", "dense"):
        options = rows(user_updates=how, clip_norm=1e-3, embedding_regularizer=0.1, **more)
        step = step_of(Users(device_data.n_users), device_data, options)
        for _ in range(3):
            step(everyone)
        states.append(step.state())
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], rtol=1e-4, atol=1e-9), name


def test_rows_of_users_outside_the_batch_do_not_move_and_row_0_stays_zero(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    model = target_encoder(tiny, device_data.n_users)
    decay = {"optimizer": "adamw", "weight_decay": 0.1, "embedding_regularizer": 0.1}
    step = step_of(model, device_data, rows(**decay))
    step.known_user[5:9] = False  # their rows are of user 0
    moments = step.optimizer.state[model.user.weight]
    whole = [model.user.weight.detach(), moments["exp_avg"], moments["exp_avg_sq"]]
    for chosen in batches(device_data):
        before = [w.clone() for w in whole]
        step(chosen)
        seen = seen_by(device_data, chosen)
        seen[0] = seen[5:9] = False
        for old, new in zip(before, whole, strict=True):
            assert torch.equal(old[~seen], new[~seen])
            assert (old[seen] != new[seen]).any(1).all()
            assert not new[0].any()


def test_the_model_holds_the_whole_table_but_in_its_forward_pass(device_data: DeviceData) -> None:
    model = Users(device_data.n_users)
    whole, held = model.user.weight, []

    def forward(module: nn.Module, batch: Batch) -> Tensor:
        held.append(model.user.weight)
        assert int(batch.user.max()) <= len(batch.user)
        if len(held) == 3:
            raise RuntimeError("no memory")
        return eager(module, batch)

    step = step_of(model, device_data, rows(), forward)
    names = [name for name, _ in model.named_parameters()]
    step(torch.arange(64))
    assert held[0].shape == (65, DIM)
    assert model.user.weight is whole
    step(torch.arange(32))  # another size
    assert held[1].shape == (33, DIM)
    with pytest.raises(RuntimeError, match="no memory"):
        step(torch.arange(32))
    assert model.user.weight is whole
    assert [name for name, _ in model.named_parameters()] == names
    assert whole.grad is None
    assert {id(p) for p in step.trained()} == {id(model.weight), id(held[1])}
    assert len(step.optimizer.state) == 3  # nothing of the first size is kept


def test_what_is_held_stays_where_it_is_while_batches_are_of_one_size(
    device_data: DeviceData,
) -> None:
    step = step_of(Users(device_data.n_users), device_data, rows())

    def places() -> list[int]:
        tensors = [t for slots in step.optimizer.state.values() for t in slots.values()]
        return [t.data_ptr() for t in (*tensors, *step.trained(), *step.state().values())]

    first, second = batches(device_data, steps=2)
    step(first)
    before = places()
    step(second)
    assert places() == before


def test_clipping_sees_the_gradient_of_the_rows(device_data: DeviceData) -> None:
    step = step_of(Users(device_data.n_users), device_data, rows(clip_norm=1e-3))
    step(torch.arange(64))
    gradients = [p.grad.flatten() for p in step.trained() if p.grad is not None]
    assert len(gradients) == 2
    assert torch.cat(gradients).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_dense_updates_are_left_alone(device_data: DeviceData) -> None:
    model = Users(device_data.n_users)
    step = step_of(model, device_data, rows(user_updates="dense"))
    step(torch.arange(64))
    assert {id(p) for p in step.trained()} == {id(p) for p in model.parameters()}
    assert model.user.weight.grad is not None


def static(model: nn.Module, data: DeviceData, forward: Forward = eager) -> Step:
    return step_of(model.eval(), data, rows(), forward)


@pytest.mark.parametrize("way", ["plain", pytest.param("compiled", marks=pytest.mark.slow)])
def test_steps_of_fixed_size_train_the_model_that_plain_ones_train(
    device_data: DeviceData, tiny: ChallengeData, way: str
) -> None:
    index, forward = batches(device_data), compiled("aot_eager") if way == "compiled" else eager
    first = static(DINWithUsers(tiny, device_data.n_users), device_data)
    expected = run(EagerSteps(first), index, PACES)
    second = static(DINWithUsers(tiny, device_data.n_users), device_data, forward)
    found = run(StaticSteps(second), index, PACES)
    assert second.forward is forward  # and nothing fell back
    assert torch.allclose(found, expected, atol=1e-5)
    for name, value in first.state().items():
        assert torch.allclose(second.state()[name], value, atol=1e-5), name


@pytest.mark.slow
def test_another_model_in_the_same_module_is_not_compiled_again(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    model, forward = DINWithUsers(tiny, device_data.n_users), compiled("aot_eager")
    index = batches(device_data)
    run(StaticSteps(static(model, device_data, forward)), index, PACES)
    model.load_state_dict(DINWithUsers(tiny, device_data.n_users, seed=1).state_dict())
    with torch._dynamo.config.patch(error_on_recompile=True), warnings.catch_warnings():
        warnings.simplefilter("error")
        run(StaticSteps(static(model, device_data, forward)), index, PACES)


OPTIONS = rows(epochs=3, batch_size=128, learning_rate=3e-3, embedding_regularizer=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["plain", "captured"])
def test_a_fit_resumed_from_an_epoch_ends_bit_for_bit_where_an_uninterrupted_one_does(
    tiny: ChallengeData, device_data: DeviceData, steps: str
) -> None:
    options, source = OPTIONS.model_copy(update={"steps": steps}), OnDevice(device_data)

    def fit(seed: int) -> Fit:
        return Fit(target_encoder(tiny, device_data.n_users, seed), source, options, 7)

    whole = [e.state() for e in fit(0).run(TRAIN, HOLDOUT)]
    again = [e.state() for e in fit(0).run(TRAIN, HOLDOUT)]
    assert states_equal(again[-1], whole[-1])
    for stop in (1, 2):
        resumed = [e.state() for e in fit(99).run(TRAIN, HOLDOUT, resume=whole[stop - 1])]
        assert states_equal(resumed[-1], whole[-1])
    dense = Fit(target_encoder(tiny, device_data.n_users), source, Training(epochs=1), 7)
    (state,) = [e.state() for e in dense.run(TRAIN, HOLDOUT)]
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in whole[0].items()}


def test_two_tables_of_users_share_the_numbers_of_their_rows() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = UserEmbedding(9, 3), UserEmbedding(9, 2)

    model = Two()
    optimizer = Adam(model.parameters(), Training(), torch.tensor(1.0))
    users = UserRows(model, optimizer, on=True)
    user = torch.tensor([8, 3, 8])
    empty = dict.fromkeys(Batch.__dataclass_fields__, user)
    with users.swap_in(replace(Batch(**empty), user=user)) as seen:
        loss = model.wide(seen.user).sum() + model.narrow(seen.user).sum()
    loss.backward()
    optimizer.step()
    before = [p.detach().clone() for p in (model.wide.weight, model.narrow.weight)]
    users.write_back()
    for old, new in zip(before, (model.wide.weight, model.narrow.weight), strict=True):
        assert (old != new).any(1).nonzero().flatten().tolist() == [3, 8]


@pytest.mark.cuda
@pytest.mark.parametrize("how", ["plain", "compiled"])
def test_replayed_steps_train_the_model_that_plain_ones_train(
    tiny: ChallengeData, how: str
) -> None:
    data = to_device(tiny, torch.device("cuda"), 64)
    ways = {"plain": (eager, make_batch), "compiled": (compiled(), compiled_batches())}
    known = torch.ones(data.n_users + 1, dtype=torch.bool, device="cuda")
    index, paces = batches(data).cuda(), PACES.cuda()

    def step(*way: Any) -> Step:
        return Step(DINWithUsers(tiny, data.n_users).cuda().eval(), data, rows(), known, *way)

    first, second = step(), step(*ways[how])
    expected = run(EagerSteps(first), index, paces)
    steps = StaticSteps(second)
    found = run(steps, index, paces)
    assert steps._replay is not None
    assert torch.allclose(found, expected, rtol=1e-4)
    for name, value in first.state().items():
        assert torch.allclose(second.state()[name], value, atol=1e-4), name
