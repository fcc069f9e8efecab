"""Results show themselves in a notebook."""

import math
from pathlib import Path

import mmctr_kit
from mmctr_kit.api.results import estimate_columns, frame, html
from mmctr_kit.metrics.estimate import Estimate


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


def test_a_table_in_a_notebook_says_n_a_for_an_unknown_standard_error() -> None:
    rows = [
        {"run": "a"} | estimate_columns("auc", Estimate(0.7, math.nan, 9)),
        {"run": "b"} | estimate_columns("auc", None),
        {"run": "c"} | estimate_columns("auc", Estimate(0.8, 0.125, 9)),
    ]
    shown = html("title", frame(rows))
    assert "<td>0.7000</td>\n      <td>n/a</td>" in shown
    assert "<td></td>\n      <td></td>" in shown
    assert "<td>0.8000</td>\n      <td>0.1250</td>" in shown
