"""A base recipe that trains in a fraction of a second, with a small search."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.tuning.folder import StudyFolder
from mmctr_kit.tuning.study import StudyPlan, begin_study, plan_study, search_study
from mmctr_kit.tuning.worker import Event

CONTENT = {
    "name": "small",
    "model": {
        "name": "din",
        "use_history": False,
        "embedding_dim": 4,
        "mlp_hidden": [8],
        "batch_norm": False,
    },
    "items": {"embedding": "separate_pca", "text_dim": 4, "image_dim": 4},
    "training": {"batch_size": 256, "epochs": 2, "holdout": 0.2, "learning_rate": 1e-2},
    "folds": {"count": 2},
    "search": {
        "items.embedding": {"choice": ["text", "separate_pca"]},
        "items.text_dim": {"int": [2, 16], "log": True},
        "items.image_dim": {
            "int": [2, 8],
            "step": 2,
            "when": {"items.embedding": ["separate_pca"]},
        },
        "items.whiten": {"choice": [False, True]},
        "training.learning_rate": {"float": [1e-3, 5e-2], "log": True},
        "training.epochs": {"int": [1, 3]},
    },
}


@pytest.fixture(scope="session")
def small() -> Recipe:
    return parse_recipe(CONTENT, "small")


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(yaml.safe_dump(CONTENT, sort_keys=False))
    return path


@pytest.fixture(scope="session")
def plan(small: Recipe, tiny: ChallengeData) -> StudyPlan:
    """With one worker of one thread, in this process."""
    found = plan_study(small, tiny, LocalExecutor("cpu", 1))
    return replace(found, resources=replace(found.resources, threads=1))


@pytest.fixture(scope="session")
def searched(
    plan: StudyPlan, tmp_path_factory: pytest.TempPathFactory
) -> tuple[StudyFolder, list[Event]]:
    """A study of eight trials, and what its worker told. Read only."""
    events: list[Event] = []
    folder = begin_study(plan, tmp_path_factory.mktemp("runs") / "small.study", False)[0]
    search_study(plan, folder, 8, None, events.append)
    return folder, events
