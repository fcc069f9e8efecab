"""mmctr_kit.report.paths: how a page's commands name a run."""

from pathlib import Path

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.report.paths import MARK, argument, label, recipe_file, require_page
from mmctr_kit.runs.run import Run


@pytest.mark.parametrize(
    ("path", "named", "called"),
    [
        ("runs/x", "x", "x"),
        ("runs/s.study/finalists/trial-0", "runs/s.study/finalists/trial-0", "s-trial-0"),
        ("runs/x.ablate/base", "runs/x.ablate/base", "x-base"),
    ],
)
def test_a_run_under_the_root_is_named_from_there(
    path: str, named: str, called: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run, root = Run(Path(path)), Path("runs")
    assert argument(run, root) == named
    assert label(run, root) == called
    assert recipe_file(run, root) == f"{path}/recipe.yaml"


def test_a_run_elsewhere_is_named_by_its_path(tmp_path: Path) -> None:
    run = Run(tmp_path / "other" / "x")
    assert argument(run, tmp_path / "runs") == str(run.path)
    assert label(run, tmp_path / "runs") == "x"


def test_only_a_report_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    require_page(page)
    page.write_text(f"<!doctype html>\n{MARK}\n")
    require_page(page)
    page.write_text("<!doctype html>\n")
    with pytest.raises(UsageError, match="is no report"):
        require_page(page)
    with pytest.raises(UsageError, match=r"end it in \.html"):
        require_page(tmp_path / "page.pdf")
