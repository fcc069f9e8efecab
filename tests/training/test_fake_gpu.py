"""mmctr_kit.training.step on a device without content: nothing of it waits, no shape depends."""

import json
import subprocess
import sys

import pytest

from tests.models.test_contract import KNOW_USERS, NEURAL


@pytest.fixture(scope="module")
def errors() -> dict[str, str]:
    command = [sys.executable, "-m", "tests.training.fake_gpu"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


CASES = [*NEURAL, *(f"{n}, few rows" for n in NEURAL), *(f"{n}, rows" for n in KNOW_USERS), "adamw"]
CASES += ["similar, mlp", "similar, multihead"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_step_of_fixed_size_never_waits_for_the_device(name: str, errors: dict[str, str]) -> None:
    assert errors[name] == ""


@pytest.mark.slow
def test_what_waits_is_found(errors: dict[str, str]) -> None:
    """The host has to learn how many history positions there are, unless it is told."""
    assert errors["no static total"].startswith("DynamicOutputShapeException")
