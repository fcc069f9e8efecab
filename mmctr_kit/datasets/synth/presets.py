"""The sizes and model constants of the generated data sets.

The constants are calibrated by simulation so that the row oracle's AUC is in 0.88..0.92 on every
split (except for the sampling error of tiny's few rows) and the AUC of the item alone in 0.6..0.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mmctr_kit.data.contract import KNOWN_ROWS_PER_USER, Split
from mmctr_kit.errors import UsageError, did_you_mean

ROWS_PER_USER = KNOWN_ROWS_PER_USER
"""Every user's group: one positive, the rest negatives."""
MIN_ITEMS = 20
"""A history may hold half of the warm items, and a group needs four others."""


@dataclass(frozen=True)
class Preset:
    """The sizes of a generated data set, then the constants of its generative model.

    ``name``               as on the command line
    ``n_items``            catalogue, ids 1..n_items
    ``train_users``        users of train, ``ROWS_PER_USER`` rows each
    ``valid_users``        users of valid
    ``test_rows``          rows of test; the last user has fewer if it is no multiple of 4
    ``n_clusters``         clusters of the items' latent factors
    ``n_tags``             tag ids 1..n_tags
    ``sharpness``          scale of the user factors (log units): larger is easier to predict
    ``popularity_spread``  standard deviation of the items' log popularity
    ``negative_mix``       share of negatives drawn by popularity, the others are uniform
    ``negative_power``     exponent on popularity in that share
    ``cold_share``         mass of the items that only test targets show
    """

    name: str
    n_items: int
    train_users: int
    valid_users: int
    test_rows: int
    n_clusters: int
    n_tags: int
    sharpness: float
    popularity_spread: float = 1.2
    negative_mix: float = 0.7
    negative_power: float = 0.75
    cold_share: float = 0.02

    def __post_init__(self) -> None:
        if self.n_items < MIN_ITEMS:
            raise ValueError(f"n_items is {self.n_items}; at least {MIN_ITEMS} are needed")

    def rows(self, split: Split) -> int:
        """Rows of a split's file."""
        users = {"train": self.train_users, "valid": self.valid_users}
        return self.test_rows if split == "test" else users[split] * ROWS_PER_USER


_PRESETS = (
    # name, items, users of train, users of valid, rows of test, clusters, tags, sharpness
    Preset("tiny", 300, 500, 100, 400, 12, 60, 2.1, negative_power=0.5, cold_share=0.01),
    Preset("demo", 2_000, 10_000, 2_500, 40_000, 40, 400, 1.9),
    Preset("full", 91_717, 900_000, 2_500, 379_142, 300, 11_739, 1.8),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in _PRESETS})


def find_preset(name: str) -> Preset:
    """The preset with that name; UsageError if there is none."""
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        raise UsageError(f"no preset '{name}'{hint}; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
