"""English titles whose words follow an item's latent factors.

Each latent dimension that text shows has two opposed topics, one for each sign. The stronger the
dimension, the more words of its topic are in the title, strongest first. A sentence encoder places
words of a topic side by side, so its vectors show the dimension: ridge regression to each of the
twelve, cross-validated on the demo preset, has R^2 of 0.72 to 0.78 from all-MiniLM-L6-v2, and of
0.85 to 0.87 from counts of words.
"""

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.ranks import Floats

MOST_WORDS = 3
"""At most this many words of a topic are in one title."""
_WORDS_PER_UNIT = 1.0
_NOISE = 0.25
"""Standard deviation of what a title adds to each latent dimension (whose own is 1)."""
_JOINTS = (" and ", " with ", " for the ", ", ")

TOPICS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = tuple(
    (tuple(one.split()), tuple(other.split()))
    for one, other in (
        (
            "mountain hiking trail camping tent wilderness backpack summit",
            "sofa blanket fireplace knitting slippers cushion candle armchair",
        ),
        (
            "football goalkeeper stadium league penalty striker referee tournament",
            "violin orchestra symphony piano concerto cello opera choir",
        ),
        (
            "cake chocolate dessert baking pastry cookie frosting caramel",
            "salad vegetables vegan broccoli lentils smoothie spinach quinoa",
        ),
        (
            "spaceship robot alien galaxy cyborg laser planet android",
            "castle knight medieval sword kingdom queen armour cathedral",
        ),
        (
            "puppy kitten hamster paws furry pets leash whiskers",
            "engine turbo motorcycle racing exhaust gearbox tyres garage",
        ),
        (
            "beach surfing ocean tropical palm island snorkeling sunshine",
            "snow skiing ice glacier winter blizzard sledge frozen",
        ),
        (
            "ghost haunted zombie scream nightmare vampire creepy horror",
            "wedding bride romance kiss sweetheart bouquet honeymoon love",
        ),
        (
            "makeup lipstick eyeshadow perfume manicure skincare mascara hairstyle",
            "hammer drill carpentry screwdriver plywood workshop welding toolbox",
        ),
        (
            "calculus physics equation theorem lecture chemistry exam professor",
            "comedy prank joke hilarious parody clown laughing sketch",
        ),
        (
            "dance disco party nightclub choreography rhythm techno festival",
            "yoga meditation breathing mindfulness calm stretching serenity sleep",
        ),
        (
            "stocks investment bank dividend finance trading mortgage inflation",
            "garden flowers tomato seeds compost orchard harvest tulips",
        ),
        (
            "baby toddler nursery lullaby stroller diaper crib kindergarten",
            "soldier tank warfare sniper battle missile commando grenade",
        ),
    )
)
"""The words of each text dimension's positive topic, and of its negative one."""


def make_titles(latent: Floats, rng: np.random.Generator) -> list[str]:
    """A title for each row of ``latent`` (n_items, 12), the dimensions that text shows."""
    shown = latent + _NOISE * rng.standard_normal(latent.shape)
    counts = np.minimum(np.rint(_WORDS_PER_UNIT * np.abs(shown)), MOST_WORDS).astype(np.int64)
    strongest = np.argsort(-np.abs(shown), axis=1, kind="stable")
    each = np.arange(len(latent))
    counts[each, strongest[:, 0]] = np.maximum(counts[each, strongest[:, 0]], 1)
    chosen = np.argsort(rng.random((*latent.shape, len(TOPICS[0][0]))), axis=2)
    joints = rng.integers(len(_JOINTS), size=latent.shape)
    return [_title(*row) for row in zip(shown, counts, strongest, chosen, joints, strict=True)]


def _title(
    shown: Floats,
    counts: NDArray[np.int64],
    strongest: NDArray[np.int64],
    chosen: NDArray[np.int64],
    joints: NDArray[np.int64],
) -> str:
    parts = [
        " ".join(TOPICS[axis][int(shown[axis] < 0)][w] for w in chosen[axis, : counts[axis]])
        for axis in strongest
        if counts[axis]
    ]
    text = parts[0]
    for part, joint in zip(parts[1:], joints, strict=False):
        text += _JOINTS[joint] + part
    return text[:1].upper() + text[1:]
