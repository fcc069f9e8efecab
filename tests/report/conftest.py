"""What the report's tests share."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import load_recipe
from mmctr_kit.report.context import open_context
from mmctr_kit.report.page import write_report
from tests.report import browser
from tests.report.made import make_all, make_run, make_study

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

KINDS = {"run": "alpha", "blend": "mix", "study": "tuned.study", "ablation": "alpha.ablate"}
"""The kinds of pages, and what the page of each is about."""


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory: pytest.TempPathFactory, tiny: ChallengeData) -> Path:
    """Five made-up runs, their blend ``mix`` and an ablation of ``alpha``. Read only."""
    return make_all(tmp_path_factory.mktemp("report") / "runs", tiny)


@pytest.fixture(scope="session")
def everything(
    tiny: ChallengeData, made_runs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A study, an ablation, a blend and its runs, in ``runs`` of a folder of their own. Read only.

    ``alpha`` has the importance of its features.
    """
    root = shutil.copytree(made_runs, tmp_path_factory.mktemp("everything") / "runs")
    for name in ("base", "se-off"):
        make_run(root / "alpha.ablate", name, tiny, 1.0, len(name))
    make_study(root, "tuned", tiny)
    (root / "tuned.study" / "best.yaml").write_text(load_recipe("din_demo").to_yaml())
    return root


@pytest.fixture(scope="session")
def pages(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The page of each kind, by kind. Read only."""
    folder = tmp_path_factory.mktemp("pages")
    written = {kind: folder / f"{name}.html" for kind, name in KINDS.items()}
    for kind, name in KINDS.items():
        write_report(open_context(name, everything, folder / "submissions"), written[kind])
    return written


@pytest.fixture(scope="session")
def driver() -> Iterator["Chrome"]:
    """The one browser of all tests; skips the test if there is none here."""
    if not (browser.CHROMIUM and browser.DRIVER):
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium-driver)")
    with browser.chromium() as started:
        yield started


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without what is in their figures, which takes most of a page's time."""
    monkeypatch.setattr("mmctr_kit.report.blocks.svg", lambda *_: "<svg></svg>")
