"""How fast recipes train and predict on this machine, beside what it could do at best.

Each recipe is measured in a process of its own (:mod:`mmctr_kit.bench.speed`); the official way
and ours in turn in one (:mod:`mmctr_kit.bench.versus_official`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmctr_kit.bench.official import INSTALL, installed, is_official
from mmctr_kit.bench.result import Result, Side
from mmctr_kit.bench.speed import Subject, measure
from mmctr_kit.bench.versus_official import side_by_side
from mmctr_kit.processes import run_isolated
from mmctr_kit.recipe import Recipe

__all__ = ["Setting", "as_json_of", "bench_one", "bench_side", "no_side", "official_one"]


@dataclass(frozen=True)
class Setting:
    """Where and how long: the data folder, a device ('cpu', 'cuda:0') and the threads on a CPU,
    ``steps`` to time or, where None, the ``seconds`` of each measurement."""

    folder: Path
    device: str
    threads: int
    seconds: float
    steps: int | None

    def subject(self, recipe: Recipe) -> Subject:
        return Subject(
            recipe.resolved(), self.folder, self.device, self.threads, self.seconds, self.steps
        )


def bench_one(recipe: Recipe, setting: Setting) -> Result:
    """Everything of one recipe. Raises RunError where the measuring process dies."""
    return run_isolated(measure, setting.subject(recipe), recipe.name)


def bench_side(recipe: Recipe, setting: Setting) -> Side:
    """The official way beside ours; :func:`no_side` must be None."""
    return run_isolated(side_by_side, setting.subject(recipe), recipe.name)


def no_side(recipes: Sequence[Recipe]) -> str | None:
    """Why the official way is not measured beside any of these; None where it can be."""
    if not any(is_official(recipe) for recipe in recipes):
        return "none of these recipes is the official network (din_official is)"
    return None if installed() else f"fuxictr is not installed ({INSTALL})"


def official_one(recipes: Sequence[Recipe]) -> Recipe:
    """The first recipe that is the official network."""
    return next(recipe for recipe in recipes if is_official(recipe))


def as_json_of(results: Sequence[Result], side: Side | None, why: str | None) -> dict[str, Any]:
    """All that was found and what follows from it; ``why`` there is no ``side``."""
    beside = {"side_by_side": None if side is None else _side(side), "side_by_side_left_out": why}
    return {"results": [_result(result) for result in results], **beside}


def _result(result: Result) -> dict[str, Any]:
    training, prediction = result.training, result.prediction
    found = asdict(result)
    found["training"] |= {
        "rows_per_second": training.rows_per_second,
        "epoch_seconds": training.epoch_seconds,
    }
    found["prediction"] |= {
        "rows_per_second": prediction.rows_per_second,
        "split_seconds": prediction.split_seconds,
    }
    if result.work is not None:
        shares = result.work.shares(training.rows_per_second)
        found["share_of_matrix_throughput"], found["share_of_memory_bandwidth"] = shares
    return found


def _side(side: Side) -> dict[str, Any]:
    ratios = {"times_by_clock": side.ratio("wall"), "times_by_cpu_time": side.ratio("cpu")}
    return asdict(side) | ratios
