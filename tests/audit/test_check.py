"""The clean folder passes every check, and every check can fail."""

from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.audit.check import CHECKS, check_data
from mmctr_kit.audit.findings import Level
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
    assert [f for f in findings if f.level is not Level.PASS] == []
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
    assert [f for f in check_data(tmp_path) if f.level is not Level.PASS] == []


def test_every_check_can_reach_the_level_it_is_registered_with_and_no_higher() -> None:
    worst: dict[str, Level] = {}
    for f in ALL_FAULTS:
        worst[f.check] = max(worst.get(f.check, Level.PASS), f.level, key=RANK.__getitem__)
    # How much memory is free is no property of a folder: tested apart.
    assert worst | {"memory": WARN} == {name: check.worst for name, check in CHECKS.items()}


def test_what_the_quick_probes_suspect_is_a_warning(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(LEAK, check_folder, check_tables, write_table)
