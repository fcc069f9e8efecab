"""What an ablation will cost before it begins, measured run by run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmctr_kit.ablation.status import cost_file
from mmctr_kit.ablation.variants import Ablation
from mmctr_kit.cv.estimate import Meter, PlanCost
from mmctr_kit.cv.model_cost import LATENCY_SECONDS, cached_cost


@dataclass(frozen=True)
class AblationCost:
    """What an ablation will still cost, in seconds on the clock.

    ``runs`` are those to train, by name. ``measuring`` is how long the speed and the latency of
    all models that were not measured before take at most, unless requests are very slow.
    """

    runs: Mapping[str, PlanCost]
    measuring: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(cost.seconds for cost in self.runs.values()) + self.measuring


def ablation_cost(ablation: Ablation, folder: Path, finished: Collection[str]) -> AblationCost:
    """Measure the cost of each run that is not finished; raises as :meth:`Meter.cost` does."""
    with Meter() as meter:
        runs = {n: meter.cost(plan) for n, plan in ablation.runs.items() if n not in finished}
    known = [
        name
        for name, plan in ablation.runs.items()
        if name in finished and cached_cost(plan, folder / cost_file(name)) is not None
    ]
    start = max((cost.start for cost in runs.values()), default=0.0)
    measuring = (len(ablation.runs) - len(known)) * (start + LATENCY_SECONDS)
    return AblationCost(runs, measuring)
