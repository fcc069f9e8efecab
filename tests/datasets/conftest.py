"""One generated data set for all tests of its makers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from mmctr_kit.datasets.synth import Truth, generate
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
