"""Titles in another script or language than most."""

import pytest

from mmctr_kit.embed.quality.language import WORDS, find_languages

ENGLISH = [
    "How to bake a cake with chocolate and cream",
    "The best goals of the season",
    "My puppy is afraid of this cat",
    "Relaxing piano music for your evening",
    "What you can do with an old sofa",
    "Star Wars",
    "2001",
    "",
]


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("Как приготовить торт дома", "Cyrillic letters"),
        ("今天我们去看电影", "Cjk letters"),
        ("これは本当にすごいね", "Japanese letters"),
        ("Wie man einen Kuchen nicht mit dem Löffel isst", "reads as German"),
        ("C'est arrivé près de chez vous, et pas dans la rue", "reads as French"),
        ("El gato de mi vecino y los perros del barrio", "reads as Spanish"),
        ("De kat en het paard van de boer", "reads as Dutch"),
        ("Il gatto della signora non è il cane", "reads as Italian"),
    ],
)
def test_a_title_in_another_script_or_language_is_told(title: str, reason: str) -> None:
    languages = find_languages([*ENGLISH, title])
    assert (languages.script, languages.language) == ("Latin", "English")
    assert languages.other == {len(ENGLISH): reason}


@pytest.mark.parametrize(
    "title",
    [
        "Seven (Se7en)",
        "I'll Do Anything",
        "La La Land",
        "El Mariachi",
        "Die Hard",
        "Nosferatu a Venezia",
        "The story of der Baron",
        "Café Jürgen",
        "ABBA の best hits of the year",
    ],
)
def test_names_and_a_few_foreign_words_are_no_other_language(title: str) -> None:
    assert find_languages([*ENGLISH, title]).other == {}


def test_titles_without_letters_are_not_judged() -> None:
    assert find_languages(ENGLISH).judged == len(ENGLISH) - 2
    assert find_languages(["", "42"]).script is None


def test_a_main_script_other_than_latin_works_and_has_no_language() -> None:
    languages = find_languages(
        ["今天 太 好", "我们 都 来 看", "真的 吗", "这 是", "一定", "And the band"]
    )
    assert (languages.script, languages.language) == ("Cjk", None)
    assert languages.other == {5: "Latin letters"}


def test_no_title_is_foreign_if_no_script_is_that_of_most() -> None:
    mixed = find_languages(["今天 太 好", "我们 都 来", "And the band", "My cat is here"])
    assert mixed.script is None
    assert not mixed.other


def test_function_words_are_lower_case_words_of_letters() -> None:
    words = [word for words in WORDS.values() for word in words]
    assert all(word.isalpha() and word == word.lower() for word in words)
