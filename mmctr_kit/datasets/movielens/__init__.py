"""MovieLens ratings as a data set in the challenge's layout, with real users and real titles.

Positives are ratings of at least 4 stars; rows are made in :mod:`.rows`, item files in
:mod:`.movies`. There are no images: item_feature has no image column and item_emb only v1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmctr_kit.data.contract import (
    FILES,
    GIVEN_DIM,
    MAX_HISTORY,
    MAX_TAGS,
    SPLITS,
    SUBMISSION_ID,
    Split,
)
from mmctr_kit.datasets.movielens.movies import ItemContent, describe
from mmctr_kit.datasets.movielens.read import MovieLens, Ratings, read_source
from mmctr_kit.datasets.movielens.rows import (
    MIN_HISTORY,
    Levels,
    Options,
    SplitRows,
    UserRows,
    assemble,
    item_levels,
    split_users,
    user_rows,
)
from mmctr_kit.errors import DataError, UsageError, plural
from mmctr_kit.files import new_folder

MIN_USERS = 10
"""Fewer cannot be split 80/10/10."""

MAX_SEED = 2**31 - 1

TEST_LABELS = "truth/test_labels.parquet"
"""ID and label of every test row; not in the challenge's layout, and never read in training."""

_CHUNK = 65_536


@dataclass(frozen=True)
class Summary:
    """What was written. ``users`` and ``mean_history`` count each user of any split once;
    ``label_mean`` is over all rows, test rows included."""

    users: int
    items: int
    rows: Mapping[Split, int]
    mean_history: float
    label_mean: float
    notes: list[str]


def convert(
    source: Path,
    out: Path,
    seed: int = 0,
    *,
    target_share: float = 0.4,
    max_targets: int = 40,
    negatives_per_positive: int = 3,
    low_share: float = 0.5,
) -> Summary:
    """Write ``out`` from MovieLens in any of its formats (see :mod:`.read`).

    A user's last ``target_share`` of positives, at most ``max_targets``, become targets, each with
    ``negatives_per_positive`` negatives, of which at most ``low_share`` are the user's later
    ratings of 3 or less and the rest are unrated items drawn by popularity.

    Raises UsageError for a wrong option, a source without ratings or movies file and an ``out``
    that holds anything; DataError for a line that cannot be read and for too few users.
    """
    options = Options(target_share, max_targets, negatives_per_positive, low_share)
    _check(options, seed)
    with new_folder(out) as folder:
        data = read_source(source)
        users = list(user_rows(data.ratings, options, seed))
        if len(users) < MIN_USERS:
            raise DataError(
                f"{source} has {plural(len(users), 'user')} with at least {MIN_HISTORY + 1} "
                f"ratings of 4 or more and enough unrated items; expected at least {MIN_USERS}"
            )
        levels = item_levels(data.ratings, np.concatenate([u.used for u in users]))
        items = describe(data.movies)
        rows = _splits(users, seed)
        _write_rows(folder, rows, levels)
        _write_items(folder, items, levels)
    return _summary(data, users, rows, items)


def _check(options: Options, seed: int) -> None:
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed is {seed}; expected 0 to {MAX_SEED}")
    if not 0 < options.target_share < 1:
        raise UsageError(f"target share is {options.target_share}; expected between 0 and 1")
    if not 0 <= options.low_share <= 1:
        raise UsageError(f"low share is {options.low_share}; expected from 0 to 1")
    if options.max_targets < 1 or options.negatives_per_positive < 1:
        raise UsageError(
            f"found {options.max_targets} targets a user and {options.negatives_per_positive} "
            f"negatives a positive; expected at least 1 each"
        )


def _splits(users: list[UserRows], seed: int) -> dict[Split, SplitRows]:
    index = split_users(np.array([u.user for u in users], np.int64), seed)
    return {
        s: assemble([users[i] for i in index[s]], np.random.default_rng((seed, n)))
        for n, s in enumerate(SPLITS)
    }


