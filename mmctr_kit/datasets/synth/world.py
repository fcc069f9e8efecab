"""The generative model's items: latent factors, popularity, and what users and negatives draw.

Items have latent factors v (LATENT,) and a weight w (popularity); a user with factors u prefers
item i with p(i | u) = w_i exp(u . v_i) / sum, and negatives come from q, a mixture of popularity
to a power and uniform (the noise distribution of Mikolov et al. 2013, with a uniform part).

Here an item is a *slot* 0..n_items - 1: warm items first, then the cold ones, which have no mass
outside the targets of test. Its public id is a random permutation, so that an id tells nothing.
"""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.datasets.synth.presets import Preset
from mmctr_kit.metrics.ranks import Floats, Ids, Ints

LATENT = 16
TEXT_DIMS = slice(0, 12)
"""The latent dimensions that text shows."""
IMAGE_DIMS = slice(4, 16)
"""The latent dimensions that images show."""
_CLUSTER_SHARE = 0.7
"""Share of the latent variance that is between clusters."""
_USER_VARIANCE = np.repeat([0.0625, 0.05, 0.0875], [4, 8, 4])
"""(LATENT,) how much each latent dimension matters to users: sums to 1, images' own dims most."""
_REFERENCE_USERS = 2_048
_TILE = 256


@dataclass(frozen=True)
class World:
    """The items of one generated data set, by slot.

    ``factors``    (n_items, LATENT) float64, whitened: mean 0, covariance the identity
    ``cluster``    (n_items,) int64
    ``weight``     (n_items,) float64, exp of the popularity term
    ``popularity`` (n_items,) float64: probability under p of the average test user
    ``q_warm``     (n_items,) float64: negatives of train and valid, 0 for cold items
    ``q_test``     (n_items,) float64: negatives of test
    ``n_warm``     number of warm slots
    ``item_id``    (n_items,) int64: the public id of each slot, a permutation of 1..n_items
    """

    preset: Preset
    factors: Floats
    cluster: Ints
    weight: Floats
    popularity: Floats
    q_warm: Floats
    q_test: Floats
    n_warm: int
    item_id: Ints

    def q(self, test: bool) -> Floats:
        """(n_items,) float64: the distribution of negatives of test, or of train and valid."""
        return self.q_test if test else self.q_warm


def build_world(preset: Preset, rng: np.random.Generator) -> World:
    """The items of ``preset``; the same for the same state of ``rng``."""
    n = preset.n_items
    cluster, factors = _clustered_factors(n, preset.n_clusters, rng)
    weight = np.exp(preset.popularity_spread * rng.standard_normal(n))
    weight /= weight.sum()
    n_warm = n - max(1, round(n * preset.cold_share))
    reference = user_factors(_REFERENCE_USERS, preset, rng)
    popularity = _mean_preference(reference, factors, weight)
    cold, warm = popularity[n_warm:].sum(), popularity[:n_warm].sum()
    weight[n_warm:] *= preset.cold_share / (1 - preset.cold_share) * warm / cold
    popularity = _mean_preference(reference, factors, weight)
    q_warm, q_test = np.zeros(n), np.zeros(n)
    q_warm[:n_warm] = _negatives(popularity[:n_warm], preset)
    q_test[:n_warm] = q_warm[:n_warm] * (1 - preset.cold_share)
    q_test[n_warm:] = _negatives(popularity[n_warm:], preset) * preset.cold_share
    ids = rng.permutation(n).astype(np.int64) + 1
    return World(preset, factors, cluster, weight, popularity, q_warm, q_test, n_warm, ids)


def user_factors(count: int, preset: Preset, rng: np.random.Generator) -> Floats:
    """(count, LATENT) float64: independent users of mean squared length ``sharpness`` squared."""
    scale = preset.sharpness * np.sqrt(_USER_VARIANCE)
    users: Floats = scale * rng.standard_normal((count, LATENT))
    return users


def preference(users: Floats, world: World, slots: Ids) -> Floats:
    """(users, m) float64: unnormalised p of the items ``slots`` (users, m) to each user."""
    scores = np.einsum("uk,umk->um", users, world.factors[slots])
    out: Floats = world.weight[slots] * np.exp(scores)
    return out


def _clustered_factors(n: int, n_clusters: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Clusters of unequal size around random centres, whitened over all items."""
    share = rng.dirichlet(np.full(n_clusters, 3.0))
    cluster = rng.choice(n_clusters, size=n, p=share).astype(np.int64)
    centres = rng.standard_normal((n_clusters, LATENT)) * np.sqrt(_CLUSTER_SHARE)
    raw = centres[cluster] + rng.standard_normal((n, LATENT)) * np.sqrt(1 - _CLUSTER_SHARE)
    raw -= raw.mean(axis=0)
    whiten = np.linalg.inv(np.linalg.cholesky(raw.T @ raw / n))
    return cluster, raw @ whiten.T


def _mean_preference(users: Floats, factors: Floats, weight: Floats) -> Floats:
    """(n_items,) float64: p averaged over ``users``."""
    total = np.zeros(len(weight))
    for low in range(0, len(users), _TILE):
        p = weight * np.exp(users[low : low + _TILE] @ factors.T)
        total += (p / p.sum(axis=1, keepdims=True)).sum(axis=0)
    return total / len(users)


def _negatives(popularity: Floats, preset: Preset) -> Floats:
    """The mixture, normalised over the given items."""
    powered = popularity**preset.negative_power
    by_popularity = preset.negative_mix / powered.sum() * powered
    mixture: Floats = by_popularity + (1 - preset.negative_mix) / len(popularity)
    return mixture
