"""A small clean data folder in the challenge's layout, for the tests of ``data check``."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.contract import FILES

N_ITEMS = 40
Columns = dict[str, Any]
Tables = dict[str, Columns]


def pca(x: np.ndarray, width: int) -> np.ndarray:
    centred = x - x.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:width].T


def clean_tables() -> Tables:
    rng, places = np.random.default_rng(7), np.random.default_rng(8)
    latent = rng.standard_normal((N_ITEMS, 12))
    text = latent[:, :8] @ rng.standard_normal((8, 16))
    image = 0.5 * latent[:, 4:] @ rng.standard_normal((8, 14))
    v1, v2, v3 = pca(text, 8), pca(image, 8), pca(np.hstack([text, image]), 8)
    levels = rng.integers(1, 11, (2, N_ITEMS + 1))
    ids = np.arange(1, N_ITEMS + 1)
    tags = [list(range(1, 2 + i % 5)) for i in range(N_ITEMS)]
    shared = {"item_id": ids, "likes_level": levels[0, 1:], "views_level": levels[1, 1:]}
    tables: Tables = {
        "item_info": {
            "item_id": np.arange(N_ITEMS + 1),
            "item_tags": np.array([[0] * 5] + [[0] * (5 - len(t)) + t for t in tags]),
            "item_emb_d128": np.vstack([np.zeros(8), v3 + 0.01 * rng.standard_normal(v3.shape)]),
        },
        "item_feature": shared
        | {
            "item_title": [f"title {i}" for i in ids],
            "item_tags": tags,
            "txt_emb_BERT": text,
            "img_emb_CLIPRN50": image,
        },
        "item_emb": {
            "item_id": ids,
            "item_emb_d128_v1": v1,
            "item_emb_d128_v2": v2,
            "item_emb_d128_v3": v3,
            "item_emb_d128_e4": np.hstack([v1[:, :4], v2[:, :4]]),
        },
    }
    first = 1
    sequences: list[list[int]] = []
    for split, users in (("train", 60), ("valid", 10), ("test", 10)):
        picked = np.array([rng.permutation(ids)[:12] for _ in range(users)])
        lengths = rng.integers(3, 8, users)
        histories = np.where(np.arange(8) >= 8 - lengths[:, None], picked[:, :8], 0)
        sequences += [[int(i) for i in h if i] for h in histories]
        item = picked[:, 8:].reshape(-1)
        rows: Columns = {
            "user_id": np.repeat(np.arange(first, first + users), 4),
            "item_seq": np.repeat(histories, 4, axis=0),
            "item_id": item,
            "likes_level": levels[0, item],
            "views_level": levels[1, item],
        }
        places_of_ones = np.append(0, places.integers(0, 4, users - 1))
        last = (
            {"ID": np.arange(4 * users)}
            if split == "test"
            else {"label": np.eye(4, dtype=int)[places_of_ones].reshape(-1)}
        )
        tables[split] = rows | last
        first += users
    tables["item_seq"] = {"user_id": np.arange(1, first), "item_seq": sequences}
    return tables


def arrow(values: Any, as_list: bool = True) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray) and values.ndim == 2 and not as_list:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    return pa.array(list(values) if isinstance(values, np.ndarray) and values.ndim == 2 else values)


def write(folder: Path, name: str, columns: Columns, as_list: bool = True) -> None:
    path = folder / FILES[name].path
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({n: arrow(v, as_list) for n, v in columns.items()}), path)


@pytest.fixture(scope="session")
def check_tables() -> Tables:
    """The clean folder's columns by file; copy before changing."""
    return clean_tables()


@pytest.fixture(scope="session")
def write_table() -> Callable[..., None]:
    """``write(folder, name, columns, as_list=True)``."""
    return write


@pytest.fixture(scope="session")
def check_clean(check_tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    for name, columns in check_tables.items():
        write(folder, name, columns)
    return folder


@pytest.fixture
def check_folder(check_clean: Path, tmp_path: Path) -> Path:
    """A copy of the clean folder to plant a fault in."""
    return Path(shutil.copytree(check_clean, tmp_path / "data"))


@pytest.fixture
def folder(tiny_root: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data set to plant a leak in."""
    return Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))
