"""Plain loops that compute every feature of a boosted model from lists.

They are written from the meanings in ``mmctr_kit/training/gbdt/matrix.py``.

The loops share no code with the package but the hash that puts users into groups. The formulas of
item-item similarities are those of ``tests/items/test_similarity.py``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import copysign, log, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.folds import user_folds
from mmctr_kit.recipe import Signals
from tests.data.test_contexts import ITEMS, last_of_each
from tests.items.test_similarity import naive, naive_ease
from tests.training.gbdt.worlds import SEED, SHRINKAGE, TAGS, Row, Vectors, World, users_of

FeatureValues = dict[str, float]
LEAST = 2
"""How many history positions must show a pair of items before the pair's lift is known."""


@dataclass
class Fold:
    """What a fold model may know.

    ``training`` holds the positions of the training rows in the world's train split, ``group`` the
    group of each training user, and ``levels_of`` the items whose levels are known.
    """

    world: World
    training: Sequence[int]
    group: Mapping[int, int]
    max_history: int
    half_life: float
    signals: Signals = field(default_factory=Signals)
    levels_of: set[int] = field(default_factory=lambda: set(range(1, ITEMS + 1)))

    @cached_property
    def rows(self) -> list[Row]:
        return [self.world.rows["train"][place] for place in self.training]

    def history(self, row: Row) -> list[int]:
        """The newest ``max_history`` items of the row's history."""
        return row.history[-self.max_history :]

    def seen(self, row: Row) -> tuple[Row, ...]:
        """The training rows that the row's features are counted from."""
        group = self.group.get(row.user)
        return tuple(r for r in self.rows if group is None or self.group[r.user] != group)

    def others(self, row: Row) -> list[list[int]]:
        """The items of each user who is seen.

        They are the newest of the longest history, then the targets with label 1 that are not in
        it, the one of the shorter history first; each item once.
        """
        longest: dict[int, list[int]] = {}
        for seen in self.seen(row):
            if len(seen.history) >= len(longest.get(seen.user, [])):
                longest[seen.user] = seen.history
        items = {user: h[-self.max_history :] for user, h in longest.items()}
        for seen in sorted(self.seen(row), key=lambda seen: len(seen.history)):
            if seen.label and seen.target not in longest[seen.user]:
                items[seen.user] = [*items[seen.user], seen.target]
        return [last_of_each(of_user) for of_user in items.values()]


def shrunk(labels: Sequence[int], prior: float, shrinkage: float = SHRINKAGE.rate) -> float:
    """The mean of the labels if ``shrinkage`` rows with the label ``prior`` are added."""
    seen, hits = len(labels), sum(labels)
    return (hits + shrinkage * prior) / (seen + shrinkage) if seen + shrinkage > 0 else prior


def make_fold(world: World, training: Sequence[int], groups: int = 0, **more: Any) -> Fold:
    """The fold of these training rows, with groups of users from the package's hash, if any."""
    users = np.array(users_of([world.rows["train"][place] for place in training]), np.int64)
    group = user_folds(users, groups, SEED).tolist() if groups else []
    return Fold(world, training, dict(zip(users.tolist(), group, strict=False)), **more)


def all_loops(
    fold: Fold, row: Row, parts: Mapping[str, Vectors], kinds: Sequence[str]
) -> FeatureValues:
    """Every feature of a row by name."""
    values = {
        **target_loops(fold.world, row),
        **length_loops(fold, row),
        **level_loops(fold, row),
        **tag_loops(fold, row),
        **count_loops(fold, row),
        **rate_loops(fold, row),
        **lift_loops(fold, row),
    }
    for name, vectors in parts.items():
        values |= part_loops(fold, row, name, vectors)
    for kind in kinds:
        values |= kind_loops(fold, row, kind)
    return values


def target_loops(world: World, row: Row) -> FeatureValues:
    tags = world.tags[row.target]
    return {
        "likes_level": row.likes if row.likes else nan,
        "views_level": row.views if row.views else nan,
        "tags": len(tags),
        "tag_rarity": max((rarity(world, tag) for tag in tags), default=nan),
    }


