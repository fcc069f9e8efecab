"""Leaks and shifts planted in generated data, each named by the profile or by the check; clean
data raises nothing."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.audit.check import CHECKS, check_data
from mmctr_kit.audit.findings import Level
from mmctr_kit.audit.profile import PROBES, causes, profile_data, quick_profile
from mmctr_kit.audit.profile.boosted import crossfit_scores, important_columns
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.errors import DataError

Columns = dict[str, Any]


@contextmanager
def edited(folder: Path, name: str) -> Iterator[Columns]:
    """The columns of a file as arrays, written back when the block ends."""
    path = folder / FILES[name].path
    table = pq.read_table(path)
    columns: Columns = {}
    for column, kind in zip(table.column_names, table.schema.types, strict=True):
        values = table.column(column).combine_chunks()
        if pa.types.is_fixed_size_list(kind):
            columns[column] = values.flatten().to_numpy().reshape(len(values), -1).copy()
        elif pa.types.is_integer(kind):
            columns[column] = values.to_numpy().copy()
        else:
            columns[column] = values
    yield columns
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(v)), np.shape(v)[1])
        if isinstance(v, np.ndarray) and v.ndim == 2
        else pa.array(v)
        for v in columns.values()
    ]
    pq.write_table(pa.Table.from_arrays(arrays, list(columns)), path)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def targets_into_histories(folder: Path) -> None:
    for name in ("train", "valid"):
        with edited(folder, name) as c:
            hit = c["label"] == 1
            c["item_seq"][hit, -1] = c["item_id"][hit]


def the_users_positive_into_all_their_histories(folder: Path) -> None:
    with edited(folder, "train") as c:
        of_user = dict(zip(*(c[n][c["label"] == 1] for n in ("user_id", "item_id")), strict=True))
        c["item_seq"][:, -1] = [of_user[u] for u in c["user_id"].tolist()]


def users_of_train_in_valid(folder: Path) -> None:
    with edited(folder, "train") as c:
        some = np.unique(c["user_id"])[:5]
    with edited(folder, "valid") as c:
        own = np.unique(c["user_id"])[:5]
        for old, new in zip(own, some, strict=True):
            c["user_id"][c["user_id"] == old] = new


def parity_of_the_item_is_the_label(share: float) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        for name in ("train", "valid"):
            with edited(folder, name) as c:
                item = c["item_id"]
                hit = (rng().random(len(item)) < share) & (item > 1) & (item < 300)
                item[hit] = (item // 2 * 2 + c["label"])[hit]

    return plant


def positives_have_items_of_their_own(folder: Path) -> None:
    for name in ("train", "valid"):
        with edited(folder, name) as c:
            half = rng().permutation(300) + 1
            place = np.argsort(half)[c["item_id"] - 1] // 2
            c["item_id"] = half[2 * place + c["label"]]


def items_that_are_never_a_negative(folder: Path) -> None:
    with edited(folder, "train") as c:
        popular = np.argsort(-np.bincount(c["item_id"]))[:40]
        wrong = np.isin(c["item_id"], popular) & (c["label"] == 0)
        others = np.setdiff1d(np.arange(1, 301), popular)
        c["item_id"][wrong] = rng().choice(others, int(wrong.sum()))


def levels_counted_with_the_label(folder: Path) -> None:
    with edited(folder, "train") as c:
        c["views_level"] = np.minimum(10, c["views_level"] + c["label"])


def valid_is_train_under_new_ids(longer: int) -> Callable[[Path], None]:
    """``longer``: the copies' histories have so many items more."""

    def plant(folder: Path) -> None:
        with edited(folder, "train") as c:
            order = np.argsort(c["user_id"], kind="stable")[:40]
            copied = {n: v[order] for n, v in c.items()}
        with edited(folder, "valid") as c:
            for name in ("item_seq", "item_id", "label", "likes_level", "views_level"):
                c[name][:40] = copied[name]
            c["user_id"][:40] = 10**6 + copied["user_id"]
            if longer:
                past = c["item_seq"][:40]
                c["item_seq"][:40] = np.hstack([past[:, 1:], (past[:, -1:] % 300) + 1])

    return plant