def _summary(
    data: MovieLens,
    users: list[UserRows],
    rows: Mapping[Split, SplitRows],
    items: ItemContent,
) -> Summary:
    labels = np.concatenate([r.label for r in rows.values()])
    return Summary(
        users=len(users),
        items=data.ratings.n_items,
        rows={s: len(r.item) for s, r in rows.items()},
        mean_history=float(np.mean([len(u.history) for u in users])),
        label_mean=float(labels.mean()),
        notes=list(_notes(data.ratings, len(users), items)),
    )


def _notes(ratings: Ratings, n_users: int, items: ItemContent) -> Iterator[str]:
    yield "image absent: item_feature has no img_emb_CLIPRN50, item_emb has only v1 (text)"
    yield f"test labels are in {TEST_LABELS}, which is no part of the challenge's layout"
    dropped = len(np.unique(ratings.user)) - n_users
    if dropped:
        yield (
            f"{dropped} users left out: fewer than {MIN_HISTORY + 1} ratings of 4 or more, or too "
            f"few unrated items for their negatives"
        )
    if ratings.repeated:
        yield f"{ratings.repeated} ratings left out: the same user rated the item again later"
    untitled = items.titles.count("")
    if untitled:
        yield f"{untitled} items have no title"
    no_text = int((~items.text.any(axis=1)).sum())
    if no_text:
        yield f"{no_text} items have neither title nor genre; their embedding is zero"


def _write_rows(folder: Path, rows: Mapping[Split, SplitRows], levels: Levels) -> None:
    for split in SPLITS:
        path = folder / FILES[split].path
        path.parent.mkdir(exist_ok=True)
        r = rows[split]
        writer: pq.ParquetWriter | None = None
        for start in range(0, len(r.item), _CHUNK):
            table = _row_table(split, r, levels, start, min(start + _CHUNK, len(r.item)))
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
    labels = rows["test"].label
    truth = folder / TEST_LABELS
    truth.parent.mkdir()
    pq.write_table(pa.table({SUBMISSION_ID: np.arange(len(labels)), "label": labels}), truth)


def _row_table(split: Split, r: SplitRows, levels: Levels, start: int, end: int) -> pa.Table:
    item = r.item[start:end]
    columns = {
        SUBMISSION_ID: np.arange(start, end),
        "user_id": r.user[start:end],
        "item_seq": _arrays(r.histories[r.user_index[start:end]], MAX_HISTORY),
        "item_id": item,
        "likes_level": levels.likes[item],
        "views_level": levels.views[item],
        "label": r.label[start:end],
    }
    return pa.table({n: columns[n] for n in FILES[split].column_names})


def _write_items(folder: Path, items: ItemContent, levels: Levels) -> None:
    n = len(items.titles)
    ids = np.arange(1, n + 1)
    padding_row = ((1, 0), (0, 0))
    info = {
        "item_id": np.arange(n + 1),
        "item_tags": _arrays(np.pad(items.tags.padded(MAX_TAGS), padding_row), MAX_TAGS),
        "item_emb_d128": _arrays(np.pad(items.given.astype(np.float64), padding_row), GIVEN_DIM),
    }
    feature = {
        "item_id": ids,
        "item_title": items.titles,
        "item_tags": pa.ListArray.from_arrays(
            pa.array(items.tags.offsets, pa.int32()), pa.array(items.tags.values)
        ),
        "likes_level": levels.likes[1:],
        "views_level": levels.views[1:],
        "txt_emb_BERT": _arrays(items.text, items.text.shape[1]),
    }
    emb = {"item_id": ids, "item_emb_d128_v1": _arrays(items.given, GIVEN_DIM)}
    for name, columns in (("item_info", info), ("item_feature", feature), ("item_emb", emb)):
        pq.write_table(pa.table(columns), folder / FILES[name].path)


def _arrays(
    values: NDArray[np.int64] | NDArray[np.float32] | NDArray[np.float64], width: int
) -> pa.Array:
    """(rows, width) as a column of fixed-size arrays."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width)
