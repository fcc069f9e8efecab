"""Titles: English words that show the latent dimensions of text."""

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from mmctr_kit.datasets.synth.titles import MOST_WORDS, TOPICS, make_titles
from mmctr_kit.datasets.synth.world import TEXT_DIMS
from tests.datasets.synth.made import demo_world, explained_by_ridge


def test_every_dimension_has_two_topics_and_no_word_is_in_two() -> None:
    assert len(TOPICS) == TEXT_DIMS.stop - TEXT_DIMS.start
    words = [word for pair in TOPICS for topic in pair for word in topic]
    assert len(words) == len(set(words)) == len(TOPICS) * 2 * 8


def test_the_sign_picks_the_topic_and_the_strength_how_many_words_it_has() -> None:
    latent = np.zeros((3, 12))
    latent[0, 0], latent[1, 0], latent[2, 0] = 6.0, -6.0, 2.0
    strong, opposed, weaker = make_titles(latent, np.random.default_rng(0))
    counts = [
        [sum(word in title.lower().split() for word in TOPICS[0][side]) for side in (0, 1)]
        for title in (strong, opposed, weaker)
    ]
    assert counts == [[MOST_WORDS, 0], [0, MOST_WORDS], [2, 0]]


def test_an_item_without_a_strong_dimension_has_a_title_too() -> None:
    titles = make_titles(np.zeros((50, 12)), np.random.default_rng(0))
    assert all(titles)


def test_counts_of_words_explain_four_fifths_of_each_dimension() -> None:
    world = demo_world()
    latent = world.factors[np.argsort(world.item_id)][:, TEXT_DIMS]
    words = CountVectorizer().fit_transform(make_titles(latent, np.random.default_rng(0)))
    assert explained_by_ridge(words.toarray(), latent).min() > 0.8