def users_twice_within_train(folder: Path) -> None:
    with edited(folder, "train") as c:
        order = np.argsort(c["user_id"], kind="stable")[:80]
        for name, values in c.items():
            more = values[order] + 10**6 if name == "user_id" else values[order]
            c[name] = np.concatenate([values, more])


def test_rows_twice(folder: Path) -> None:
    with edited(folder, "test") as c:
        for name, values in c.items():
            c[name] = np.concatenate([values, values[:20]])
        c["ID"] = np.arange(len(c["ID"]))


def positives_have_shorter_histories(folder: Path) -> None:
    with edited(folder, "train") as c:
        c["item_seq"][c["label"] == 1, :-3] = 0


def rows_sorted_by_label(folder: Path) -> None:
    with edited(folder, "train") as c:
        order = np.argsort(c["label"], kind="stable")
        c.update({n: v[order] for n, v in c.items()})


def positive_first_of_each_user(folder: Path) -> None:
    with edited(folder, "train") as c:
        order = np.lexsort((-c["label"], c["user_id"]))
        c.update({n: v[order] for n, v in c.items()})


def positive_second_of_each_user_shuffled_users(folder: Path) -> None:
    """No trend and no first place: the users' rows are apart, the positive is their second."""
    with edited(folder, "train") as c:
        order = np.lexsort((rng().random(len(c["label"])), c["user_id"])).reshape(-1, 4)
        at = np.argmax(c["label"][order] == 1, axis=1)
        each = np.arange(len(order))
        order[each, at], order[each, 1] = order[each, 1].copy(), order[each, at].copy()
        c.update({n: v[order.T.ravel()] for n, v in c.items()})


def valid_of_short_histories(folder: Path) -> None:
    with edited(folder, "valid") as c:
        c["item_seq"][:, :-3] = 0


def test_of_other_items(folder: Path) -> None:
    with edited(folder, "test") as c:
        hit = rng().random(len(c["item_id"])) < 0.4
        c["item_id"][hit] = rng().integers(1, 30, int(hit.sum()))


