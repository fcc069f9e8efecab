"""The package itself: its files, its licence, and the versions of its dependencies."""

import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from pathlib import Path
from typing import Literal

from mmctr_kit import __version__
from mmctr_kit.errors import MmctrKitError, UsageError
from mmctr_kit.recipe import recipe_folder

Licence = Literal["MIT", "Apache-2.0"]

_NAME = "mmctr-kit"
_MIT = """\
MIT License

Copyright (c) {year} {holder}

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def package_versions(model_target: str) -> dict[str, str]:
    """The installed version of each direct dependency, by name.

    The package that defines the model, ``module:Class``, is among them if it is not this one.
    Raises UsageError if that package is not installed, so that nobody else could install it.
    """
    try:
        wanted = distribution(_NAME).requires or []
    except PackageNotFoundError as e:
        raise MmctrKitError(f"{_NAME} is not installed here; install it with pip first") from e
    names = [re.split(r"[^\w.-]", line)[0] for line in wanted if "extra ==" not in line]
    package = model_target.partition(":")[0].partition(".")[0]
    if package != __name__.partition(".")[0]:
        if package not in (installed := packages_distributions()):
            raise UsageError(
                f"the model {model_target} is not of an installed package, so nobody else could "
                "install it; make it a package with an entry point (CONTRIBUTING.md)"
            )
        names += installed[package]
    return {name: version(name) for name in sorted(set(names))}


def installed_version(name: str) -> str:
    """The installed version of a package, or "absent"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def copy_package(folder: Path) -> None:
    """Copy this package into ``folder``, which then works as an entry of PYTHONPATH.

    As pip would install it: with the shipped recipes, its metadata and its licence.
    """
    package, skip = Path(__file__).parents[2], shutil.ignore_patterns("__pycache__", ".*")
    for source, name in ((package, ""), (recipe_folder(), "shipped_recipes")):
        to = folder / package.name / name
        shutil.copytree(source, to, ignore=skip, copy_function=shutil.copyfile, dirs_exist_ok=True)
    about = folder / f"{package.name}-{__version__}.dist-info"
    (about / "licenses").mkdir(parents=True)
    metadata = distribution(_NAME).read_text("METADATA") or ""
    (about / "METADATA").write_text(metadata, "utf-8")
    (about / "licenses" / "LICENSE").write_text(_licence_of_kit(), "utf-8")


def licence_text(licence: Licence, year: int, holder: str) -> str:
    """The full text of a licence; only MIT's names its holder."""
    if licence == "MIT":
        return _MIT.format(year=year, holder=holder)
    return _licence_of_kit()


def _licence_of_kit() -> str:
    """The text of Apache-2.0, the kit's own licence."""
    text = distribution(_NAME).read_text("licenses/LICENSE")
    if text is None:
        raise MmctrKitError(f"the installed {_NAME} lacks its licence file; install it again")
    return text
