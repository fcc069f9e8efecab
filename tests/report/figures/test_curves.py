"""mmctr_kit.report.figures.curves: learning, ROC, calibration, distributions."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmctr_kit.report.figures.curves import (
    FoldCurve,
    calibration,
    distributions,
    learning,
    roc,
)
from mmctr_kit.report.figures.style import svg

STEPS = np.array([0.1, 0.4, 0.9])


def test_the_dot_of_a_learning_curve_is_at_its_best_epoch() -> None:
    figure = learning([FoldCurve("fold 0", STEPS[::-1], np.array([0.6, 0.8, 0.7]), best=2)])
    _, dot, _ = figure.axes[0].lines  # the last is what the pointer finds
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (2, 0.8)


@pytest.mark.parametrize(
    "figure",
    [
        roc({"OOF": (STEPS, STEPS), "valid": (STEPS, STEPS**2)}),
        calibration(dict.fromkeys(("OOF", "valid"), (STEPS, STEPS, 0.1 * STEPS))),
        distributions(np.arange(4.0), {"OOF": STEPS, "valid": STEPS[::-1]}),
        learning([FoldCurve(n, STEPS, STEPS, 1) for n in ("OOF", "valid")]),
    ],
    ids=["roc", "calibration", "distributions", "learning"],
)
def test_every_curve_is_named_in_the_legend_and_under_the_pointer(figure: Figure) -> None:
    text = svg(figure, "name", "title", "description")
    for name in ("OOF", "valid"):
        assert f">{name}<" in text
        assert re.search(rf"<title>{name}[:, ][^<]*\d", text)