def vectors_of_other_items(name: str, *columns: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        with edited(folder, name) as c:
            first = 1 if name == "item_info" else 0
            order = np.r_[np.arange(first), first + rng().permutation(300)]
            for column in columns:
                c[column] = c[column][order]

    return plant


def alone(name: str, plant: Callable[[Path], None]) -> Callable[[Path], None]:
    """The fault where no other embedding file is there to compare with."""

    def both(folder: Path) -> None:
        plant(folder)
        for other in ("item_feature", "item_emb"):
            if other != name:
                (folder / FILES[other].path).unlink()

    return both


def vectors_shifted_by_one(folder: Path) -> None:
    with edited(folder, "item_info") as c:
        c["item_emb_d128"][1:] = np.roll(c["item_emb_d128"][1:], 1, axis=0)


@dataclass(frozen=True)
class Leak:
    """``plant`` changes the folder; ``named`` is the probe, or the check, that must name it."""

    plant: Callable[[Path], None]
    named: str

    def __str__(self) -> str:
        return f"{self.named}: {self.plant.__qualname__.replace('.<locals>.', ' ')}"


INFO = vectors_of_other_items("item_info", "item_emb_d128")
GIVEN = vectors_of_other_items("item_emb", *(f"item_emb_d128_{v}" for v in ("v1", "v2", "v3")))
TEXT = vectors_of_other_items("item_feature", "txt_emb_BERT")
IMAGE = vectors_of_other_items("item_feature", "img_emb_CLIPRN50")

LEAKS = [
    Leak(targets_into_histories, "target-in-history"),
    Leak(the_users_positive_into_all_their_histories, "target-in-history"),
    Leak(users_of_train_in_valid, "split-users"),
    Leak(parity_of_the_item_is_the_label(1.0), "item-code"),
    Leak(parity_of_the_item_is_the_label(0.3), "item-code"),
    Leak(positives_have_items_of_their_own, "item-label"),
    Leak(positives_have_items_of_their_own, "target-side"),
    Leak(items_that_are_never_a_negative, "item-purity"),
    Leak(levels_counted_with_the_label, "level-label"),
    Leak(valid_is_train_under_new_ids(0), "sibling-rows"),
    Leak(valid_is_train_under_new_ids(1), "sibling-rows"),
    Leak(users_twice_within_train, "sibling-rows"),
    Leak(test_rows_twice, "duplicate-rows"),
    Leak(positives_have_shorter_histories, "history-label"),
    Leak(rows_sorted_by_label, "row-order"),
    Leak(positive_first_of_each_user, "row-order"),
    Leak(positive_second_of_each_user_shuffled_users, "row-order"),
    Leak(valid_of_short_histories, "split-shift"),
    Leak(test_of_other_items, "popularity-shift"),
    Leak(INFO, "item-info-alignment"),
    Leak(INFO, "embedding-order"),
    Leak(alone("item_info", INFO), "embedding-order"),
    Leak(alone("item_info", vectors_shifted_by_one), "embedding-order"),
    Leak(GIVEN, "item-info-alignment"),
    Leak(alone("item_emb", GIVEN), "embedding-order"),
    Leak(TEXT, "item-feature-alignment"),
    Leak(alone("item_feature", TEXT), "embedding-order"),
    Leak(alone("item_feature", IMAGE), "embedding-order"),
]


@pytest.fixture
def folder(tiny_root: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data set to plant a leak in."""
    return Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))


SLOW = {"split-shift", "target-side", "embedding-order"}
ASKED_BY_CHECK = {
    "history-label",
    "item-label",
    "item-purity",
    "item-code",
    "level-label",
    "row-order",
    "popularity-shift",
}


def suspicions(folder: Path, quick: bool = False) -> set[str]:
    verdicts = quick_profile(load(folder)) if quick else profile_data(folder)
    return {v.measurement.probe for v in verdicts if v.suspicious}


@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_planted_leak_is_named(leak: Leak, folder: Path) -> None:
    leak.plant(folder)
    if leak.named in PROBES:
        assert leak.named in suspicions(folder, quick=leak.named not in SLOW)
    else:
        found = [f for f in check_data(folder) if f.id == leak.named]
        assert any(f.level is not Level.PASS for f in found)


@pytest.mark.parametrize("leak", [leak for leak in LEAKS if leak.named in ASKED_BY_CHECK], ids=str)
def test_the_check_names_what_the_quick_probes_suspect(leak: Leak, folder: Path) -> None:
    leak.plant(folder)
    found = [f for f in check_data(folder) if f.id == "leaks"]
    assert any(f.level is Level.WARN and f.what.startswith(f"{leak.named} (") for f in found)
    assert all(f.todo for f in found)


def test_the_check_asks_the_profile_of_clean_data_and_of_none_that_fails(folder: Path) -> None:
    (clean,) = [f for f in check_data(folder) if f.id == "leaks"]
    assert clean.level is Level.PASS
    assert "quick probes, none suspicious" in clean.what
    (folder / "item_seq.parquet").write_bytes(b"PAR1")
    (not_run,) = [f for f in check_data(folder) if f.id == "leaks"]
    assert not_run.level is Level.WARN
    assert not_run.what.startswith("not run")


def test_the_check_counts_only_measurements_that_could_be_made(folder: Path) -> None:
    def measurements() -> int:
        (found,) = [f for f in check_data(folder) if f.id == "leaks"]
        assert found.level is Level.PASS
        return int(found.what.split()[0])

    before = measurements()
    with edited(folder, "train") as c:  # rows of one user tell nothing of their order
        c["user_id"] = np.full(len(c["user_id"]), int(c["user_id"][0]))
    assert measurements() < before


def test_the_check_too_names_users_under_two_ids(folder: Path) -> None:
    valid_is_train_under_new_ids(0)(folder)
    (found,) = [f for f in check_data(folder) if f.id == "split-users"]
    assert found.level is Level.WARN
    assert "10 users of valid with the history of a user of train" in found.what


def test_the_check_reports_targets_in_histories_apart_by_label(folder: Path) -> None:
    targets_into_histories(folder)
    found = [f.what for f in check_data(folder) if f.id == "target-in-history"]
    assert "train: 25.00% of the targets are in their own row's history" in found[0]
    assert found[0].endswith(", of label 0 0.00%, of label 1 100.00%")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clean_data_raises_no_suspicion_and_no_warning(seed: int, tmp_path: Path) -> None:
    generate(tmp_path / "world", PRESETS["tiny"], seed)
    assert suspicions(tmp_path / "world" / "data") == set()
    assert {f.level for f in check_data(tmp_path / "world" / "data")} <= {Level.PASS, Level.WARN}


def test_every_leak_is_named_by_something_that_exists() -> None:
    assert {leak.named for leak in LEAKS} <= set(PROBES) | set(CHECKS)


def test_every_probe_has_a_leak_that_it_names() -> None:
    assert set(PROBES) <= {leak.named for leak in LEAKS}


def test_the_quick_profile_reads_the_same_and_leaves_out_what_fits_a_model(
    tiny_root: Path,
) -> None:
    whole = [v.measurement for v in profile_data(tiny_root / "data")]
    quick = [v.measurement for v in quick_profile(load(tiny_root / "data"))]
    assert [str(r) for r in whole if r.probe not in SLOW] == [str(r) for r in quick]


def test_only_what_can_part_oof_from_valid_is_a_cause(folder: Path) -> None:
    valid_is_train_under_new_ids(0)(folder)
    rows_sorted_by_label(folder)
    assert suspicions(folder, quick=True) == {"sibling-rows", "row-order"}
    named = causes(load(folder))
    assert [line.partition(":")[0] for line in named] == ["sibling-rows (train/valid)"]
    assert "one user has two ids" in named[0]


def test_clean_data_has_no_cause(tiny: ChallengeData) -> None:
    assert causes(tiny) == []


def test_data_too_small_for_a_profile_has_no_cause_either(folder: Path) -> None:
    with edited(folder, "train") as c:
        c.update({n: v[:3] for n, v in c.items()})
    assert causes(load(folder)) == []


def without_histories(folder: Path) -> None:
    for name in ("train", "valid", "test"):
        with edited(folder, name) as c:
            c["item_seq"][:] = 0


def of_one_item(folder: Path) -> None:
    for name in ("train", "valid", "test"):
        with edited(folder, name) as c:
            c["item_id"][:] = 7


def without_vectors(folder: Path) -> None:
    with edited(folder, "item_info") as c:
        c["item_emb_d128"][:] = 0


def of_one_row_a_user(folder: Path) -> None:
    for name in ("train", "valid", "test"):
        with edited(folder, name) as c:
            c["user_id"] = np.arange(len(c["user_id"])) + 10**6 * len(name)


def valid_of_two_positives(folder: Path) -> None:
    """So few that most parts of its users have none."""
    with edited(folder, "valid") as c:
        c["label"][np.flatnonzero(c["label"])[2:]] = 0


@pytest.mark.parametrize(
    "strange",
    [without_histories, of_one_item, without_vectors, of_one_row_a_user, valid_of_two_positives],
)
def test_strange_data_is_measured_as_far_as_it_goes(
    strange: Callable[[Path], None], folder: Path
) -> None:
    strange(folder)
    found = profile_data(folder)
    assert {v.measurement.probe for v in found} == set(PROBES)
    assert all(0 <= v.measurement.p <= v.p_holm <= 1 for v in found)


def test_a_few_dozen_users_are_enough_and_raise_nothing_they_cannot_tell(
    check_folder: Path,
) -> None:
    """The check's own small folder, whose histories are random."""
    found = {v.measurement.probe for v in profile_data(check_folder) if v.suspicious}
    assert found <= {"embedding-order"}
    with edited(check_folder, "train") as c:
        c["label"] = np.tile([1, 0, 0, 0], len(c["label"]) // 4)
    found = {v.measurement.probe for v in profile_data(check_folder) if v.suspicious}
    assert "row-order" in found
    assert found <= {"row-order", "embedding-order"}


def test_columns_are_judged_where_one_side_has_few_rows() -> None:
    x = rng().normal(size=(30_000, 2)).astype(np.float32)
    label = (np.arange(30_000) % 10_000 == 7).astype(np.int8)
    folds = (np.arange(30_000) // 10_000).astype(np.int16)
    models = crossfit_scores(x, label, folds)[1]
    important = important_columns(models, x, label, folds, ("a", "b"))
    assert {name for name, _ in important} == {"a", "b"}


def test_too_few_rows_are_one_line(folder: Path) -> None:
    with edited(folder, "train") as c:
        c.update({n: v[:3] for n, v in c.items()})
    with pytest.raises(DataError, match="found 3 rows in train"):
        profile_data(folder)
