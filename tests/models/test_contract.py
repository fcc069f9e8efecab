"""Every neural model in the registry keeps the contract, and the contract finds what breaks it."""

from mmctr_kit.models.registry import MODELS, model_supplies
from mmctr_kit.models.registry import NEURAL as NEURAL_LEARNER
from mmctr_kit.testing import ModelContract

NEURAL = sorted(name for name, entry in MODELS.items() if entry.learner == NEURAL_LEARNER)
KNOW_USERS = [name for name in NEURAL if "n_users" in model_supplies(name)]
"""The networks with a table of users."""


class TestEveryModel(ModelContract):
    models = NEURAL
