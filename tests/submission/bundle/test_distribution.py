"""mmctr_kit.submission.bundle.distribution: exact versions, and the licences' full texts."""

import importlib.metadata

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.submission.bundle.distribution import licence_text, package_versions

DIN = "mmctr_kit.models.din:DIN"


def test_every_needed_dependency_has_its_installed_version() -> None:
    versions = package_versions(DIN)
    assert versions["torch"] == importlib.metadata.version("torch")
    assert {"numpy", "safetensors", "lightgbm"} <= set(versions)
    assert "pytest" not in versions  # of the extra dev


def test_the_package_of_somebody_elses_model_is_among_them() -> None:
    assert package_versions("pytest.thing:Model")["pytest"] == pytest.__version__


def test_a_model_that_nobody_else_could_install_is_refused() -> None:
    with pytest.raises(UsageError, match=r"my_notes:Model is not of an installed package"):
        package_versions("my_notes:Model")


def test_mit_names_its_holder_and_apache_comes_whole_from_the_distribution() -> None:
    mit = licence_text("MIT", 2026, "Team Two")
    assert "Copyright (c) 2026 Team Two\n" in mit
    assert "WITHOUT WARRANTY OF ANY KIND" in mit
    apache = licence_text("Apache-2.0", 2026, "Team Two")
    assert "Version 2.0, January 2004" in apache
    assert "END OF TERMS AND CONDITIONS" in apache
