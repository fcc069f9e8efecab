"""What encoders do without their libraries; with them: tests/extras."""

from types import SimpleNamespace

import pytest
import torch

from mmctr_kit.embed.encode.encoders import _hidden, _unfit_keys, pooled
from mmctr_kit.errors import UsageError

HIDDEN = torch.arange(24.0).reshape(2, 4, 3)
RIGHT = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
LEFT = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])


def test_tokens_are_pooled_without_the_padding_on_either_side() -> None:
    torch.testing.assert_close(pooled(HIDDEN, RIGHT, "mean")[0], HIDDEN[0, :3].mean(0))
    torch.testing.assert_close(pooled(HIDDEN, LEFT, "mean")[0], HIDDEN[0, 1:].mean(0))
    torch.testing.assert_close(pooled(HIDDEN, RIGHT, "last"), HIDDEN[[0, 1], [2, 3]])
    torch.testing.assert_close(pooled(HIDDEN, LEFT, "last"), HIDDEN[[0, 1], [3, 3]])
    torch.testing.assert_close(pooled(HIDDEN, RIGHT, "cls"), HIDDEN[[0, 1], [0, 0]])
    torch.testing.assert_close(pooled(HIDDEN, LEFT, "cls"), HIDDEN[[0, 1], [1, 0]])


def test_a_layer_is_counted_from_the_end_and_the_last_is_the_output() -> None:
    states = tuple(HIDDEN + layer for layer in range(4))
    made = SimpleNamespace(hidden_states=states, last_hidden_state=HIDDEN - 1)
    assert _hidden(made, -2) is states[2]
    assert _hidden(made, 0) is states[0]
    assert _hidden(made, -1) is _hidden(made, 3) is made.last_hidden_state
    with pytest.raises(UsageError, match=r"--layer -5 does not exist; expected -4\.\.3"):
        _hidden(made, -5)


def test_keys_that_do_not_fit_are_named_in_part() -> None:
    net = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(4)))
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict({"0.weight": torch.zeros(3, 2), "more": torch.zeros(1)})
    assert _unfit_keys(str(caught.value)) == (
        "missing 0.bias, 1.weight, 1.bias and 4 more; unexpected more; of another shape 0.weight"
    )
    assert _unfit_keys("no CUDA") is None
