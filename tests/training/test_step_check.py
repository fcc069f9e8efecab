"""mmctr_kit.training.step_check: what it finds, what it lets pass, and that it changes nothing."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo  # notes is_compiling, so it must come before the tests replace that
from torch import Tensor, nn

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din import DIN
from mmctr_kit.models.ops.dropout import Dropout
from mmctr_kit.recipe import Training
from mmctr_kit.training import step_check
from mmctr_kit.training.cuda_graph import StaticSteps
from mmctr_kit.training.data.batches import DeviceData, to_device
from mmctr_kit.training.learner import State
from mmctr_kit.training.step import Forward, Step, compiled, compiled_batches, eager
from mmctr_kit.training.step_check import verdict
from mmctr_kit.training.step_modes import Capture, Modes, cuda_graph
from tests.training.learners import learner_of
from tests.training.recorded import capture_on_cpu, record
from tests.training.test_capture import CASES, OTHERS, recipe_of
from tests.training.test_cuda_graph import PACES, batches, run
from tests.training.test_fit import CPU, small_din

Work = Callable[[], object]
Replay = Callable[[], None]


@pytest.fixture(scope="module")
def device_data(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


@pytest.fixture
def gpu_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations take the paths of a GPU, which make no host wait."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


def step_of(
    model: nn.Module, data: DeviceData, forward: Forward = eager, precision: str = "float32"
) -> Step:
    known = torch.ones(data.n_users + 1, dtype=torch.bool)
    options = Training.model_validate({"precision": precision})
    return Step(model.train(), data, options, known, forward)


def checked(step: Step, capture: Capture | None = None) -> StaticSteps:
    """Steps that are always checked, having trained four batches."""
    modes = Modes(step.forward, step.batches, capture, "always")
    steps = StaticSteps(step, modes)
    torch.manual_seed(5)
    run(steps, batches(step.data), PACES)
    return steps


def real(rewind: Work, work: Work) -> Replay:
    return record(rewind, work).replay


Operation = Callable[..., Any]


def spoilt(name: str, spoil: Callable[[Operation, Tensor], Operation]) -> Capture:
    """Replays in which all operations of this name are others, made of them and their results."""

    def capture(rewind: Work, work: Work) -> Replay:
        recorder = record(rewind, work)
        for number, (func, args, kwargs, made) in enumerate(recorder.operations):
            if func.overloadpacket.__name__ == name:
                other: Any = Other(func._schema, spoil(func, made[0]))
                recorder.operations[number] = (other, args, kwargs, made)
        return recorder.replay

    return capture


@dataclass
class Other:
    """What stands for a recorded operation."""

    _schema: Any
    call: Operation

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)


def times(factor: float) -> Callable[[Operation, Tensor], Operation]:
    return lambda func, _: lambda *args, **kwargs: func(*args, **kwargs) * factor


def one_nan(func: Operation, made: Tensor) -> Operation:
    assert made.dtype == torch.bfloat16

    def call(*args: Any, **kwargs: Any) -> Tensor:
        values: Tensor = func(*args, **kwargs).clone()
        values.view(-1)[0] = torch.nan
        return values

    return call


def drawn_once(_: Operation, made: Tensor) -> Operation:
    kept = made.clone()
    return lambda *_, **__: kept


def of_another_seed(_: Operation, made: Tensor) -> Operation:
    own = torch.Generator()
    own.seed()
    return lambda *_, **__: torch.rand(made.shape, generator=own)


def late(rewind: Work, work: Work) -> Replay:
    """Nobody waits for a replay: each result is there when the next is asked for."""
    recorder, asked = record(rewind, work), [False]

    def replay() -> None:
        if asked[0]:
            recorder.replay()
        asked[0] = True

    return replay


def stale(rewind: Work, work: Work) -> Replay:
    """The table of row numbers is read where it lay once."""
    recorder = record(rewind, work)
    func, args, *rest = recorder.operations[0]
    assert func.overloadpacket.__name__ == "index_select"
    recorder.operations[0] = (func, (args[0].clone(), *args[1:]), *rest)
    return recorder.replay


TABLE = "embedding_dense_backward"
FAULTS: dict[str, tuple[Capture, str, str]] = {
    "a wrong kernel result": (spoilt("mm", times(1.02)), "float32", "the loss by"),
    "a wrong gradient": (spoilt(TABLE, times(1.01)), "float32", "gradient of items.item"),
    "a missing synchronisation": (late, "float32", "the loss by"),
    "NaN in bf16": (spoilt("mm", one_nan), "bf16", "by nan"),
    "a stale static buffer": (stale, "float32", "the loss by"),
    "dropout that draws once": (spoilt("rand_like", drawn_once), "float32", "the same values"),
    "dropout of another seed": (spoilt("rand_like", of_another_seed), "float32", "from one seed"),
}


@pytest.mark.usefixtures("gpu_paths")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_the_replay_is_found(
    fault: str, device_data: DeviceData, tiny: ChallengeData
) -> None:
    capture, precision, named = FAULTS[fault]
    step = step_of(small_din(tiny), device_data, precision=precision)
    with pytest.warns(UserWarning, match=f"without captured steps, slower: .*{named}"):
        steps = checked(step, capture)
    assert steps.modes.mode == "plain"


@pytest.mark.usefixtures("gpu_paths")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_replay_without_fault_passes(
    precision: str, device_data: DeviceData, tiny: ChallengeData
) -> None:
    steps = checked(step_of(small_din(tiny), device_data, precision=precision), real)
    assert (steps.modes.mode, steps.modes.checked) == ("captured", "checked")
    assert not steps.modes.fallbacks


@pytest.mark.usefixtures("gpu_paths")
@pytest.mark.parametrize("capture", [real, None], ids=["captured", "plain"])
def test_a_device_that_adds_in_any_order_is_no_fault(
    capture: Capture | None, device_data: DeviceData, tiny: ChallengeData
) -> None:
    """Atomic additions, rounded to bf16, do not repeat a gradient to 1e-4 of it."""
    model, random = small_din(tiny), np.random.default_rng(0)
    assert any(isinstance(module, Dropout) and module.p for module in model.modules())
    for weight in model.parameters():
        weight.register_hook(lambda gradient: gradient * (1 + 5e-4 * random.standard_normal()))
    steps = checked(step_of(model, device_data, precision="bf16"), capture)
    assert (steps.modes.checked, steps.modes.fallbacks) == ("checked", [])
    assert (steps._replay is not None) == (capture is real)


def options(steps: str, check: str) -> dict[str, Any]:
    return {
        "epochs": 1,
        "min_steps": 0,
        "batch_size": 128,
        "precision": "float32",
        "steps": steps,
        "check": check,
    }


def fitted(
    data: ChallengeData, case: str, training: dict[str, Any], device: str = "cpu"
) -> tuple[Any, State]:
    learner, user = learner_of(recipe_of(case, training), data, device), data.train.user_id % 5
    list(learner.fit(np.flatnonzero(user < 3), np.flatnonzero(user == 4), seed=0))
    return learner.trained(), learner.weights()


@pytest.mark.usefixtures("gpu_paths")
@pytest.mark.slow
@pytest.mark.parametrize("case", [*CASES, *OTHERS])
def test_the_captured_steps_of_every_model_pass(
    case: str, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture_on_cpu(monkeypatch)
    trained, _ = fitted(tiny, case, options("captured", "always"))
    assert (trained.steps, trained.check, trained.fallbacks) == ("captured", "checked", [])


@pytest.mark.slow
@pytest.mark.parametrize("case", [*CASES, *OTHERS])
def test_the_compiled_steps_of_every_model_pass(
    case: str, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced(monkeypatch)
    trained, _ = fitted(tiny, case, options("compiled", "always"))
    assert (trained.steps, trained.check, trained.fallbacks) == ("compiled", "checked", [])


@pytest.mark.slow
@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.parametrize("case", [*CASES, *OTHERS])
def test_the_steps_of_every_model_pass_on_a_gpu(
    case: str, precision: str, tiny: ChallengeData
) -> None:
    training = options("auto", "always") | {"precision": precision}
    trained, weights = fitted(tiny, case, training, "cuda:0")
    assert (trained.steps, trained.check) == ("compiled + captured", "checked")
    assert trained.fallbacks == []
    assert all(np.isfinite(v).all() for v in weights.values())


@pytest.mark.cuda
def test_a_replay_of_stale_rows_is_found_on_a_gpu(tiny: ChallengeData) -> None:
    def of_the_first_batch(rewind: Work, work: Work) -> Replay:
        def first() -> None:
            rewind()
            work()

        return cuda_graph(rewind, first)

    data = to_device(tiny, torch.device("cuda"), 64)
    known = torch.ones(data.n_users + 1, dtype=torch.bool, device="cuda")
    step = Step(small_din(tiny).cuda().train(), data, Training(precision="float32"), known)
    steps = StaticSteps(step, Modes(capture=of_the_first_batch, check="always"))
    with pytest.warns(UserWarning, match=r"without captured steps, slower: .* replayed against"):
        run(steps, batches(data).cuda(), PACES.cuda())
    assert steps.modes.mode == "plain"


def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled steps are traced, but not translated."""
    for name, ours in (("compiled", compiled), ("compiled_batches", compiled_batches)):
        monkeypatch.setattr(f"mmctr_kit.training.neural.{name}", partial(ours, "aot_eager"))


