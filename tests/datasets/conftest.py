"""One generated and one converted data set for all tests of their makers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mmctr_kit.datasets.movielens import convert
from mmctr_kit.datasets.synth import Truth, generate
from tests.datasets.movielens.made import make_source, split_tables
from tests.datasets.synth.made import SHORT


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """As in :func:`generate`; several on busy cores only wait for each other."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    out = tmp_path_factory.mktemp("synth") / "out"
    return out, generate(out, SHORT, 3)


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("movielens")
    convert(make_source(folder / "src"), folder / "out")
    return folder / "out"


@pytest.fixture(scope="session")
def all_rows(out: Path) -> dict[str, np.ndarray]:
    parts = [t.to_pandas() for t in split_tables(out).values()]
    names = ("user_id", "item_id", "label", "likes_level", "views_level", "item_seq")
    columns = {n: np.concatenate([p[n].to_numpy() for p in parts]) for n in names[:-1]}
    return columns | {"item_seq": np.concatenate([np.stack(p["item_seq"]) for p in parts])}
