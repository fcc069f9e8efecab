"""Exact draws from a softmax over the whole catalogue, for many users at once.

The catalogue is cut into blocks of items. One float32 pass over all blocks gives each user's mass
per block; a draw picks a block by these masses and then an item inside it, so no user's whole
softmax is ever stored. float32 shifts a probability by about 1e-6 of itself.
"""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.datasets.synth.presets import ROWS_PER_USER
from mmctr_kit.datasets.synth.world import LATENT, World
from mmctr_kit.metrics.ranks import Floats, Floats32, Ints

ABSENT = -1
"""Fills histories shorter than the longest of their chunk."""
_BLOCK = 256
_PASS_USERS = 512
_SPARE_DRAWS = 2
_NEGATIVES = ROWS_PER_USER - 1
_SLOT_BITS = 32


@dataclass(frozen=True)
class Catalogue:
    """A World's items in blocks: the warm ones and, for the targets of test, the cold ones.

    ``start``       (blocks,) int64, the first slot of each block
    ``warm_blocks`` blocks that hold warm items; they come first
    ``factors``     (blocks, LATENT, 256) float32
    ``terms``       (blocks, 256, 3) float32: weight w, w q and w q^2; 0 if a block is not full
    ``q``           (n_items,) float64, where negatives come from; ``q_steps`` is its running sum
    """

    start: Ints
    warm_blocks: int
    factors: Floats32
    terms: Floats32
    q: Floats
    q_steps: Floats


def block_catalogue(world: World, test: bool) -> Catalogue:
    """The items that targets of test, or of train and valid, are drawn from."""
    n_items = len(world.weight) if test else world.n_warm
    warm = list(range(0, world.n_warm, _BLOCK))
    start = [*warm, *range(world.n_warm, n_items, _BLOCK)]
    end = [*start[1:], n_items]
    q = world.q(test)
    factors = np.zeros((len(start), LATENT, _BLOCK), np.float32)
    terms = np.zeros((len(start), _BLOCK, 3), np.float32)
    for b, (low, high) in enumerate(zip(start, end, strict=True)):
        w = world.weight[low:high]
        factors[b, :, : high - low] = world.factors[low:high].T
        terms[b, : high - low] = np.stack([w, w * q[low:high], w * q[low:high] ** 2], axis=1)
    steps = np.cumsum(q)
    return Catalogue(np.array(start), len(warm), factors, terms, q, steps / steps[-1])


class Preferences:
    """p(item | user) for ``factors`` (users, LATENT): draws from it, and sums over all items."""

    def __init__(self, factors: Floats, catalogue: Catalogue) -> None:
        self._users = factors.astype(np.float32)
        self._catalogue = catalogue
        masses, self._sums = _block_masses(self._users, catalogue)
        self._target_steps = _steps(masses)
        self._history_steps = _steps(masses[:, : catalogue.warm_blocks])

    def target_sums(self) -> Floats:
        """(6, users, 1) power sums over all items that this split's targets are drawn from."""
        q = self._catalogue.q
        of_q = np.array([q.sum(), (q * q).sum(), (q * q * q).sum()])
        users = len(self._users)
        return np.concatenate([self._sums.T, np.tile(of_q, (users, 1)).T])[:, :, None]

    def draw_negatives(self, count: int, rng: np.random.Generator) -> Ints:
        """(count, 3) int64 slots from q."""
        at = rng.random((count, _NEGATIVES))
        return np.searchsorted(self._catalogue.q_steps, at, side="right")

    def draw(self, users: Ints, rng: np.random.Generator, past: bool = False) -> Ints:
        """(draws,) int64 slots, one from p for each entry of ``users``; warm ones for the past."""
        steps = self._history_steps if past else self._target_steps
        at, inside = rng.random(len(users)), rng.random(len(users))
        blocks = steps.shape[1]
        # Row u of `steps` ends at 1, so shifting row u by u makes one increasing sequence.
        shifted = (steps + np.arange(len(steps))[:, None]).ravel()
        block = np.searchsorted(shifted, users + at, side="right") - users * blocks
        block = np.minimum(block, blocks - 1)
        order = np.argsort(block, kind="stable")
        edges = np.searchsorted(block[order], np.arange(blocks + 1))
        slots = np.empty(len(users), np.int64)
        for b in np.flatnonzero(np.diff(edges)).tolist():
            some = order[edges[b] : edges[b + 1]]
            slots[some] = self._draw_inside(b, users[some], inside[some])
        return slots

    def _draw_inside(self, block: int, users: Ints, at: Floats) -> Ints:
        mass = np.exp(self._users[users] @ self._catalogue.factors[block])
        mass *= self._catalogue.terms[block, :, 0]
        steps = np.cumsum(mass, axis=1, dtype=np.float64)
        below: Ints = (steps <= (at * steps[:, -1])[:, None]).sum(axis=1)
        first = int(self._catalogue.start[block])
        return first + below


