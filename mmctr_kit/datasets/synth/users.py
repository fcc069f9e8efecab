"""Users: their histories, their groups of four rows, and the rows' true log odds.

Users come in chunks of a fixed size, each with its own random stream, so the result depends on the
seed only and not on how many chunks are drawn at once.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from mmctr_kit.data.contract import MAX_HISTORY
from mmctr_kit.datasets.synth.draw import (
    ABSENT,
    Catalogue,
    Preferences,
    block_catalogue,
    draw_group,
    draw_history,
)
from mmctr_kit.datasets.synth.oracle import group_log_odds, power_sums, row_log_odds
from mmctr_kit.datasets.synth.presets import ROWS_PER_USER
from mmctr_kit.datasets.synth.world import World, preference, user_factors
from mmctr_kit.metrics.ranks import Floats, Ints, Ints32

CHUNK_USERS = 4_096
MIN_HISTORY = 3
MEAN_EXTRA_HISTORY = 6.0
"""A history's length is MIN_HISTORY + a geometric number of this mean, at most MAX_HISTORY."""


@dataclass(frozen=True)
class Users:
    """The users of one split and their rows; an item is a slot of the World.

    ``history``        (total,) int32, user after user, the most recent last
    ``length``         (users,) int64, of each user's history
    ``item``           (rows,) int32, row r is of user r // 4
    ``label``          (rows,) int64, 1 for the positive
    ``log_odds``       (rows,) float64, row oracle
    ``group_log_odds`` (rows,) float64, group oracle, given the user's rows that exist
    """

    history: Ints32
    length: Ints
    item: Ints32
    label: Ints
    log_odds: Floats
    group_log_odds: Floats


def draw_users(
    world: World,
    rows: int,
    test: bool,
    seed: np.random.SeedSequence,
    workers: int,
    progress: Callable[[int], None],
) -> Users:
    """The users of ``rows`` rows of test, or of train and valid.

    The last user has fewer than 4 rows if ``rows`` is not a multiple of 4: the first rows of a
    whole group. ``workers`` threads share the chunks; ``progress`` gets each chunk's rows.
    """
    step = CHUNK_USERS * ROWS_PER_USER
    sizes = [min(step, rows - start) for start in range(0, rows, step)]
    work = partial(_draw_chunk, world, test, block_catalogue(world, test))
    parts: list[Users] = []
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for part in pool.map(work, sizes, seed.spawn(len(sizes))):
            parts.append(part)
            progress(len(part.item))
    return Users(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Users)))


def _draw_chunk(
    world: World, test: bool, catalogue: Catalogue, rows: int, seed: np.random.SeedSequence
) -> Users:
    rng = np.random.default_rng(seed)
    count = -(-rows // ROWS_PER_USER)
    factors = user_factors(count, world.preset, rng)
    preferences = Preferences(factors, catalogue)
    extra = rng.geometric(1 / (1 + MEAN_EXTRA_HISTORY), size=count) - 1
    # Half of the warm items at most, so that a very small catalogue is not used up.
    length = np.minimum(MIN_HISTORY + extra, min(MAX_HISTORY, world.n_warm // 2))
    history = draw_history(preferences, length, rng)
    items = draw_group(preferences, history, rng)
    positive = rng.integers(ROWS_PER_USER, size=count)
    each = np.arange(count)
    items[each, 0], items[each, positive] = items[each, positive], items[each, 0].copy()
    q = world.q(test)
    seen = history != ABSENT
    past_p = np.where(seen, preference(factors, world, history), 0.0)
    outside = preferences.target_sums() - power_sums(past_p, np.where(seen, q[history], 0.0))
    p = preference(factors, world, items)
    group = group_log_odds(p, q[items], outside)
    shown = rows - (count - 1) * ROWS_PER_USER
    last = np.s_[-1:, :shown]
    group[last] = group_log_odds(p[last], q[items[last]], outside[:, -1:])
    return Users(
        history=history[seen].astype(np.int32),
        length=length,
        item=items.ravel()[:rows].astype(np.int32),
        label=(np.arange(ROWS_PER_USER) == positive[:, None]).ravel()[:rows].astype(np.int64),
        log_odds=row_log_odds(p, q[items], outside).ravel()[:rows],
        group_log_odds=group.ravel()[:rows],
    )
