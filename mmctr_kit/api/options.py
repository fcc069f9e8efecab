"""Options of training that every command and function of training shares."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.activity import doing
from mmctr_kit.api.preflight import AnyPath, Settings, load_recipe, output_path, require_count
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    from mmctr_kit.cv.executors.base import Executor
    from mmctr_kit.cv.executors.settings import AnyExecutor
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.recipe import Recipe


_MOST_THREADS = 4096


@dataclass(frozen=True)
class Options:
    """Options that cross-validation, tuning and ablation share: see :func:`cross_validate`."""

    name: str | None
    settings: Settings
    device: str
    jobs: int | None
    force: bool
    runs: AnyPath
    strict: bool = False
    executor: "AnyExecutor" = "local"
    threads: int | None = None

    def __post_init__(self) -> None:
        require_count(jobs=self.jobs, threads=self.threads)
        if (self.threads or 0) > _MOST_THREADS:
            most = f"expected at most {_MOST_THREADS:,}, found {self.threads:,}"
            raise UsageError(f"threads: {most}; no machine has so many cores")

    def name_of(self, recipe: "Recipe") -> str:
        return recipe.name if self.name is None else self.name

    def load(self, recipe: "str | Path | Recipe") -> "Recipe":
        """Load the recipe with the settings applied.

        Raises UsageError as :func:`load_recipe` does; for the name of a run it says where the run's
        recipe is.
        """
        from mmctr_kit.recipe.load import find_recipe
        from mmctr_kit.runs.run import refuse_as_recipe

        if isinstance(recipe, str | Path):
            try:
                find_recipe(str(recipe))
            except UsageError:
                refuse_as_recipe(str(recipe), Path(self.runs))
                raise
        return load_recipe(recipe, self.settings)

    def path(self, name: str, data: "str | Path | ChallengeData", suffix: str = "") -> Path:
        """Return ``runs/NAME`` with ``suffix``, like ".study"; raises as output_path does."""
        device = self.device if self.executor == "local" else "auto"
        return output_path(self.runs, name, data, device, suffix)

    def require(self) -> None:
        """Raise if other machines are to train, and certainly lack what is asked for."""
        if self.executor != "local":
            self.made_executor.require()

    @cached_property
    def made_executor(self) -> "Executor":
        """The executor, made when it is first asked for.

        Raises UsageError for an unknown executor, and for a local device that is not there.
        """
        from mmctr_kit.cv.executors.settings import Ray, Slurm, settings_of

        where = self.executor
        given = settings_of(where, {}) if isinstance(where, str) else where
        wish = (self.device, self.jobs, self.threads)
        if isinstance(given, Ray):
            from mmctr_kit.cv.executors.ray import RayExecutor

            return RayExecutor(given, *wish)
        if isinstance(given, Slurm):
            from mmctr_kit.cv.executors.slurm import SlurmExecutor

            return SlurmExecutor(given, *wish)
        doing("loading PyTorch")
        from mmctr_kit.cv.executors.local import LocalExecutor
        from mmctr_kit.training.device import resolve_device

        return LocalExecutor(resolve_device(self.device), self.jobs, self.threads)
