"""mmctr_kit.report.figures.correlations: a square for each pair of runs."""

import numpy as np

from mmctr_kit.report.figures.correlations import correlations
from mmctr_kit.report.figures.style import svg


def test_pairs_have_their_number_and_the_highest_the_darkest_square() -> None:
    matrix = np.array([[1.0, 0.9, 0.5], [0.9, 1.0, 0.7], [0.5, 0.7, 1.0]])
    figure = correlations(["a", "b", "c"], matrix)
    text = svg(figure, "name", "title", "description")
    assert text.count(">.90<") == 2
    assert ">1.00<" not in text
    depth = [patch.get_alpha() for patch in figure.axes[0].patches]
    assert np.argmax(depth) == 0  # a and b
    assert len(depth) == 6


def test_ten_runs_have_squares_without_numbers() -> None:
    figure = correlations([f"run {i}" for i in range(10)], np.full((10, 10), 0.8))
    assert len(figure.axes[0].patches) == 90
    assert len(figure.axes[0].texts) == 0
