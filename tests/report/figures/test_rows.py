"""mmctr_kit.report.figures.rows: a row for each name."""

import math

import numpy as np

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.figures.rows import bars, correlations, dots, stacked
from mmctr_kit.report.figures.style import svg


def test_a_dot_has_an_interval_of_95_percent_and_none_if_its_se_is_unknown() -> None:
    known = [Estimate(0.7, 0.01, 9), None, Estimate(0.6, math.nan, 9)]
    figure = dots(["a", "b", "c"], {"OOF": known}, "AUC less mine", reference=0.65)
    lines = figure.axes[0].collections[0].get_segments()
    spans = [float(line[1, 0] - line[0, 0]) for line in lines]
    np.testing.assert_allclose(spans, [2 * 1.96 * 0.01, 0.0], atol=1e-12)


def test_the_interval_of_an_auc_ends_before_1() -> None:
    figure = dots(["a", "b"], {"OOF": [Estimate(0.99, 0.02, 9), Estimate(1.0, 0.0, 9)]}, "AUC")
    low, high = figure.axes[0].collections[0].get_segments()[0][:, 0]
    assert 0.5 < low < 0.99 < high < 1.0


def test_a_dot_has_its_numbers_under_the_pointer() -> None:
    one, two = [Estimate(0.7, 0.01, 9)], [Estimate(0.6, 0.01, 9)]
    both = svg(dots(["a"], {"OOF": one, "valid": two}, "AUC"), "n", "t", "d")
    assert "<title>a, OOF: 0.7000 ± 0.0100</title>" in both
    assert "<title>a, valid: 0.6000 ± 0.0100</title>" in both
    alone = svg(dots(["a"], {"OOF": one}, "gain", 0.0), "n", "t", "d")
    assert "<title>a: +0.7000 ± 0.0100</title>" in alone


def test_marked_rows_are_bold() -> None:
    estimates = [Estimate(0.7, 0.01, 9)] * 2
    figure = dots(["a", "b"], {"OOF": estimates}, "AUC", marked=[False, True])
    weights = [label.get_fontweight() for label in figure.axes[0].get_yticklabels()]
    assert weights == ["normal", "bold"]


def test_bars_have_their_names_from_the_top_and_their_values() -> None:
    text = svg(bars(["first", "second"], np.array([0.75, -0.2]), "weight"), "n", "t", "d")
    assert ">0.75<" in text
    assert ">-0.20<" in text
    assert text.index(">first<") < text.index(">second<")


def test_stacked_bars_begin_where_the_part_before_ends() -> None:
    figure = stacked(["a"], {"load": np.array([2.0]), "train": np.array([3.0])}, "seconds")
    assert [patch.get_x() for patch in figure.axes[0].patches] == [0.0, 2.0]


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