def length_loops(fold: Fold, row: Row) -> FeatureValues:
    history = fold.history(row)
    repeats = [item in history[:place] for place, item in enumerate(history)]
    ages = [age for age, item in enumerate(reversed(history)) if item == row.target]
    return {
        "history_length": len(history),
        "history_distinct": len(set(history)),
        "history_repeats": mean(repeats),
        "target_in_history": len(ages),
        "target_age": min(ages, default=nan),
    }


def level_loops(fold: Fold, row: Row) -> FeatureValues:
    values: FeatureValues = {}
    for name, of_target, of_item in (
        ("likes", row.likes, fold.world.likes),
        ("views", row.views, fold.world.views),
    ):
        levels = [of_item[i] * (i in fold.levels_of) for i in fold.history(row)]
        known = [level for level in levels if level]
        average = mean(known)
        values |= {
            f"history_{name}_mean": average,
            f"history_{name}_last": (levels[-1] or nan) if levels else nan,
            f"history_{name}_spread": sqrt(mean([(v - average) ** 2 for v in known])),
            f"{name}_over_history": (of_target or nan) - average,
            f"{name}_matches": mean([of_target > 0 and level == of_target for level in levels]),
        }
    return values


def tag_loops(fold: Fold, row: Row) -> FeatureValues:
    world, history = fold.world, fold.history(row)
    target_tags = world.tags[row.target]
    shared = [[tag for tag in target_tags if tag in world.tags[item]] for item in history]
    number = [len(tags) for tags in shared]
    rare = [sum(rarity(world, tag) for tag in tags) for tags in shared]
    ages = [age for age, tags in enumerate(reversed(shared)) if tags]
    covered = [any(tag in tags for tags in shared) for tag in target_tags]
    return {
        "tags_shared_mean": mean(number),
        "tags_shared_recent": recent(number, fold.half_life),
        "tags_shared_rarity_mean": mean(rare),
        "tags_shared_rarity_recent": recent(rare, fold.half_life),
        "tags_shared_rarity_top3": top3(rare),
        "tag_hits": len(ages),
        "tag_hit_share": mean([bool(tags) for tags in shared]),
        "tag_hit_age": min(ages, default=nan),
        "tags_covered": mean(covered),
        "history_tags_mean": mean([len(world.tags[item]) for item in history]),
    }


def count_loops(fold: Fold, row: Row) -> FeatureValues:
    def users_with(item: int) -> float:
        return log(1 + sum(item in items for items in fold.others(row)))

    rows = log(1 + sum(r.target == row.target for r in fold.seen(row)))
    users, of_history = users_with(row.target), [users_with(i) for i in fold.history(row)]
    return {
        "history_users": users,
        "target_rows": rows,
        "users_over_rows": users - rows,
        "history_users_mean": mean(of_history),
        "history_users_recent": recent(of_history, fold.half_life),
        "history_users_last": of_history[-1] if of_history else nan,
        "users_over_history": users - mean(of_history),
    }


def rate_loops(fold: Fold, row: Row) -> FeatureValues:
    seen, tags = fold.seen(row), fold.world.tags
    overall = mean([r.label for r in seen], 0)
    # The overall mean of tags counts a row once for each of its target's tags.
    of_tags = mean([r.label for r in seen for _ in tags[r.target]], 0)
    with_levels = [r.label for r in seen if (r.likes, r.views) == (row.likes, row.views)]
    tag_rates = [
        shrunk([r.label for r in seen if tag in tags[r.target]], of_tags)
        for tag in tags[row.target]
    ]
    item, of_history = (
        item_rate(fold, row, row.target),
        [item_rate(fold, row, i) for i in fold.history(row)],
    )
    return {
        "item_rate": item,
        "tag_rate_max": max(tag_rates, default=nan),
        "tag_rate_mean": mean(tag_rates),
        "level_rate": shrunk(with_levels, overall),
        "history_rate_mean": mean(of_history),
        "history_rate_recent": recent(of_history, fold.half_life),
        "rate_over_history": item - mean(of_history),
    }


