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

from mmctr_kit.data.contract import FILES, GIVEN_DIM, SPLITS, SUBMISSION_ID, Split
from mmctr_kit.datasets.layout import Columns, write_file, write_items
from mmctr_kit.datasets.movielens.movies import describe
from mmctr_kit.datasets.movielens.read import Ratings, read_source
from mmctr_kit.datasets.movielens.rows import (
    MIN_HISTORY,
    SplitRows,
    assemble,
    item_levels,
    split_users,
    user_rows,
)
from mmctr_kit.errors import DataError, UsageError, plural
from mmctr_kit.files import new_folder
from mmctr_kit.metrics.ranks import Ints

MIN_USERS = 10
"""Fewer cannot be split 80/10/10."""
MAX_SEED = 2**31 - 1
TEST_LABELS = "truth/test_labels.parquet"
"""ID and label of every test row; not in the challenge's layout, and never read in training."""
_CHUNK = 65_536


@dataclass(frozen=True)
class Summary:
    """The converted data set in numbers.

    ``users`` and ``mean_history`` count each user of any split once; ``label_mean`` is over all
    rows, test rows included.
    """

    users: int
    items: int
    rows: Mapping[Split, int]
    mean_history: float
    label_mean: float
    notes: list[str]


def convert(source: Path, out: Path, seed: int = 0) -> Summary:
    """Write ``out`` from MovieLens in any of its formats (see :mod:`.read`).

    Raises UsageError for a seed out of range, a source without ratings or movies file and an
    ``out`` that holds anything; DataError for a line that cannot be read and for too few users.
    """
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed is {seed}; expected 0 to {MAX_SEED}")
    with new_folder(out) as folder:
        ratings, movies = read_source(source)
        users = list(user_rows(ratings, seed))
        if len(users) < MIN_USERS:
            raise DataError(
                f"{source} has {plural(len(users), 'user')} with at least {MIN_HISTORY + 1} "
                f"ratings of 4 or more and enough unrated items; expected at least {MIN_USERS}"
            )
        levels = item_levels(ratings, np.concatenate([u.used for u in users]))
        columns = describe(movies)
        index = split_users(np.array([u.user for u in users], np.int64), seed)
        rows = {
            s: assemble([users[i] for i in index[s]], np.random.default_rng((seed, n)))
            for n, s in enumerate(SPLITS)
        }
        _write_rows(folder, rows, levels)
        feature = columns | {name: level[1:] for name, level in levels.items()}
        text = columns["txt_emb_BERT"]
        given = np.pad(text, ((0, 0), (0, GIVEN_DIM - text.shape[1])))
        write_items(folder, feature, {"v1": given}, "v1", ratings.n_items + 1)
    return Summary(
        users=len(users),
        items=ratings.n_items,
        rows={s: len(r.item) for s, r in rows.items()},
        mean_history=float(np.mean([len(u.history) for u in users])),
        label_mean=float(np.concatenate([r.label for r in rows.values()]).mean()),
        notes=list(_notes(ratings, len(users), columns)),
    )


def _notes(ratings: Ratings, n_users: int, items: Columns) -> Iterator[str]:
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
    untitled = items["item_title"].count("")
    if untitled:
        yield f"{untitled} items have no title"
    no_text = int((~items["txt_emb_BERT"].any(axis=1)).sum())
    if no_text:
        yield f"{no_text} items have neither title nor genre; their embedding is zero"


def _write_rows(folder: Path, rows: Mapping[Split, SplitRows], levels: Mapping[str, Ints]) -> None:
    for split in SPLITS:
        path = folder / FILES[split].path
        path.parent.mkdir(exist_ok=True)
        write_file(path, split, _row_batches(rows[split], levels))
    labels = rows["test"].label
    truth = folder / TEST_LABELS
    truth.parent.mkdir()
    pq.write_table(pa.table({SUBMISSION_ID: np.arange(len(labels)), "label": labels}), truth)


def _row_batches(r: SplitRows, levels: Mapping[str, Ints]) -> Iterator[Columns]:
    for start in range(0, len(r.item), _CHUNK):
        part = slice(start, start + _CHUNK)
        item = r.item[part]
        yield {
            SUBMISSION_ID: np.arange(start, start + len(item)),
            "user_id": r.user[part],
            "item_seq": r.histories[r.user_index[part]],
            "item_id": item,
            **{name: level[item] for name, level in levels.items()},
            "label": r.label[part],
        }
