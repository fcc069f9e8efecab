"""README.md: what it states of the checks and recipes is what the code has."""

from pathlib import Path

from mmctr_kit.audit.check import table
from mmctr_kit.submission.checks.catalog import CHECKS

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_the_table_of_data_checks_is_the_registry() -> None:
    assert table() in README


def test_every_submission_check_stands_there_with_its_level_and_meaning() -> None:
    for name, check in CHECKS.items():
        assert f"| `{name}` | {check.worst.value} | {check.meaning} |" in README