def item_rate(fold: Fold, row: Row, item: int) -> float:
    seen = fold.seen(row)
    overall = mean([r.label for r in seen], 0)
    return shrunk([r.label for r in seen if r.target == item], overall)


def lift_loops(fold: Fold, row: Row) -> FeatureValues:
    of_tags, of_items = tag_lifts(fold, row), item_lifts(fold, row)
    return {
        "tag_lift_max": largest(of_tags),
        "tag_lift_mean": mean(of_tags),
        "tag_lift_recent": recent(of_tags, fold.half_life),
        "tag_lift_top3": top3(of_tags),
        "item_lift_max": largest(of_items),
        "item_lift_mean": mean(of_items),
        "item_lift_recent": recent(of_items, fold.half_life),
        "item_lift_sum": sum(of_items) if of_items else nan,
    }


def tag_lifts(fold: Fold, row: Row, counted: Sequence[int] = range(1, TAGS + 1)) -> list[float]:
    """For each history item, the mean lift over all pairs of a tag of the target and a tag of the
    item. Only the ``counted`` tags enter."""
    tags = {i: [t for t in of if t in counted] for i, of in fold.world.tags.items()}
    rows, hits = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for seen in fold.seen(row):
        for a in tags[seen.target]:
            for b in (b for item in fold.history(seen) for b in tags[item]):
                rows[a, b] += 1
                hits[a, b] += seen.label
    more = SHRINKAGE.pair
    overall = sum(hits.values()) / max(sum(rows.values()), 1)

    def lift(a: int, b: int) -> float:
        of_a = [pair for pair in rows if pair[0] == a]
        n, k = (sum(count[pair] for pair in of_a) for count in (rows, hits))
        usual = (k + more * overall) / (n + more)
        together = (hits[a, b] + more * usual) / (rows[a, b] + more)
        return logit(together) - logit(usual)

    target_tags = tags[row.target]
    return [mean([lift(a, b) for a in target_tags for b in tags[i]], 0) for i in fold.history(row)]


def item_lifts(fold: Fold, row: Row) -> list[float]:
    """For each history item, the lift of the target by the item; 0 if the pair is too rare."""
    usual = item_rate(fold, row, row.target)
    lifts = []
    for item in fold.history(row):
        labels = [
            seen.label
            for seen in fold.seen(row)
            if seen.target == row.target
            for other in fold.history(seen)
            if other == item
        ]
        pair = shrunk(labels, usual, SHRINKAGE.pair)
        lifts.append(logit(pair) - logit(usual) if len(labels) >= LEAST else 0.0)
    return lifts


def part_loops(fold: Fold, row: Row, name: str, vectors: Vectors) -> FeatureValues:
    history = fold.history(row)
    weights = [2 ** (-age / fold.half_life) for age in reversed(range(len(history)))]
    cosines = [cosine(vectors, row.target, item) for item in history]
    return {
        f"{name}_max": largest(cosines),
        f"{name}_mean": mean(cosines),
        f"{name}_recent": recent(cosines, fold.half_life),
        f"{name}_top3": top3(cosines),
        f"{name}_last": cosines[-1] if cosines else nan,
        f"{name}_centre": centre(vectors, row.target, history, [1.0] * len(history)),
        f"{name}_centre_recent": centre(vectors, row.target, history, weights),
        f"{name}_norm": length(vectors[row.target]) if row.target in vectors else 0.0,
        f"{name}_missing": row.target not in vectors,
    }


def bucket_loops(fold: Fold, row: Row, name: str, vectors: Vectors, buckets: int) -> FeatureValues:
    counts = [0] * buckets
    for item in fold.history(row):
        if all(any(vectors.get(i, [])) for i in (item, row.target)):
            similar = cosine(vectors, row.target, item)
            u = copysign(sqrt(abs(similar)), similar)  # buckets are equally wide in u
            counts[min(int((u + 1) / 2 * buckets), buckets - 1)] += 1
    return {f"{name}_bucket{number}": count for number, count in enumerate(counts, start=1)}


