"""The stacks of the blends' tests serve here too."""

from tests.ensemble.conftest import informative, memorised

__all__ = ["informative", "memorised"]
