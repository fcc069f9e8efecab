"""mmctr_kit.report.figures.trials: figures from the trials of study.json."""

from typing import Any

import numpy as np
import pytest

from mmctr_kit.report.figures.style import svg
from mmctr_kit.report.figures.trials import complete, dimensions, history, parallel, spans_plane


def trial(number: int, auc: float | None, params: dict[str, Any]) -> dict[str, Any]:
    score = None if auc is None else {"value": auc, "error": 0.01, "n": 100}
    state = "pruned" if auc is None else "complete"
    return {"number": number, "state": state, "params": params, "auc": score}


def study(points: list[tuple[int, int, float]]) -> list[dict[str, Any]]:
    trials = [
        trial(i, a, {"items.embedding": "separate_pca", "items.text_dim": x, "items.image_dim": y})
        for i, (x, y, a) in enumerate(points)
    ]
    other = len(trials)
    trials += [
        trial(other, 0.6, {"items.embedding": "text", "items.text_dim": 8}),
        trial(other + 1, None, {"items.embedding": "text"}),
    ]
    return trials


PLANE = [(4, 4, 0.6), (8, 4, 0.65), (4, 32, 0.62), (64, 64, 0.7), (16, 16, 0.71)]


def text_of(figure: Any) -> str:
    return svg(figure, "name", "title", "description")


def test_history_shows_each_embedding_and_pruned_trials() -> None:
    shown = text_of(history(study(PLANE)))
    for label in ("separate_pca", "text", "best so far", "pruned", "mean fold AUC"):
        assert f">{label}<" in shown


def test_without_pruned_trials_the_axes_fill_the_figure() -> None:
    complete_only = [t for t in study(PLANE) if t["state"] == "complete"]
    figure = history(complete_only)
    assert ">pruned<" not in text_of(figure)
    assert figure.axes[0].get_position().height > 0.5


@pytest.mark.parametrize(
    "points",
    [PLANE, PLANE[:1], [(4, 4, 0.6)] * 5, [(4, 4, 0.6), (8, 8, 0.6), (16, 16, 0.6), (32, 32, 0.7)]],
    ids=["plane", "one", "same", "line"],
)
def test_dimensions_are_drawn_wherever_the_trials_lie(points: list[tuple[int, int, float]]) -> None:
    shown = text_of(dimensions(study(points)))
    assert f"{max(a for _, _, a in points):.4f}" in shown
    assert "PCA dimensions of image" in shown


def test_a_study_without_two_modalities_has_no_plane() -> None:
    assert dimensions(study([])) is None
    assert dimensions(study(PLANE[:1])) is not None


def test_bands_of_auc_need_enough_points_that_do_not_lie_on_a_line() -> None:
    x, y = np.arange(12.0), np.arange(12.0) ** 2
    assert spans_plane(x, y)
    assert not spans_plane(x, x)
    assert not spans_plane(x[:9], y[:9])
    assert not spans_plane(np.tile(x[:6], 2), np.tile(y[:6], 2))


MIXED = [
    trial(0, 0.6, {"rate": 0.001, "kind": "a", "on": True}),
    trial(1, 0.7, {"rate": 0.1, "kind": "b", "on": False}),
    trial(2, 0.65, {"rate": 0.01, "on": True}),
    trial(3, None, {"rate": 9.0, "kind": "c", "on": True}),
]


def test_parallel_coordinates_have_a_row_for_each_setting_and_one_for_the_auc() -> None:
    shown = text_of(parallel(MIXED, ["rate", "kind", "on"]))
    for text in ("rate", "kind", "on", "mean fold AUC", "0.001", "0.1", "a", "b", "True", "0.7"):
        assert f">{text}<" in shown
    assert ">c<" not in shown  # a pruned trial has no AUC
    assert "trial 1: 0.7000 ± 0.0100; rate 0.1, kind b, on False" in shown


def test_a_line_of_parallel_coordinates_has_a_place_on_each_row_that_it_has_a_value_for() -> None:
    figure = parallel(MIXED, ["rate", "kind"])
    lines = [line for line in figure.axes[0].lines if len(line.get_ydata()) == 3]
    places = [np.asarray(line.get_xdata(), float) for line in lines]
    np.testing.assert_allclose(places[0], [0.0, 0.0, 0.0])
    np.testing.assert_allclose(places[1], [0.5, np.nan, 0.5])  # 0.01 is midway on a log scale
    np.testing.assert_allclose(places[2], [1.0, 1.0, 1.0])


def test_a_setting_with_one_value_stands_in_the_middle() -> None:
    assert len(complete(MIXED)) == 3
    shown = text_of(parallel([trial(0, 0.6, {"a": 3, "b": "x"})], ["a", "b"]))
    assert ">3<" in shown
    assert ">x<" in shown


def test_lists_and_switches_are_places_like_names() -> None:
    trials = [trial(i, 0.6 + i / 10, {"hidden": h}) for i, h in enumerate(([8, 4], [4], True))]
    shown = text_of(parallel(trials, ["hidden"]))
    for text in ("[8, 4]", "[4]", "True"):
        assert f">{text}<" in shown
