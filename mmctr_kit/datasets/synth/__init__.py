"""A data set in the challenge's layout whose best possible AUC is known.

Users and items have latent factors. Histories and positives are drawn from a softmax of their
product and the item's popularity, negatives from a mixture by popularity; text and image vectors
each show part of the items' factors. So a row's true log odds have a closed form
(:mod:`mmctr_kit.datasets.synth.oracle`), and no predictor can have a higher expected AUC.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mmctr_kit.data.contract import FILES, SPLITS, Split
from mmctr_kit.datasets.layout import write_items
from mmctr_kit.datasets.synth.bad import plant, require_share, spoil_covers, write_truth
from mmctr_kit.datasets.synth.content import Content, make_content
from mmctr_kit.datasets.synth.presets import PRESETS, Preset, find_preset
from mmctr_kit.datasets.synth.users import Users, draw_users
from mmctr_kit.datasets.synth.world import IMAGE_DIMS, World, build_world
from mmctr_kit.datasets.synth.write import FileRows, write_rows, write_sequences
from mmctr_kit.errors import UsageError
from mmctr_kit.files import new_folder
from mmctr_kit.metrics.auc import auc

__all__ = ["PRESETS", "Extras", "Preset", "SplitTruth", "Truth", "find_preset", "generate"]

_ITEM_BATCH = 8_192

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SplitTruth:
    """AUC of the best possible scores on the labels of one split.

    ``row``       true log odds of each row by itself: no model that scores rows one by one can
                  expect more
    ``group``     log odds given all rows of the user (one positive in four)
    ``item_only`` log ratio of the item's probability among positives and among negatives
    """

    row: float
    group: float
    item_only: float


@dataclass(frozen=True)
class Truth:
    """The content of ``truth/oracle.json``."""

    preset: str
    seed: int
    auc: Mapping[Split, SplitTruth]


@dataclass(frozen=True)
class Extras:
    """What a generated data set may hold beside the usual files.

    ``covers``  pictures of the items, and titles of English words, both of which follow the factors
    ``bad``     share of the items, 0 to 0.5, whose text or image is spoilt
    """

    covers: bool = False
    bad: float = 0.0


def generate(
    out: Path,
    preset: Preset,
    seed: int,
    progress: Progress = lambda _stage, _done, _total: None,
    extras: Extras = Extras(),
) -> Truth:
    """Writes ``out/data`` (the challenge's files) and ``out/truth``.

    ``truth`` holds ``test_labels.parquet`` (ID, label), ``oracle.parquet`` (split, user_id,
    item_id, occurrence, ID (null except in test), log_odds and group_log_odds float64) and
    ``oracle.json``; with bad items also ``bad_items.csv``. The same for the same preset, seed and
    extras, on any number of cores. ``progress`` is called with a stage's name, the steps done and
    their total.

    Raises UsageError if ``out`` holds anything, ``seed`` is negative or too many items are bad.
    """
    if seed < 0:
        raise UsageError(f"the seed is {seed}; expected 0 or more")
    require_share(extras.bad)
    with new_folder(out) as folder, threadpool_limits(limits=1, user_api="blas"):
        truth = _generate(folder, preset, seed, progress, extras)
        text = json.dumps(asdict(truth), indent=2, sort_keys=True)
        (folder / "truth" / "oracle.json").write_text(text + "\n", encoding="utf-8")
    return truth


def _generate(folder: Path, preset: Preset, seed: int, report: Progress, extras: Extras) -> Truth:
    data, truth = folder / "data", folder / "truth"
    for path in (*((data / f.path).parent for f in FILES.values()), truth):
        path.mkdir(parents=True, exist_ok=True)
    root = np.random.SeedSequence(seed)
    streams = root.spawn(3 + len(SPLITS))
    of_titles, of_covers, of_bad = root.spawn(3)
    workers = os.cpu_count() or 1
    report("items", 0, 1)
    world = build_world(preset, np.random.default_rng(streams[0]))
    rng = np.random.default_rng(of_bad)
    content = make_content(
        world,
        np.random.default_rng(streams[1]),
        workers,
        np.random.default_rng(of_titles) if extras.covers else None,
        lambda titles, text, image: plant(titles, text, image, extras.bad, extras.covers, rng),
    )
    write_items(data, content.feature, content.given, "v3", _ITEM_BATCH)
    report("items", 1, 1)
    if extras.covers:
        _write_covers(data, world, content, of_covers, _counter(report, "covers", preset.n_items))
    if extras.bad:
        write_truth(truth / "bad_items.csv", content.bad)
    total = sum(preset.rows(s) for s in SPLITS)
    drawn = _counter(report, "users", total)
    users = {
        s: draw_users(world, preset.rows(s), s == "test", stream, workers, drawn)
        for s, stream in zip(SPLITS, streams[3:], strict=True)
    }
    splits = _file_order(users, np.random.default_rng(streams[2]))
    written = _counter(report, "files", total)
    write_rows(data, truth, splits, world.item_id, content, written)
    write_sequences(data, splits, world.item_id)
    scores = {s: _split_truth(world, u, s == "test") for s, u in users.items()}
    return Truth(preset.name, seed, scores)


def _write_covers(
    data: Path,
    world: World,
    content: Content,
    seed: np.random.SeedSequence,
    drawn: Callable[[int], None],
) -> None:
    from mmctr_kit.datasets.synth.covers import write_covers  # Pillow, for those who ask for it

    latent = world.factors[np.argsort(world.item_id)][:, IMAGE_DIMS]
    present = np.any(content.feature["img_emb_CLIPRN50"] != 0, axis=1)
    write_covers(data, latent, present, seed, os.cpu_count() or 1, drawn)
    spoil_covers(data, content.bad)


def _counter(report: Progress, stage: str, total: int) -> Callable[[int], None]:
    """A function that adds up the rows it is called with, and reports their sum."""
    done = 0

    def add(rows: int) -> None:
        nonlocal done
        done += rows
        report(stage, done, total)

    return add


def _file_order(users: Mapping[Split, Users], rng: np.random.Generator) -> dict[Split, FileRows]:
    """Random ids for the users, and the rows in random order."""
    ends = np.cumsum([len(u.length) for u in users.values()])
    ids = np.split(rng.permutation(ends[-1]) + 1, ends[:-1])
    return {
        split: FileRows(some, user_id, rng.permutation(len(some.item)))
        for (split, some), user_id in zip(users.items(), ids, strict=True)
    }


def _split_truth(world: World, users: Users, test: bool) -> SplitTruth:
    item_only = np.log(world.popularity[users.item]) - np.log(world.q(test)[users.item])
    scores = (users.log_odds, users.group_log_odds, item_only)
    return SplitTruth(*(auc(users.label, s) for s in scores))
