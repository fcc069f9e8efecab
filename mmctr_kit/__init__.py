"""mmctr-kit: from the MMCTR challenge's parquet files to a checked, blended submission.

The public names below are imported when they are first used, so that this import costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmctr_kit.api.bundle import Reproduction as Reproduction
    from mmctr_kit.api.bundle import bundle as bundle
    from mmctr_kit.api.bundle import reproduce as reproduce
    from mmctr_kit.api.codes import QuantisedItems as QuantisedItems
    from mmctr_kit.api.codes import quantise_items as quantise_items
    from mmctr_kit.api.data import check_data as check_data
    from mmctr_kit.api.data import generate_data as generate_data
    from mmctr_kit.api.data import load_data as load_data
    from mmctr_kit.api.data import profile_data as profile_data
    from mmctr_kit.api.export import ExportResult as ExportResult
    from mmctr_kit.api.export import export_runs as export_runs
    from mmctr_kit.api.family import train_family as train_family
    from mmctr_kit.api.imports import guess_spec as guess_spec
    from mmctr_kit.api.imports import import_data as import_data
    from mmctr_kit.api.imports import import_movielens as import_movielens
    from mmctr_kit.api.items import EncodedItems as EncodedItems
    from mmctr_kit.api.items import QualityResult as QualityResult
    from mmctr_kit.api.items import encode_items as encode_items
    from mmctr_kit.api.items import item_quality as item_quality
    from mmctr_kit.api.onnx import export_model as export_model
    from mmctr_kit.api.overview import Details as Details
    from mmctr_kit.api.overview import compare_runs as compare_runs
    from mmctr_kit.api.overview import show_run as show_run
    from mmctr_kit.api.predict import PredictedRows as PredictedRows
    from mmctr_kit.api.predict import predict as predict
    from mmctr_kit.api.preflight import load_recipe as load_recipe
    from mmctr_kit.api.progress import ProgressEvent as ProgressEvent
    from mmctr_kit.api.recipes import recipe_keys as recipe_keys
    from mmctr_kit.api.removal import remove_runs as remove_runs
    from mmctr_kit.api.report import write_report as write_report
    from mmctr_kit.api.report import write_reports as write_reports
    from mmctr_kit.api.results import AblationResult as AblationResult
    from mmctr_kit.api.results import BlendResult as BlendResult
    from mmctr_kit.api.results import CheckResult as CheckResult
    from mmctr_kit.api.results import FitResult as FitResult
    from mmctr_kit.api.results import GeneratedData as GeneratedData
    from mmctr_kit.api.results import ProfileResult as ProfileResult
    from mmctr_kit.api.results import StudyResult as StudyResult
    from mmctr_kit.api.rules import RulesResult as RulesResult
    from mmctr_kit.api.rules import check_rules as check_rules
    from mmctr_kit.api.runs import blend as blend
    from mmctr_kit.api.runs import import_predictions as import_predictions
    from mmctr_kit.api.runs import leaderboard as leaderboard
    from mmctr_kit.api.runs import open_run as open_run
    from mmctr_kit.api.score import score as score
    from mmctr_kit.api.submission import Submission as Submission
    from mmctr_kit.api.submission import check_submission as check_submission
    from mmctr_kit.api.submission import write_submission as write_submission
    from mmctr_kit.api.training import ablate as ablate
    from mmctr_kit.api.training import cross_validate as cross_validate
    from mmctr_kit.api.training import fit as fit
    from mmctr_kit.api.training import tune as tune
    from mmctr_kit.api.vectors import AlignedItems as AlignedItems
    from mmctr_kit.api.vectors import FactoredItems as FactoredItems
    from mmctr_kit.api.vectors import align_items as align_items
    from mmctr_kit.api.vectors import factor_items as factor_items
    from mmctr_kit.api.verify import Verified as Verified
    from mmctr_kit.api.verify import VerifyResult as VerifyResult
    from mmctr_kit.api.verify import verify_runs as verify_runs
    from mmctr_kit.cv.executors.settings import Ray as Ray
    from mmctr_kit.cv.executors.settings import Slurm as Slurm
    from mmctr_kit.cv.onnx import ExportedModel as ExportedModel
    from mmctr_kit.data.dataset import ChallengeData as ChallengeData
    from mmctr_kit.datasets.imports.write import ImportedData as ImportedData
    from mmctr_kit.errors import DataError as DataError
    from mmctr_kit.errors import MmctrKitError as MmctrKitError
    from mmctr_kit.errors import RunError as RunError
    from mmctr_kit.errors import UsageError as UsageError
    from mmctr_kit.metrics.estimate import Estimate as Estimate
    from mmctr_kit.models.registry import register_model as register_model
    from mmctr_kit.recipe.schema import Recipe as Recipe
    from mmctr_kit.runs.run import Run as Run
    from mmctr_kit.submission.bundle.read import Bundle as Bundle

__version__ = "0.1.0"

_MODULES = {
    "api.bundle": "Reproduction bundle reproduce",
    "api.data": "check_data generate_data load_data profile_data",
    "api.codes": "QuantisedItems quantise_items",
    "api.export": "ExportResult export_runs",
    "api.family": "train_family",
    "api.imports": "guess_spec import_data import_movielens",
    "api.items": "EncodedItems QualityResult encode_items item_quality",
    "api.vectors": "AlignedItems FactoredItems align_items factor_items",
    "api.progress": "ProgressEvent",
    "api.report": "write_report write_reports",
    "api.results": "AblationResult BlendResult CheckResult FitResult GeneratedData ProfileResult "
    "StudyResult",
    "api.overview": "Details compare_runs show_run",
    "api.onnx": "export_model",
    "api.predict": "PredictedRows predict",
    "api.preflight": "load_recipe",
    "api.removal": "remove_runs",
    "api.recipes": "recipe_keys",
    "api.runs": "blend import_predictions leaderboard open_run",
    "api.rules": "RulesResult check_rules",
    "api.score": "score",
    "api.submission": "Submission check_submission write_submission",
    "api.training": "ablate cross_validate fit tune",
    "api.verify": "Verified VerifyResult verify_runs",
    "cv.executors.settings": "Ray Slurm",
    "cv.onnx": "ExportedModel",
    "data.dataset": "ChallengeData",
    "datasets.imports.write": "ImportedData",
    "errors": "DataError MmctrKitError RunError UsageError",
    "metrics.estimate": "Estimate",
    "models.registry": "register_model",
    "recipe.schema": "Recipe",
    "runs.run": "Run",
    "submission.bundle.read": "Bundle",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmctr_kit' has no attribute {name!r}")
    return getattr(import_module(f"mmctr_kit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