def code_loops(fold: Fold, row: Row, codes: Mapping[int, Sequence[int]]) -> FeatureValues:
    """``codes`` holds those of the items that have codes."""
    mine, levels = codes.get(row.target), len(next(iter(codes.values())))
    depths = []
    for item in fold.history(row):
        equal = [a == b for a, b in zip(mine or [], codes.get(item, []), strict=False)]
        depths.append([*equal, False].index(False))
    values: FeatureValues = {
        "codes_depth_recent": recent(depths, fold.half_life),
        "codes_age": min(
            (age for age, depth in enumerate(reversed(depths)) if depth == levels), default=nan
        ),
        "codes_missing": mine is None,
    }
    for level in range(1, levels + 1):
        values[f"codes{level}_matches"] = sum(depth >= level for depth in depths)
        values[f"codes{level}_share"] = mean([depth >= level for depth in depths])
    return values


def kind_loops(fold: Fold, row: Row, kind: str) -> FeatureValues:
    history, others, half_life = fold.history(row), fold.others(row), fold.signals.half_life
    if kind == "ease":
        weights = naive_ease(others, fold.signals.ease_l2)
        similar = [float(weights[item, row.target]) for item in history]
    else:
        similar = [naive(kind, others, row.target, item, fold.signals) for item in history]
    values = {
        f"{kind}_max": largest(similar),
        f"{kind}_mean": mean(similar),
        f"{kind}_recent": recent(similar, half_life),
        f"{kind}_top3": top3(similar),
        f"{kind}_last": similar[-1] if similar else nan,
    }
    return values | ({"ease_sum": sum(similar) if similar else nan} if kind == "ease" else {})


def rarity(world: World, tag: int) -> float:
    return log(ITEMS / sum(tag in tags for tags in world.tags.values()))


def logit(rate: float) -> float:
    rate = min(max(rate, 1e-4), 1 - 1e-4)
    return log(rate / (1 - rate))


def unit(vectors: Vectors, item: int) -> list[float]:
    """The item's vector at length 1; zeros for an item without one."""
    if item not in vectors:
        return [0.0] * len(next(iter(vectors.values()), []))
    return [value / length(vectors[item]) for value in vectors[item]]


def length(vector: Sequence[float]) -> float:
    return sqrt(sum(value**2 for value in vector))


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def cosine(vectors: Vectors, target: int, item: int) -> float:
    return dot(unit(vectors, target), unit(vectors, item))


def centre(
    vectors: Vectors, target: int, history: Sequence[int], weights: Sequence[float]
) -> float:
    """Cosine of the target's vector with the weighted sum of the history's unit vectors."""
    units = [unit(vectors, item) for item in history]
    sums = [dot(weights, column) for column in zip(*units, strict=True)]
    return dot(unit(vectors, target), sums) / length(sums) if any(sums) else nan


def mean(values: Sequence[float], otherwise: float = nan) -> float:
    return sum(values) / len(values) if values else otherwise


def recent(values: Sequence[float], half_life: float) -> float:
    weights = [2 ** (-age / half_life) for age in reversed(range(len(values)))]
    return dot(values, weights) / sum(weights) if values else nan


def largest(values: Sequence[float]) -> float:
    return max(values, default=nan)


def top3(values: Sequence[float]) -> float:
    return mean(sorted(values)[-3:])


def assert_columns(
    columns: Mapping[str, NDArray[np.floating]],
    expected: Sequence[Mapping[str, float]],
    atol: float = 2e-5,
) -> None:
    """Assert that the columns equal the values of the loops, given row by row, that NaN stands in
    the same cells, and that columns and loops have the same names."""
    for name, column in columns.items():
        assert column.dtype == np.float32, name
        loops = np.array([row[name] for row in expected], np.float64)
        np.testing.assert_allclose(column, loops, rtol=2e-4, atol=atol, err_msg=name)
    assert all(set(columns) == set(row) for row in expected)
