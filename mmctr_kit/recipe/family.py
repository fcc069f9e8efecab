"""Families of recipes: members that differ, to be blended, in the order of what each one adds."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Member:
    """A shipped recipe with one seed, and in a few words what it adds to the members before it.

    Its run is named by ``run``, or by the recipe if that is of the family.
    """

    recipe: str
    adds: str
    seed: int = 0
    run: str = ""

    @property
    def name(self) -> str:
        """The name of its run."""
        base = self.run or self.recipe
        return f"{base}-seed{self.seed}" if self.seed else base


FAMILIES: Mapping[str, tuple[Member, ...]] = MappingProxyType(
    {
        # To add a member: its line here, and its recipe in recipes/best/ if no other one will do. A
        # budget takes members from the top, so the order is that of expected gain per second:
        # trees, cheap and strong, then networks, then second seeds. recipes/README.md has what each
        # member added. Larger trees added nothing (0.00001 +- 0.00001 OOF AUC on ml-100k, 0.0003
        # +- 0.0001 on the demo data), and are left out.
        "best": (
            Member("gbdt", "the strongest single model", run="best_gbdt"),
            Member("best_din_ids", "a network: ids, drawn anew"),
            Member("best_din", "without ids"),
            Member("best_transformer", "a network of tokens"),
            Member("best_din_ids", "a second seed", seed=1),
            Member("best_din", "a second seed", seed=1),
            Member("best_transformer", "a second seed", seed=1),
            Member("gbdt", "a second seed", seed=1, run="best_gbdt"),
        )
    }
)
