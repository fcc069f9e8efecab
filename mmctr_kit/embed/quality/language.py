"""Titles in another script or language than most: by their letters and their function words.

A title's script is the one that most of its letters belong to, by Unicode. Among titles in Latin
letters, a language is recognised by its function words (such as *and*, *und*, *et*), of which a
title must have two different ones, and more than twice as many as of the main language. So titles
of names and nouns alone are never pointed to, and neither are languages that :data:`WORDS` does not
list.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "English": "the of and to in is for with on you that it this my how what your are from by "
        "at be we not have his her when who all was can one",
        "German": "der die das und ist nicht ein eine mit für auf von zu den dem des im wir ich "
        "haben wie auch aus wenn uns weil so bei über",
        "French": "le la les des et du un une est dans pour pas qui que sur au avec ce je vous "
        "mais il elle aux en sont leur",
        "Spanish": "el la los las de en un una que por con para del mi es no se lo como su al más "
        "nos así pero este esta",
        "Portuguese": "os as de em um uma que por com para do da dos das não meu minha é se no "
        "na como mais foi ao seu sua você",
        "Italian": "il lo la gli le di un una che per con non del della dei delle sono come più "
        "nel si mi al ma questo",
        "Dutch": "de het een en van is niet met voor op dat te ik zijn ook maar aan bij wij naar "
        "hoe deze wordt",
        "Polish": "na nie jest się do to jak że po dla przez za od ale czy co tak był są",
        "Indonesian": "yang dan di ini itu dengan untuk tidak dari ke akan pada adalah saya kamu "
        "ada bisa juga karena",
        "Turkish": "ve bir bu için ile ne mi da de çok ama gibi daha var yok ben sen nasıl en olan",
    }.items()
}
"""Frequent function words of languages that are written in Latin letters."""
MOST = 0.8
"""A script, or a language, is that of most titles if it has this share of those that have any."""
_LEAST_HITS = 2
_WORD = re.compile(r"[^\W_]+")
_TOGETHER = {"HIRAGANA": "JAPANESE", "KATAKANA": "JAPANESE", "KATAKANA-HIRAGANA": "JAPANESE"}


@dataclass(frozen=True)
class Languages:
    """What most titles are written in, and which titles are not.

    ``script`` and ``language`` are None if no one has :data:`MOST` of the titles; ``language`` is
    None too if the script is not Latin. ``other`` says by title's position what it is instead.
    ``judged`` is how many titles have letters.
    """

    script: str | None
    language: str | None
    other: Mapping[int, str]
    judged: int


def find_languages(titles: Sequence[str]) -> Languages:
    """Tell which titles are in another script or language than most."""
    scripts = {i: s for i, title in enumerate(titles) if (s := _script_of(title)) is not None}
    main = _most(scripts.values())
    if main is None:
        return Languages(None, None, {}, len(scripts))
    other = {i: f"{s.capitalize()} letters" for i, s in scripts.items() if s != main}
    language = None
    if main == "LATIN":
        hits = {i: _hits(titles[i]) for i, s in scripts.items() if s == main}
        best = {i: max(h, key=h.__getitem__) for i, h in hits.items() if h}
        language = _most(best.values())
        if language is not None:
            for i, name in best.items():
                first, second = hits[i][name], hits[i].get(language, 0)
                if name != language and first >= _LEAST_HITS and first > 2 * second:
                    other[i] = f"reads as {name}"
    return Languages(main.capitalize(), language, dict(sorted(other.items())), len(scripts))


def _most(values: Iterable[str]) -> str | None:
    counts = Counter(values)
    return next((name for name, n in counts.items() if n >= MOST * counts.total()), None)


def _script_of(title: str) -> str | None:
    """The script of most letters, None if there are no letters."""
    counts = Counter(map(_script, filter(str.isalpha, title)))
    return counts.most_common(1)[0][0] if counts else None


@cache
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN").split()[0]
    return _TOGETHER.get(name, name)


def _hits(title: str) -> Counter[str]:
    """How many different words of the title are function words, by language."""
    words = set(_WORD.findall(title.lower()))
    counts = {name: len(words & known) for name, known in WORDS.items()}
    return Counter({name: n for name, n in counts.items() if n})
