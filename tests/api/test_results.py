"""Results show themselves in a notebook."""

from pathlib import Path

import mmctr_kit


def test_a_notebook_shows_results_as_html(runs: Path, tiny_root: Path) -> None:
    both = mmctr_kit.open_run("both", runs)
    assert isinstance(both, mmctr_kit.BlendResult)
    shown = both._repr_html_()
    assert "valid AUC" in shown
    assert "<table" in shown
    assert "first" in both.members().to_string()
    checked = mmctr_kit.check_data(str(tiny_root / "data"))
    assert "checks passed" in checked._repr_html_()
    assert [finding.id for finding in checked][:1] == ["files-needed"]
