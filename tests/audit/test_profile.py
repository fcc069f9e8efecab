"""Every probe names its leak, the check asks the quick ones, and clean data raises nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.audit.check import CHECKS, check_data
from mmctr_kit.audit.findings import Level
from mmctr_kit.audit.profile import PROBES, causes, profile_data, quick_profile
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.errors import DataError
from tests.audit.profile.leaks import SLOW, Leak, edited, suspicions
from tests.audit.profile.test_history import LEAKS as HISTORY
from tests.audit.profile.test_history import targets_into_histories, valid_is_train_under_new_ids
from tests.audit.profile.test_labels import LEAKS as LABELS
from tests.audit.profile.test_order import LEAKS as ORDER
from tests.audit.profile.test_order import rows_sorted_by_label
from tests.audit.profile.test_shift import LEAKS as SHIFT
from tests.audit.profile.test_vectors import LEAKS as VECTORS

ALL_LEAKS = [*HISTORY, *LABELS, *ORDER, *SHIFT, *VECTORS]
ASKED_BY_CHECK = {
    "history-label",
    "item-label",
    "item-purity",
    "item-code",
    "level-label",
    "row-order",
    "popularity-shift",
}


@pytest.mark.parametrize(
    "leak", [leak for leak in ALL_LEAKS if leak.named in ASKED_BY_CHECK], ids=str
)
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
    assert not_run.level is Level.SKIP
    assert not_run.what == "it loads the data, and files-readable failed"


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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clean_data_raises_no_suspicion_and_no_warning(seed: int, tmp_path: Path) -> None:
    generate(tmp_path / "world", PRESETS["tiny"], seed)
    assert suspicions(tmp_path / "world" / "data") == set()
    assert Level.FAIL not in {f.level for f in check_data(tmp_path / "world" / "data")}


def test_every_leak_is_named_by_something_that_exists() -> None:
    assert {leak.named for leak in ALL_LEAKS} <= set(PROBES) | set(CHECKS)


def test_every_probe_has_a_leak_that_it_names() -> None:
    assert set(PROBES) <= {leak.named for leak in ALL_LEAKS}


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_too_few_rows_are_one_line(folder: Path) -> None:
    with edited(folder, "train") as c:
        c.update({n: v[:3] for n, v in c.items()})
    with pytest.raises(DataError, match="found 3 rows in train"):
        profile_data(folder)
