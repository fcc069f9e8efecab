"""mmctr_kit.report.sections.study: figures from the trials of study.json."""

from typing import Any

import pytest

from mmctr_kit.report.figures.style import svg
from mmctr_kit.report.sections.study import dimensions, history


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
