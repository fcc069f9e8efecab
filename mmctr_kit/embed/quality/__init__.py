"""The quality of the items' texts and images: which look as if they say nothing of their item.

No label and no user is read. What cannot be checked, for lack of a file or column, is left out and
named. A finding is a reason to look, not a verdict: see each check's ``meaning``.
"""

import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmctr_kit.data.contract import IMAGES_FOLDER, Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.content import DROP_COLUMNS
from mmctr_kit.embed.encode.content import read_content
from mmctr_kit.embed.pictures import Fault, picture_paths, read_pictures
from mmctr_kit.embed.quality.agreement import CUT, LEAST_ITEMS, LEAST_POWER, measure_agreement
from mmctr_kit.embed.quality.language import find_languages
from mmctr_kit.embed.quality.vectors import (
    Flagged,
    duplicates,
    far,
    near_duplicates,
    near_zero,
    same_keys,
)
from mmctr_kit.errors import DataError, UsageError, did_you_mean, unwritable
from mmctr_kit.files import write_whole
from mmctr_kit.metrics.ranks import Flags, Floats32, Ints

Progress = Callable[[str, int, int], None]
_PICTURE_SIDE = 64
_PICTURES = 512


@dataclass(frozen=True)
class Check:
    """A check, and the ``modality`` that is marked as missing if its items are dropped.

    ``meaning`` ends the sentence *it points to an item if ...*; ``by_default``: whether it is among
    the checks that are dropped unless others are named.
    """

    id: str
    modality: Modality
    meaning: str
    by_default: bool = False


def _of_vectors(modality: Modality) -> tuple[Check, ...]:
    each = (
        ("near-zero", "is shorter than 1 % of the median length", True),
        ("duplicate", "is exactly that of another item, as placeholders' are", False),
        ("near-duplicate", "is within 5 % of the usual distance of another item's", False),
        ("far", "is 6 robust standard deviations farther from the centre than most", False),
    )
    return tuple(
        Check(f"{modality}-{name}", modality, f"its {modality} vector {what}", default)
        for name, what, default in each
    )


CHECKS: Mapping[str, Check] = {
    check.id: check
    for check in (
        *_of_vectors("text"),
        Check("title-empty", "text", "it has a text vector and no title", True),
        Check("title-language", "text", "its title is in another script or language than most"),
        *_of_vectors("image"),
        Check("picture-broken", "image", "its picture cannot be read", True),
        Check("picture-tiny", "image", "its picture has a side of less than 16 pixels", True),
        Check("picture-grey", "image", "its picture has one colour", True),
        Check("picture-duplicate", "image", "its picture file is that of another item"),
        Check("text-image", "image", "text and image look like those of two items"),
    )
}
"""Every check by its id."""
_FAULTS = {"too_small": "picture-tiny", "grey": "picture-grey"}
"""The checks of pictures' faults; every other fault makes a picture broken."""


@dataclass(frozen=True)
class Outcome:
    """The items that a check points to: ``items`` (k,) int64, worst first, and a line on each.

    ``judged`` is how many items it looked at.
    """

    check: Check
    judged: int
    items: Ints
    why: Sequence[str]


@dataclass(frozen=True)
class ItemQuality:
    """The outcomes of the checks that could be made, in the order of :data:`CHECKS`.

    ``skipped`` says by check why it was left out. ``notes`` are sentences on the whole. ``titles``
    has every item's title, none if the folder has no titles; ``pictures`` the files by item.
    """

    n_items: int
    outcomes: tuple[Outcome, ...]
    skipped: Mapping[str, str]
    notes: tuple[str, ...]
    titles: Sequence[str] = field(repr=False)
    pictures: Mapping[int, Path] = field(repr=False)

    def left_out(self) -> dict[str, list[str]]:
        """The checks that were skipped, by the reason."""
        reasons: dict[str, list[str]] = {}
        for name, why in self.skipped.items():
            reasons.setdefault(why, []).append(name)
        return reasons

    def drops(self, checks: Sequence[str]) -> Iterator[tuple[int, Modality, str]]:
        """Item, modality and reason for what these checks point to, by item, each pair once."""
        reasons: dict[tuple[int, Modality], list[str]] = {}
        for outcome in self.outcomes:
            if outcome.check.id in checks:
                for item in outcome.items.tolist():
                    reasons.setdefault((item, outcome.check.modality), []).append(outcome.check.id)
        for (item, modality), why in sorted(reasons.items()):
            yield item, modality, " ".join(why)


