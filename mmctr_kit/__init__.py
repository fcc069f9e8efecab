"""mmctr-kit: from the MMCTR challenge's parquet files to a checked, blended submission.

The public names below are imported when they are first used, so that this import costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmctr_kit.api.data import check_data, generate_data, load_data, profile_data
    from mmctr_kit.api.preflight import load_recipe
    from mmctr_kit.api.progress import ProgressEvent
    from mmctr_kit.api.results import (
        AblationResult,
        BlendResult,
        CheckResult,
        GeneratedData,
        ProfileResult,
        StudyResult,
        Submission,
    )
    from mmctr_kit.api.runs import blend, import_predictions, leaderboard, open_run
    from mmctr_kit.api.submission import check_submission, score, write_submission
    from mmctr_kit.api.training import ablate, cross_validate, tune
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.errors import DataError, MmctrKitError, RunError, UsageError
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.models.registry import register_model
    from mmctr_kit.recipe.schema import Recipe
    from mmctr_kit.runs.run import Run

__version__ = "0.1.0"

__all__ = [
    "AblationResult",
    "BlendResult",
    "ChallengeData",
    "CheckResult",
    "DataError",
    "Estimate",
    "GeneratedData",
    "MmctrKitError",
    "ProfileResult",
    "ProgressEvent",
    "Recipe",
    "Run",
    "RunError",
    "StudyResult",
    "Submission",
    "UsageError",
    "__version__",
    "ablate",
    "blend",
    "check_data",
    "check_submission",
    "cross_validate",
    "generate_data",
    "import_predictions",
    "leaderboard",
    "load_data",
    "load_recipe",
    "open_run",
    "profile_data",
    "register_model",
    "score",
    "tune",
    "write_submission",
]

_MODULES = {
    "api.data": "check_data generate_data load_data profile_data",
    "api.progress": "ProgressEvent",
    "api.results": "AblationResult BlendResult CheckResult GeneratedData ProfileResult StudyResult "
    "Submission",
    "api.preflight": "load_recipe",
    "api.runs": "blend import_predictions leaderboard open_run",
    "api.submission": "check_submission score write_submission",
    "api.training": "ablate cross_validate tune",
    "data.dataset": "ChallengeData",
    "errors": "DataError MmctrKitError RunError UsageError",
    "metrics.estimate": "Estimate",
    "models.registry": "register_model",
    "recipe.schema": "Recipe",
    "runs.run": "Run",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmctr_kit' has no attribute {name!r}")
    return getattr(import_module(f"mmctr_kit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
