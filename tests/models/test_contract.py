"""Every neural model in the registry keeps the contract, and the contract finds what breaks it."""

from typing import ClassVar

from mmctr_kit.models.registry import MODELS, model_supplies
from mmctr_kit.models.registry import NEURAL as NEURAL_LEARNER
from mmctr_kit.testing import ModelContract

NEURAL = sorted(name for name, entry in MODELS.items() if entry.learner == NEURAL_LEARNER)
KNOW_USERS = [name for name in NEURAL if "n_users" in model_supplies(name)]
"""The networks with a table of users."""


class TestEveryModel(ModelContract):
    models = NEURAL


class TestSimilarityInsideTheModel(ModelContract):
    models = ("din",)
    options: ClassVar = {"similarity_histogram": True}


class TestSimilarityInMultiHeadAttention(ModelContract):
    models = ("din",)
    options: ClassVar = {
        **TestSimilarityInsideTheModel.options,
        "attention": "multihead",
        "code_fusion": "concat",
        "code_prefix": True,
    }