def require_checks(names: Sequence[str] | None) -> tuple[str, ...]:
    """The checks by these names, those of ``by_default`` if None; UsageError for an unknown one."""
    if names is None:
        return tuple(check.id for check in CHECKS.values() if check.by_default)
    for name in names:
        if name not in CHECKS:
            hint = did_you_mean(name, CHECKS)
            raise UsageError(f"no check '{name}'{hint}; expected some of {', '.join(CHECKS)}")
    return tuple(names)


def write_drops(path: Path, quality: ItemQuality, checks: Sequence[str]) -> int:
    """Write the file that recipe key ``items.drop_modality`` reads; return how many rows it has.

    Raises UsageError if it cannot be written.
    """
    rows = list(quality.drops(checks))

    def write(to: Path) -> None:
        with to.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(DROP_COLUMNS)
            lines.writerows(rows)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
    except OSError as e:
        raise unwritable(f"cannot write '{path}' ({e.strerror}); name another file", e) from e
    return len(rows)


def item_quality(
    data: ChallengeData,
    vectors: Mapping[Modality, Floats32],
    progress: Progress = lambda _stage, _done, _total: None,
) -> ItemQuality:
    """Make every check of :data:`CHECKS` that the folder and the vectors allow.

    ``vectors`` (n_items + 1, d) float32, by item id, zero if an item lacks the modality.
    ``progress`` is called with a stage's name, the steps done and their total.
    """
    making = _Making(data, vectors, progress)
    making.check_vectors()
    making.check_titles()
    making.check_pictures()
    making.check_agreement()
    outcomes = tuple(making.outcomes[name] for name in CHECKS if name in making.outcomes)
    return ItemQuality(
        data.n_items,
        outcomes,
        {name: making.skipped[name] for name in CHECKS if name in making.skipped},
        tuple(making.notes),
        making.titles,
        making.pictures,
    )


