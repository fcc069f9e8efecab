"""Small worlds and their users, for the tests of the generator."""

from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import FILES
from mmctr_kit.data.parquet import read_table
from mmctr_kit.datasets.synth import PRESETS
from mmctr_kit.datasets.synth.content import Content, make_content
from mmctr_kit.datasets.synth.users import Users, draw_users
from mmctr_kit.datasets.synth.world import LATENT, World, build_world

TINY, DEMO = PRESETS["tiny"], PRESETS["demo"]


SHORT = replace(TINY, test_rows=398)
"""The last user of test has 2 rows."""


Floats = NDArray[np.float64]


def small_world(warm: Floats, cold: Floats, factors: Floats | None = None) -> World:
    """A few items by their weights; users differ only where ``factors`` are given."""
    weight = np.concatenate([warm, cold])
    n, n_warm = len(weight), len(warm)
    q = np.arange(1.0, n + 1) / n**2
    q_warm = np.where(np.arange(n) < n_warm, q, 0.0) / q[:n_warm].sum()
    return World(
        preset=TINY,
        factors=np.zeros((n, LATENT)) if factors is None else factors,
        cluster=np.zeros(n, np.int64),
        weight=weight,
        popularity=weight / weight.sum(),
        q_warm=q_warm,
        q_test=q / q.sum(),
        n_warm=n_warm,
        item_id=np.arange(1, n + 1),
    )


FEW = small_world(np.array([0.3, 0.05, 0.2, 0.1, 0.15, 0.12, 0.04]), np.array([0.08]))
"""Seven warm items and a cold one."""


def enumerated_log_odds(p: Floats, q: Floats, history: set[int], shown: list[int]) -> list[float]:
    """By the definition: every group outside the history, shuffled, whose first slots show."""
    positive = dict.fromkeys(shown, 0.0)
    total = 0.0
    for group in permutations(sorted(set(range(len(p))) - history), 4):
        if list(group[: len(shown)]) != shown:
            continue
        for slot in range(4):
            others = [q[i] for s, i in enumerate(group) if s != slot]
            mass = p[group[slot]] * float(np.prod(others)) / 4
            total += mass
            if slot < len(shown):
                positive[group[slot]] += mass
    return [float(np.log(positive[i] / (total - positive[i]))) for i in shown]


def simulate(world: World, rows: int, test: bool, seed: int = 0, workers: int = 2) -> Users:
    stream = np.random.SeedSequence(seed)
    return draw_users(world, rows, test, stream, workers, lambda _done: None)


@cache
def demo_world(seed: int = 0) -> World:
    return build_world(DEMO, np.random.default_rng(seed))


@cache
def demo_users() -> Users:
    return simulate(demo_world(), 40_000, test=True)


@cache
def demo_content() -> Content:
    return make_content(demo_world(), np.random.default_rng(1), workers=2)


def table(out: Path, name: str) -> dict[str, Any]:
    return read_table(out / "data", FILES[name], FILES[name].column_names)


def explained_by_ridge(x: Any, y: Floats) -> Floats:
    """(d,) R^2 of each column of ``y`` on rows that a ridge regression on ``x`` did not see."""
    x = np.asarray(x, np.float64)
    test = np.arange(len(x)) % 5 == 0
    x = x - x[~test].mean(axis=0)
    mean = y[~test].mean(axis=0)
    gram = x[~test].T @ x[~test]
    gram += 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    predicted = mean + x[test] @ np.linalg.solve(gram, x[~test].T @ (y[~test] - mean))
    out: Floats = 1 - ((y[test] - predicted) ** 2).mean(axis=0) / y[test].var(axis=0)
    return out