def draw_history(preferences: Preferences, length: Ints, rng: np.random.Generator) -> Ints:
    """(users, longest) int64: ``length`` items a user in the order drawn, then ABSENT.

    Without replacement, each next item from p over what is left (Plackett-Luce); which is what
    independent draws give once the repeats are dropped.
    """
    user = np.zeros(0, np.int64)
    item = np.zeros(0, np.int64)
    missing = length
    spare = _SPARE_DRAWS
    while missing.any():
        more = np.repeat(np.arange(len(length)), np.where(missing > 0, missing + spare, 0))
        user = np.concatenate([user, more])
        item = np.concatenate([item, preferences.draw(more, rng, past=True)])
        _, first = np.unique((user << _SLOT_BITS) + item, return_index=True)
        first.sort()
        user, item = user[first], item[first]
        missing = np.maximum(length - np.bincount(user, minlength=len(length)), 0)
        spare *= 2
    by_user = np.argsort(user, kind="stable")
    user, item = user[by_user], item[by_user]
    position = np.arange(len(user)) - np.searchsorted(user, user)
    wanted = position < length[user]
    history = np.full((len(length), int(length.max())), ABSENT, np.int64)
    history[user[wanted], position[wanted]] = item[wanted]
    return history


def draw_group(preferences: Preferences, history: Ints, rng: np.random.Generator) -> Ints:
    """(users, 4) int64: a positive and three negatives, distinct and outside the history.

    A group that is not is drawn again as a whole, which is what the closed form assumes.
    """
    pending = np.arange(len(history))
    items = np.empty((len(history), 1 + _NEGATIVES), np.int64)
    while len(pending):
        positive = preferences.draw(pending, rng)
        group = np.column_stack([positive, preferences.draw_negatives(len(pending), rng)])
        items[pending] = group
        ordered = np.sort(group, axis=1)
        clash = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        for column in group.T:
            clash |= (history[pending] == column[:, None]).any(axis=1)
        pending = pending[clash]
    return items


def _block_masses(users: Floats32, catalogue: Catalogue) -> tuple[Floats, Floats]:
    """(users, blocks) float64 mass of p per block, and (users, 3) float64 sums p, p q, p q^2."""
    masses = np.empty((len(users), len(catalogue.start)))
    sums = np.zeros((len(users), 3))
    for low in range(0, len(users), _PASS_USERS):
        part = users[low : low + _PASS_USERS]
        likes = np.empty((len(part), _BLOCK), np.float32)
        for b, (factors, terms) in enumerate(zip(catalogue.factors, catalogue.terms, strict=True)):
            np.matmul(part, factors, out=likes)
            np.exp(likes, out=likes)
            block = likes @ terms
            masses[low : low + _PASS_USERS, b] = block[:, 0]
            sums[low : low + _PASS_USERS] += block
    return masses, sums


def _steps(masses: Floats) -> Floats:
    """Running sums along each row, scaled to end at 1."""
    steps = np.cumsum(masses, axis=1)
    return steps / steps[:, -1:]