class _Making:
    """What the checks of one data set share, and what they have come to so far."""

    def __init__(
        self, data: ChallengeData, vectors: Mapping[Modality, Floats32], progress: Progress
    ) -> None:
        self._data, self._vectors, self._progress = data, vectors, progress
        self.outcomes: dict[str, Outcome] = {}
        self.skipped: dict[str, str] = {}
        self.notes: list[str] = []
        self.titles, self._no_titles = _titles(data)
        files = sorted(picture_paths(data.folder).items())
        self.pictures = {item: path for item, path in files if 1 <= item <= data.n_items}
        self._usable: dict[Modality, Ints] = {}
        """The items with a vector that is not near zero."""

    def _add(self, name: str, judged: int, flagged: Flagged) -> None:
        self.outcomes[name] = Outcome(CHECKS[name], judged, *flagged)

    def _skip(self, why: str, *names: str) -> None:
        self.skipped |= dict.fromkeys(names, why)

    def _note_missing(self, what: str, having: int) -> None:
        if missing := self._data.n_items - having:
            self.notes.append(f"{missing:,} of {self._data.n_items:,} items have no {what}.")

    def check_vectors(self) -> None:
        for modality in _MODALITIES:
            names = [c.id for c in _of_vectors(modality)]
            if modality not in self._vectors:
                self._skip(f"there are no {modality} vectors", *names)
                continue
            self._progress(f"{modality} vectors", 0, len(names))
            vectors = self._vectors[modality]
            has = 1 + np.flatnonzero(_any(vectors[1:]))
            flagged = near_zero(vectors, has)
            rows = np.setdiff1d(has, flagged[0])
            self._usable[modality] = rows
            self._add(names[0], len(has), flagged)
            for done, (name, check) in enumerate(
                zip(names[1:], (duplicates, near_duplicates, far), strict=True), 1
            ):
                self._progress(f"{modality} vectors", done, len(names))
                self._add(name, len(rows), check(vectors, rows))
            self._progress(f"{modality} vectors", len(names), len(names))
            self._note_missing(modality, len(has))

    def check_titles(self) -> None:
        if not self.titles:
            self._skip(self._no_titles, "title-empty", "title-language")
            return
        filled = np.array([bool(title) for title in self.titles])
        if "text" in self._vectors:
            usable = self._usable["text"]
            bad = usable[~filled[usable - 1]]
            self._add("title-empty", len(usable), (bad, ["no title"] * len(bad)))
        else:
            self._skip("there are no text vectors", "title-empty")
        languages = find_languages(self.titles)
        if languages.script is None:
            self._skip("no script has 80 % of the titles", "title-language")
            return
        rows = np.array(list(languages.other), np.int64) + 1
        self._add("title-language", languages.judged, (rows, list(languages.other.values())))
        main = languages.language or "no language that function words tell"
        self.notes.append(f"Most titles are in {languages.script} letters and {main}.")

    def check_pictures(self) -> None:
        names = [name for name in CHECKS if name.startswith("picture-")]
        if not self.pictures:
            self._skip(f"the folder has no {IMAGES_FOLDER}", *names)
            return
        items = np.array(list(self.pictures), np.int64)
        paths = list(self.pictures.values())
        bad: dict[str, tuple[list[int], list[str]]] = {name: ([], []) for name in names[:-1]}
        digests: list[bytes] = []
        for low in range(0, len(paths), _PICTURES):
            self._progress("pictures", low, len(paths))
            some = paths[low : low + _PICTURES]
            read = read_pictures(some, _PICTURE_SIDE, os.cpu_count() or 1)
            for item, picture in zip(items[low : low + _PICTURES], read, strict=True):
                if isinstance(picture, Fault):
                    of_items, why = bad[_FAULTS.get(picture.kind, "picture-broken")]
                    of_items.append(int(item))
                    why.append(picture.text)
            digests += map(_digest, some)
        self._progress("pictures", len(paths), len(paths))
        for name, (of_items, why) in bad.items():
            self._add(name, len(paths), (np.array(of_items, np.int64), why))
        self._add(names[-1], len(paths), same_keys(np.array(digests), items, "picture"))
        self._note_missing("picture file", len(paths))

    def check_agreement(self) -> None:
        if len(self._vectors) < 2:
            self._skip("it needs both text and image vectors", "text-image")
            return
        rows = np.intersect1d(self._usable["text"], self._usable["image"])
        if len(rows) < LEAST_ITEMS:
            self._skip(f"fewer than {LEAST_ITEMS} items have text and image", "text-image")
            return
        self._progress("text and image", 0, 1)
        made = measure_agreement(self._vectors["text"], self._vectors["image"], rows)
        self._progress("text and image", 1, 1)
        if made.power < LEAST_POWER:
            why = f"it would point to {made.power:.0%} of swapped images: they share too little"
            self._skip(why, "text-image")
            return
        order = np.argsort(made.score, kind="stable")
        bad = order[made.score[order] < CUT]
        why_each = [f"log likelihood ratio {made.score[i]:.1f}" for i in bad]
        self._add("text-image", len(rows), (rows[bad], why_each))
        self.notes.append(
            f"Check text-image would point to {made.power:.0%} of items with another item's image."
        )


_MODALITIES: tuple[Modality, ...] = ("text", "image")


def _any(vectors: Floats32) -> Flags:
    """(n,) bool: which vectors are not zero; a whole one at once would double the memory."""
    return np.concatenate(
        [v.any(axis=1) for v in np.array_split(vectors, len(vectors) // 8192 + 1)]
    )


def _digest(path: Path) -> bytes:
    """A hash of a file's bytes, the path itself if it cannot be read."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        return os.fsencode(path)


def _titles(data: ChallengeData) -> tuple[Sequence[str], str]:
    """The title of each item 1..n_items; or none, and why."""
    try:
        return read_content(data.folder, text=True, image=False).titles, ""
    except DataError as e:
        return (), str(e)
