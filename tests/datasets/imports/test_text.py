"""Vectors from words, of few items and of many."""

import numpy as np
import pytest

from mmctr_kit.datasets.imports import text
from mmctr_kit.datasets.imports.text import embed, shown_title, tokens
from mmctr_kit.metrics.ranks import Floats32, Ints


@pytest.mark.parametrize(
    ("title", "year", "shown"),
    [
        ("Toy Story (1995)", "", "Toy Story (1995)"),
        ("Toy Story", "1995", "Toy Story (1995)"),
        ("Land III (1995) (V)", "1996", "Land III (1995)"),
        (" 2001 ", "", "2001"),
        ("2001", "V", "2001"),
        ("Seven", "1995-09-22", "Seven (1995)"),
        ("Seven", "19955", "Seven"),
        ("", "1995", "(1995)"),
        ("", "", ""),
    ],
)
def test_a_title_is_shown_with_its_year(title: str, year: str, shown: str) -> None:
    assert shown_title(title, year) == shown
    assert shown_title(shown, "") == shown


def test_tokens_are_words_decade_and_tags() -> None:
    found = tokens("Amélie's (2001)", ["Sci-Fi"], "A film.")
    assert found == ["amélie", "s", "decade=2000", "genre=Sci-Fi", "a", "film"]


def vectors(documents: list[list[str]], counts: list[int] | None = None) -> Floats32 | None:
    def of_items(items: Ints) -> list[list[str]]:
        return [documents[i] for i in items]

    return embed(of_items, np.array(counts or [1] * len(documents)))


def test_items_that_share_rare_tokens_are_near_and_those_without_any_are_zero() -> None:
    rest = [[f"w{i}", "the"] for i in range(20)]
    made = vectors([["star", "the"], ["star", "the"], ["the", "emma"], [], *rest])
    assert made is not None
    assert np.linalg.norm(made, axis=1) == pytest.approx([1, 1, 1, 0, *[1] * 20], abs=1e-5)
    assert made[0] @ made[1] > made[0] @ made[2] + 0.5
    assert vectors([[], []]) is None


def test_of_many_items_the_frequent_ones_are_learned_from_and_all_have_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    words = [[f"topic{i % 4}", f"w{rng.integers(4)}_{i % 4}"] for i in range(60)]
    monkeypatch.setattr(text, "FIT_ITEMS", 40)
    monkeypatch.setattr(text, "_BATCH", 7)
    counts = [1] * 20 + [2] * 40
    many = vectors([["unseen"], *words[1:]], counts)
    assert many is not None
    assert not many[0].any()  # its only token is in no frequent item
    near, topic = many[1:] @ many[1:].T, np.arange(1, 60) % 4
    same = topic[:, None] == topic
    assert near[same].min() > 0.15 > 1e-3 > np.abs(near[~same]).max()
    assert (many == vectors([["unseen"], *words[1:]], counts)).all()
    assert vectors([[f"w{i}"] for i in range(60)]) is None
