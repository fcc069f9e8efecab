"""The clean folder passes every check, every check can fail, and no content crashes one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmctr_kit.audit.check import CHECKS, check_data
from mmctr_kit.audit.findings import Finding, Level, brief, problems
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.load import load
from mmctr_kit.errors import UsageError
from tests.audit.check.faults import RANK, WARN, Fault, Tables, Write, assert_named_alone, change
from tests.audit.check.test_alignment import FAULTS as ALIGNMENT
from tests.audit.check.test_files import FAULTS as WHOLE_FILES
from tests.audit.check.test_history_order import FAULTS as HISTORY_ORDER
from tests.audit.check.test_item_files import FAULTS as ITEM_FILES
from tests.audit.check.test_item_values import FAULTS as ITEM_VALUES
from tests.audit.check.test_row_values import FAULTS as ROW_VALUES
from tests.audit.check.test_rows import FAULTS as ROWS
from tests.audit.check.test_scan import FAULTS as SCAN
from tests.audit.check.test_users import FAULTS as USERS

LEAK = Fault(
    "rows filed by label",
    "leaks",
    WARN,
    "train",
    change("label", lambda x: np.tile([1, 0, 0, 0], len(x) // 4)),
)
ALL_FAULTS = [
    LEAK,
    *WHOLE_FILES,
    *SCAN,
    *ITEM_VALUES,
    *ITEM_FILES,
    *ALIGNMENT,
    *ROWS,
    *ROW_VALUES,
    *USERS,
    *HISTORY_ORDER,
]


def test_the_clean_folder_passes_every_check(check_clean: Path) -> None:
    findings = check_data(check_clean)
    assert problems(findings) == []
    assert at(Level.SKIP, findings) == {"times"}  # there are none
    assert [f.id for f in findings] == list(CHECKS)


@pytest.mark.parametrize("as_list", [True, False], ids=["lists", "arrays"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("whole", [np.int32, np.int64])
def test_arrays_lists_and_widths_of_numbers_are_accepted_by_value(
    as_list: bool,
    kind: type,
    whole: type,
    check_tables: Tables,
    write_table: Write,
    tmp_path: Path,
) -> None:
    for name, columns in check_tables.items():
        cast = {
            n: v.astype(kind if v.dtype.kind == "f" else whole) if isinstance(v, np.ndarray) else v
            for n, v in columns.items()
        }
        write_table(
            tmp_path,
            name,
            cast | {"a_column_more": list(range(len(cast[next(iter(cast))])))},
            as_list,
        )
    assert problems(check_data(tmp_path)) == []


def test_every_check_can_reach_the_level_it_is_registered_with_and_no_higher() -> None:
    worst: dict[str, Level] = {}
    for f in ALL_FAULTS:
        worst[f.check] = max(worst.get(f.check, Level.PASS), f.level, key=RANK.__getitem__)
    # How much memory is free is no property of a folder, and a file alone has no times in other
    # splits to be compared with: both are tested apart.
    assert worst | {"memory": WARN, "times": WARN} == {
        name: check.worst for name, check in CHECKS.items()
    }


def test_what_the_quick_probes_suspect_is_a_warning(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(LEAK, check_folder, check_tables, write_table)


Tables = dict[str, dict[str, Any]]
Write = Callable[..., None]


def at(level: Level, findings: list[Finding]) -> set[str]:
    return {f.id for f in findings if f.level is level}


def test_only_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data folder at"):
        check_data(tmp_path / "nowhere")
    findings = check_data(tmp_path)
    assert at(Level.FAIL, findings) == {"files-needed"}
    assert {f.id for f in findings} == set(CHECKS)


def test_without_the_optional_files_what_needs_them_is_skipped_and_says_so(
    check_folder: Path,
) -> None:
    for name in ("item_feature", "item_emb", "item_seq"):
        (check_folder / FILES[name].path).unlink()
    findings = check_data(check_folder)
    assert not at(Level.FAIL, findings)
    assert at(Level.WARN, findings) == {"files-optional"}
    skipped = {f.id for f in findings if f.level is Level.SKIP and "which is optional" in f.what}
    assert skipped == {
        "item-info-alignment",
        "item-feature-alignment",
        "history-order",
        "levels-agree",
        "item-seq-targets",
    }


def test_what_depends_on_a_broken_file_is_skipped_and_says_what_it_needs(
    check_folder: Path,
) -> None:
    (check_folder / FILES["item_info"].path).write_bytes(b"PAR1")
    findings = {f.id: f for f in check_data(check_folder)}
    for check in ("padding-row", "history-ids", "target-ids", "item-info-alignment"):
        assert findings[check].what.startswith("needs ")
        assert findings[check].todo == "fix the FAIL above first"
        assert findings[check].level is Level.SKIP
    assert findings["labels"].level is Level.PASS


def test_items_that_item_feature_lacks_do_not_count_as_other_levels(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    short = {n: v[:25] for n, v in check_tables["item_feature"].items()}
    write_table(check_folder, "item_feature", short)
    findings = check_data(check_folder)
    assert at(Level.FAIL, findings) == {"row-counts"}
    assert at(Level.WARN, findings) == set()
    assert "leaks" in at(Level.SKIP, findings)


def test_unpadded_histories_of_any_length_are_accepted(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    rows = [[int(i) for i in h if i] for h in check_tables["valid"]["item_seq"]]
    write_table(check_folder, "valid", check_tables["valid"] | {"item_seq": rows})
    assert {f.level for f in check_data(check_folder)} == {Level.PASS, Level.SKIP}
    long = [[1 + i % 40 for i in range(90)]] * 40
    write_table(check_folder, "valid", check_tables["valid"] | {"item_seq": long})
    findings = {f.id: f for f in check_data(check_folder)}
    assert findings["history-length"].level is Level.WARN
    assert "more than 64" in findings["history-length"].what


def test_the_share_of_empty_histories_is_told_and_they_load(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    histories = check_tables["test"]["item_seq"].copy()
    histories[:8] = 0
    write_table(check_folder, "test", check_tables["test"] | {"item_seq": histories})
    findings = {f.id: f for f in check_data(check_folder)}
    assert "8 (20.00%) of the histories empty" in findings["history-length"].what
    assert (load(check_folder).histories.lengths == 0).sum() == 1


def test_files_re_sorted_together_with_their_ids_stay_aligned(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    columns = check_tables["item_feature"]
    order = np.random.default_rng(3).permutation(len(columns["item_id"]))
    columns = {
        n: x[order] if isinstance(x, np.ndarray) else [x[i] for i in order]
        for n, x in columns.items()
    }
    write_table(check_folder, "item_feature", columns)
    findings = check_data(check_folder)
    assert at(Level.FAIL, findings) == {"item-ids-sorted"}
    assert at(Level.WARN, findings) == set()
    assert "leaks" in at(Level.SKIP, findings)


ODD_TYPES = {
    "text": lambda n: pa.array(["x"] * n),
    "bool": lambda n: pa.array([True] * n),
    "half": lambda n: pa.array(np.full(n, 1e4, np.float16)),
    "nan": lambda n: pa.array(np.full(n, np.nan)),
    "huge": lambda n: pa.array(np.full(n, -(2**63))),
    "huge float": lambda n: pa.array(np.full(n, 1e300)),
    "null": pa.nulls,
    "struct": lambda n: pa.array([{"a": 1}] * n),
    "map": lambda n: pa.array([[(1, 2)]] * n, pa.map_(pa.int64(), pa.int64())),
    "category": lambda n: pa.array(["a"] * n).dictionary_encode(),
    "date": lambda n: pa.array(np.full(n, "2025-01-01", "datetime64[us]")),
    "nested": lambda n: pa.array([[[1]]] * n),
    "no values": lambda n: pa.array([[]] * n, pa.list_(pa.int64())),
    "one huge value": lambda n: pa.array([[2**63 - 1]] * n),
    "one NaN": lambda n: pa.array([[np.nan]] * n),
    "largest float": lambda n: pa.array([[3.4e38, -3.4e38]] * n),
    "words": lambda n: pa.array([["x"]] * n),
    "only null": lambda n: pa.array([[None]] * n),
}


@pytest.mark.parametrize("odd", ODD_TYPES.values(), ids=ODD_TYPES)
@pytest.mark.parametrize("name", FILES)
def test_no_type_of_column_raises(
    name: str,
    odd: Callable[[int], Any],
    check_folder: Path,
    check_tables: Tables,
    write_table: Write,
) -> None:
    rows = len(next(iter(check_tables[name].values())))
    for kept in ((), ("item_id", "user_id")):  # without ids, little else is looked at
        columns = {n: v if n in kept else odd(rows) for n, v in check_tables[name].items()}
        write_table(check_folder, name, columns)
        assert {f.id for f in check_data(check_folder)} == set(CHECKS)


@pytest.mark.slow
def test_flipped_bytes_anywhere_in_a_file_never_raise(check_folder: Path) -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        path = check_folder / FILES[str(rng.choice(list(FILES)))].path
        content = path.read_bytes()
        broken = np.frombuffer(content, np.uint8).copy()
        broken[rng.integers(0, len(broken), 5)] = rng.integers(0, 256, 5)
        path.write_bytes(broken.tobytes())
        assert {f.id for f in check_data(check_folder)} == set(CHECKS)
        path.write_bytes(content)


def test_a_cache_that_cannot_be_written_leaves_all_the_other_checks(
    check_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "file" / "cache"))
    findings = check_data(check_folder)
    assert at(Level.FAIL, findings) == set()
    assert at(Level.WARN, findings) == {"leaks"}
    found = next(f for f in findings if f.id == "leaks")
    assert found.what.startswith("not run: the cache")
    assert "MMCTR_KIT_CACHE" in found.todo


def test_what_only_the_challenge_has_is_skipped_in_imported_data(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    (check_folder / FILES["item_seq"].path).unlink()
    less = {k: v for k, v in check_tables["item_emb"].items() if not k.endswith("_e4")}
    write_table(check_folder, "item_emb", less)
    write_table(check_folder, "train", {n: v[2:] for n, v in check_tables["train"].items()})
    expected = {"files-optional", "columns-present", "rows-per-user"}
    assert at(Level.WARN, check_data(check_folder)) == expected
    (check_folder / "import").mkdir()
    (check_folder / "import/spec.yaml").touch()
    findings = check_data(check_folder)
    assert problems(findings) == []
    skipped = [f for f in findings if f.what.startswith("not the challenge's data: ")]
    assert [f.id for f in skipped if f.level is Level.SKIP] == [
        "files-optional",
        "columns-present",
        "rows-per-user",
    ]


def test_what_waits_for_a_fault_to_be_mended_is_one_line_on_the_screen(tmp_path: Path) -> None:
    shown = brief(check_data(tmp_path))
    assert len(shown) == 4
    assert (shown[0].id, shown[0].level) == ("files-needed", Level.FAIL)
    assert (shown[-1].id, shown[-1].level) == ("39 checks", Level.SKIP)
