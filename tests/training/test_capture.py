"""What a captured step reads and writes: replayed, it trains the model that it trains launched."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo  # notes is_compiling, so it must come before the tests replace that
from torch import Tensor

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import Recipe, load_recipe, parse_recipe
from mmctr_kit.training.data import host_stream as placement
from mmctr_kit.training.data.host_stream import OnHost
from mmctr_kit.training.learner import State
from tests.models.test_contract import NEURAL
from tests.training.learners import learner_of
from tests.training.recorded import Recorder, capture_on_cpu

NARROW = ("model.embedding_dim=4", "model.item_emb_dim=8")
SHORT = (
    *NARROW,
    "model.max_length=16",
    "model.dim_feedforward=16",
    "model.dcn_hidden=[16,8]",
    "model.mlp_hidden=[8]",
)
CASES: dict[str, tuple[str, ...]] = {
    "din_demo": (),
    "din_mha_demo": ("signals.kinds=all", "augmentation.per_user=1"),
    "dien": (*NARROW, "model.max_length=4", "model.interest_dim=4", "model.aux_hidden=[8]"),
    "din_target_encoder": (
        *NARROW,
        "model.attention_hidden=[16,8]",
        "model.mlp_hidden=[16,8]",
        "model.attention_dropout=0.1",
        "training.user_updates=rows",
        "training.embedding_regularizer=1e-4",
    ),
    "qin": NARROW,
    "target_transformer": (
        *NARROW,
        "model.max_length=16",
        "model.token_dim=8",
        "model.feedforward=8",
        "model.mlp_hidden=[8]",
        "signals.kinds=all",
    ),
    "transformer_dcn": SHORT,
    "transformer_dcn_momo": SHORT,
    "target_only": (),
    "history_length_only": (),
}


OTHERS = sorted(set(NEURAL) - {load_recipe(name).model_name for name in CASES})
"""Models without a case above: they are trained at their defaults."""


def recipe_of(case: str, training: Mapping[str, Any]) -> Recipe:
    if case in CASES:
        settings = [f"training.{key}={value}" for key, value in training.items()]
        return load_recipe(case, (*CASES[case], *settings))
    return parse_recipe({"name": case, "model": {"name": case}, "training": training}, case)


def trained(data: ChallengeData, case: str, place: str) -> list[tuple[float, State]]:
    """Two fits of one learner, the second on other users."""
    options = {
        "epochs": 1,
        "min_steps": 0,
        "batch_size": 128,
        "precision": "float32",
        "steps": "captured",
        "data_on": place,
    }
    learner = learner_of(recipe_of(case, options), data)
    found, users = [], data.train.user_id % 5
    for fold in (0, 1):
        rows = np.flatnonzero((users != fold) & (users != 4))
        (epoch,) = learner.fit(rows, np.flatnonzero(users == 4), seed=fold)
        found.append((epoch.train_loss, {k: np.array(v) for k, v in learner.weights().items()}))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("place", ["device", "host"])
@pytest.mark.parametrize("case", [*CASES, *OTHERS])
def test_a_replayed_step_trains_what_a_launched_one_does(
    case: str, place: str, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: of another fold and other chunks too, and no host waits within the step."""
    # The paths of a GPU, where what is made has a size that does not depend on the rows.
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    monkeypatch.setattr(placement, "OnHost", lambda *given: OnHost(*given, 600, 1 << 22))
    expected = trained(tiny, case, place)
    recordings = capture_on_cpu(monkeypatch)
    found = trained(tiny, case, place)
    assert len(recordings) >= 2
    for (loss, weights), (other_loss, others) in zip(found, expected, strict=True):
        assert loss == other_loss
        assert all(np.array_equal(v, others[k]) for k, v in weights.items())


def test_a_recording_sees_what_changed_where_it_lay_and_refuses_to_wait() -> None:
    given, total = torch.ones(3), torch.zeros(())

    def step(values: Tensor) -> Any:
        return total.add_((values * 2).sum())

    with Recorder() as recorder:
        step(given)
    given.fill_(5.0)
    recorder.replay()
    assert total == 36.0  # 6 as it was recorded, and 30
    with pytest.raises(RuntimeError, match="the host waits"), Recorder():
        bool(given.sum())
