"""mmctr_kit.submission.bundle.distribution: versions, licences, and a copy that runs by itself."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit.errors import UsageError
from mmctr_kit.recipe import shipped_recipes
from mmctr_kit.submission.bundle.distribution import (
    copy_package,
    installed_version,
    licence_text,
    package_versions,
)

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


def test_a_package_that_is_not_installed_is_absent() -> None:
    assert installed_version("pytest") == pytest.__version__
    assert installed_version("no-such-package") == "absent"


def test_a_copy_of_the_package_is_whole_and_finds_its_recipes_licence_and_dependencies(
    tmp_path: Path,
) -> None:
    copy_package(tmp_path / "code")
    code = (
        "import mmctr_kit\n"
        "from mmctr_kit.recipe import recipe_folder, shipped_recipes\n"
        "from mmctr_kit.submission.bundle.distribution import licence_text, package_versions\n"
        "print(mmctr_kit.__file__, recipe_folder(), len(list(shipped_recipes())))\n"
        f"print(len(package_versions({DIN!r})), 'APPENDIX' in licence_text('Apache-2.0', 1, ''))\n"
        "from importlib.metadata import distribution\n"
        "print(distribution('mmctr-kit').locate_file(''))"
    )
    environment = os.environ | {"PYTHONPATH": "code", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    package = tmp_path / "code" / "mmctr_kit"
    many, versions = len(list(shipped_recipes())), len(package_versions(DIN))
    assert done.stdout.splitlines() == [
        f"{package / '__init__.py'} {package / 'shipped_recipes'} {many}",
        f"{versions} True",
        str(tmp_path / "code"),
    ]
    source = Path(mmctr_kit.__file__).parent
    skipped = ("__pycache__", "shipped_recipes")
    for path in source.rglob("*"):
        if path.is_file() and not set(path.parts) & set(skipped):
            copied = package / path.relative_to(source)
            assert copied.read_bytes() == path.read_bytes()
    assert not list(package.rglob("__pycache__"))
