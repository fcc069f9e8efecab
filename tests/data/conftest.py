"""The fixtures of the checks' tests serve here too."""

from tests.audit.conftest import check_clean, check_folder, check_tables, write_table

__all__ = ["check_clean", "check_folder", "check_tables", "write_table"]
