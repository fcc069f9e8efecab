"""The runs of the report's tests serve here too."""

from tests.report.conftest import made_runs

__all__ = ["made_runs"]