@pytest.mark.parametrize(
    "steps", ["plain", "captured", pytest.param("compiled", marks=pytest.mark.slow)]
)
def test_the_check_changes_no_byte_of_what_is_trained(
    steps: str, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    if steps == "captured":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        capture_on_cpu(monkeypatch)
    elif steps == "compiled":
        traced(monkeypatch)
    (_, off), (trained, always) = (
        fitted(tiny, "din_demo", options(steps, check)) for check in ("off", "always")
    )
    assert trained.check == "checked"
    assert all(np.array_equal(v, always[k]) for k, v in off.items())


def wrong(model: nn.Module, batch: Batch) -> Tensor:
    return 1.01 * eager(model, batch)


@pytest.mark.usefixtures("gpu_paths")
def test_modes_are_tried_in_their_order_until_one_passes(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    with pytest.warns(UserWarning, match=r"slower: .*\(the loss by .*, against plain steps"):
        steps = checked(step_of(small_din(tiny), device_data, wrong), real)
    assert steps.modes.mode == "captured"
    assert [line.split(" steps")[0] for line in steps.modes.fallbacks] == [
        "training goes on without compiled + captured",
        "training goes on without compiled",
    ]

    def same(model: nn.Module, batch: Batch) -> Tensor:
        return eager(model, batch)

    with pytest.warns(UserWarning, match="without compiled . captured steps"):
        steps = checked(step_of(small_din(tiny), device_data, same), late)
    assert steps.modes.mode == "compiled"


@pytest.mark.usefixtures("gpu_paths")
@pytest.mark.parametrize(
    ("factors", "fault"), [([1.01], True), ([1.01, 1.0], False), ([1.06, 1.0], True)]
)
def test_a_gradient_that_differs_a_little_in_one_batch_alone_is_rounding_at_a_kink(
    factors: list[float], fault: bool, device_data: DeviceData, tiny: ChallengeData
) -> None:
    turn = iter([1.0, 1.0, *factors * 3])  # first the same batch twice

    def steeper(model: nn.Module, batch: Batch) -> Tensor:
        logit = eager(model, batch)
        return logit.detach() + next(turn, 1.0) * (logit - logit.detach())

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        steps = checked(step_of(small_din(tiny), device_data, steeper))
    assert steps.modes.mode == ("plain" if fault else "compiled")
    assert any("(gradient of" in str(each.message) for each in caught) is fault


@pytest.mark.usefixtures("gpu_paths")
def test_a_gradient_may_differ_by_what_rounding_of_the_weights_does_to_it(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    model = small_din(tiny)

    def other(model: nn.Module, batch: Batch) -> Tensor:
        return eager(model, batch)

    step = step_of(model, device_data, other)

    def off(gradient: Tensor) -> Tensor:
        """Up to 1 % off, by the last digits of the weights."""
        weights = sum(float(w.detach().double().sum()) for w in model.parameters())
        return gradient * (1 + 0.01 * math.sin(1e9 * weights + (step.forward is other)))

    for weight in model.parameters():
        weight.register_hook(off)
    steps = checked(step)
    assert (steps.modes.mode, steps.modes.fallbacks) == ("compiled", [])


class Summing(DIN):
    """Looks at dummy positions too, which no model should."""

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch) + 1e-3 * len(batch.row)


def test_a_model_that_looks_at_dummies_is_refused(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    model = small_din(tiny)
    model.__class__ = Summing
    with pytest.raises(RunError, match=r"steps of fixed size are not plain ones here \(the loss"):
        checked(step_of(model, device_data))


class NanLoss(DIN):
    def loss(self, batch: Batch, labels: Tensor) -> Tensor:
        return (self(batch) - labels).sum() * torch.nan


@pytest.mark.usefixtures("gpu_paths")
def test_a_model_that_draws_numbers_of_its_own_or_diverges_has_nothing_to_compare(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    noisy = small_din(tiny)
    noisy.mlp.append(nn.Dropout(0.3))
    diverging = small_din(tiny)
    diverging.__class__ = NanLoss
    for model in (noisy, diverging):
        steps = checked(step_of(model, device_data), real)
        assert (steps.modes.mode, steps.modes.fallbacks) == ("captured", [])


def test_a_verdict_is_found_once_for_a_machine_a_model_and_its_sizes(
    device_data: DeviceData, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_check, "describe_device", str)
    step = step_of(small_din(tiny), device_data)
    card: Any = SimpleNamespace(
        data=SimpleNamespace(device=torch.device("cuda")), precision="bf16", state=step.state
    )
    asked: list[str] = []

    def check() -> str:
        asked.append("once more")
        return "a fault"

    def found(of: int, **changed: Any) -> str:
        return verdict(
            card, replace(Modes(check="auto"), **changed), {"sizes": [of, (1, 2)]}, check
        )

    assert [found(1), found(1), found(2)] == ["a fault"] * 3
    assert len(asked) == 2
    found(1, identity={"model": "another"})
    monkeypatch.setattr(step_check, "describe_device", lambda _: "another card")
    found(1)
    assert len(asked) == 4
    assert found(1, check="always") == "a fault"
    assert len(asked) == 5
    assert found(1, check="off") == ""
    assert verdict(step, Modes(check="auto"), {}, check) == ""  # on a CPU
    assert len(asked) == 5


def test_without_memory_for_a_check_training_goes_on(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    def check() -> str:
        raise torch.OutOfMemoryError("full")

    modes = Modes(check="always")
    assert verdict(step_of(small_din(tiny), device_data), modes, {}, check) == ""
    assert modes.checked == "not checked, for want of memory"
