"""axe-core, which knows the rules of WCAG, on the four kinds of pages and the index."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report import browser
from tests.report.conftest import KINDS

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

AXE = os.environ.get("AXE_CORE", "")
"""The file axe.min.js of the npm package axe-core."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not AXE, reason="no axe-core: npm pack axe-core, and AXE_CORE=.../axe.min.js (see .ci/run)"
    ),
]

RUN = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations"]}).then(
  found => done([found.passes.length, found.violations.map(v =>
    [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)])]),
  error => done([0, [["critical", String(error), 0, ""]]]));
"""


@pytest.mark.parametrize(("kind", "dark"), [*((k, False) for k in KINDS), ("run", True)])
def test_axe_finds_no_serious_issue(
    driver: "Chrome", pages: Mapping[str, Path], kind: str, dark: bool
) -> None:
    browser.show(driver, pages[kind], 1280, dark)
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    driver.execute_script(Path(AXE).read_text("utf-8"))
    passed, found = driver.execute_async_script(RUN)
    assert passed > 20
    assert [issue for issue in found if issue[0] in ("serious", "critical")] == []
