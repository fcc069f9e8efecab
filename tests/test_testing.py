"""mmctr_kit.testing: the contract finds models that break it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmctr_kit import testing
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.blocks import embedding
from mmctr_kit.testing import ModelContract

Break = Callable[["Mine", Batch, Tensor], Tensor]


class Mine(nn.Module):
    """A small model that keeps the contract, unless ``broken`` changes its logits."""

    broken: Break | None = None
    kind = torch.float32

    def __init__(self, *, item_tags: Tensor) -> None:
        super().__init__()
        self.item = embedding(len(item_tags), 16)
        self.level = embedding(11, 16)
        self.head = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 1))

    def forward(self, batch: Batch) -> Tensor:
        vectors = torch.cat([self.item(batch.item), self.level(batch.likes_level)], dim=1)
        logit = self.head(vectors).squeeze(-1)
        return (logit if self.broken is None else self.broken(batch, logit)).to(self.kind)


TESTS = sorted(name for name in vars(ModelContract) if name.startswith("test_"))
WITHOUT_GPU = [name for name in TESTS if name != "test_cpu_and_gpu_agree"]


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> type[Mine]:
    """The class of the model ``mine``, for this test alone."""

    class Fresh(Mine):
        pass

    monkeypatch.setattr(testing, "model_class", lambda _name: Fresh)
    monkeypatch.setattr(testing, "model_supplies", lambda _name: ("item_tags",))
    return Fresh


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize("test", WITHOUT_GPU)
def test_a_model_that_keeps_the_contract_passes(test: str) -> None:
    getattr(ModelContract(), test)("mine")


BREAKS: dict[str, Break] = {
    "test_neither_amount_nor_content_of_dummies_changes_the_logits": lambda _, batch, logit: (
        logit + batch.history.float().mean() / 60
    ),
    "test_dummies_change_neither_loss_nor_gradient": lambda _, batch, logit: (
        logit * len(batch.history) / 100
    ),
    "test_the_order_of_rows_in_a_batch_changes_nothing": lambda _, __, logit: logit.cumsum(0),
    "test_rows_predicted_one_by_one_equal_rows_predicted_together": lambda _, __, logit: (
        logit - logit.mean()
    ),
    "test_known_lengths_of_histories_change_nothing": lambda _, batch, logit: (
        logit + len(batch.buckets)
    ),
    "test_a_row_without_history_has_a_finite_logit": lambda _, batch, logit: (
        logit / batch.offsets.diff()
    ),
    "test_logits_are_one_float_a_row": lambda _, __, logit: logit[:, None],
    "test_gradient_reaches_every_parameter": lambda _, __, logit: logit.detach().requires_grad_(),
    "test_sixty_four_rows_can_be_overfitted": lambda _, __, logit: 0.1 * logit.tanh(),
    "test_a_user_is_known_by_the_rows_of_user_tables_alone": lambda _, batch, logit: (
        logit + batch.user
    ),
    "test_compiled_and_eager_agree": lambda _, __, logit: (
        logit * 2 if torch.compiler.is_compiling() else logit
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("test", BREAKS)
def test_a_model_that_breaks_the_contract_fails(test: str, mine: type[Mine]) -> None:
    mine.broken = BREAKS[test]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(ModelContract(), test)("mine")


def test_a_model_may_be_exempt_for_a_reason_but_from_known_parts_only(mine: Any) -> None:
    mine.exempt = {"overfit": "it has no weights"}
    with pytest.raises(pytest.skip.Exception, match="mine, overfit: it has no weights"):
        ModelContract().test_sixty_four_rows_can_be_overfitted("mine")
    mine.exempt = {"everything": "it is hard"}
    with pytest.raises(AssertionError, match=r"mine\.exempt: expected keys of .*everything"):
        ModelContract().test_sixty_four_rows_can_be_overfitted("mine")
