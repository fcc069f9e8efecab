"""Tags assigned to other items are found where both files hold them, and nowhere else."""

from collections.abc import Callable

import numpy as np
import pytest

from mmctr_kit.audit.check.catalog import CHECKS
from mmctr_kit.audit.check.item_files import ItemFile
from mmctr_kit.audit.check.item_values import check_tag_alignment
from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.data.ragged import Ragged

N = 400
IDS = np.arange(1, N + 1)
Lists = list[list[int]]


def lists(tags: int = 60) -> Lists:
    rng = np.random.default_rng(5)
    return [rng.choice(tags, rng.integers(0, 8), replace=False).tolist() for _ in IDS]


def ragged(rows: Lists) -> Ragged[np.int64]:
    values = np.array([t for r in rows for t in r], np.int64)
    return Ragged.of(values, np.array([len(r) for r in rows]))


def found(info: Lists, feature: Lists) -> list[str]:
    padded = [[0] * 5, *([0] * (5 - len(r)) + r for r in info)]
    items = {
        "item_info": ItemFile(np.arange(N + 1), ragged(padded)),
        "item_feature": ItemFile(IDS, ragged(feature)),
    }
    log = Log(CHECKS)
    check_tag_alignment(items, log)
    assert all((f.id, f.level) == ("item-info-alignment", Level.FAIL) for f in log.findings())
    return [f.what for f in log.findings()]


def feature() -> Lists:
    return [[t + 1 for t in r] for r in lists()]


def cut(rows: Lists) -> Lists:
    return [r[-5:] for r in rows]


@pytest.mark.parametrize("by", [lambda r: r[1:] + r[:1], lambda r: r[::-1]])
def test_tags_shifted_or_re_sorted_are_a_fault(by: Callable[[Lists], Lists]) -> None:
    assert "belong to other items" in found(by(cut(feature())), feature())[0]


@pytest.mark.parametrize("keep", [lambda r: r[-5:], lambda r: r[:5], lambda r: r[-5:][::-1]])
def test_tags_by_id_are_none_whichever_five_are_kept_and_in_whichever_order(
    keep: Callable[[list[int]], list[int]],
) -> None:
    assert found([keep(r) for r in feature()], feature()) == []


def test_tags_numbered_otherwise_say_nothing() -> None:
    other = np.random.default_rng(1).permutation(60) + 1
    assert found([[int(other[t - 1]) for t in r] for r in cut(feature())], feature()) == []


def test_tags_too_alike_to_tell_say_nothing() -> None:
    alike = [[1, 2], [1, 3]] * (N // 2)
    assert found(alike[1:] + alike[:1], alike) == []


def test_a_few_items_that_differ_are_none() -> None:
    some = cut(feature())
    some[:20] = some[:20][::-1]
    assert found(some, feature()) == []
