"""The checks of items together: what they find of planted bad items, and what of clean ones."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.data.modalities import held_modalities, load_modality
from mmctr_kit.embed.quality import CHECKS, ItemQuality, item_quality, require_checks, write_drops
from mmctr_kit.errors import UsageError
from tests.embed.quality.made import catalogue, planted

FINDS = {
    "text-near-zero": ("text", "near_zero"),
    "text-duplicate": ("text", "duplicate"),
    "text-far": ("text", "far"),
    "title-empty": ("text", "empty"),
    "title-language": ("text", "language"),
    "image-near-zero": ("image", "near_zero"),
    "image-duplicate": ("image", "duplicate"),
    "image-far": ("image", "far"),
    "picture-broken": ("image", "truncated"),
    "picture-tiny": ("image", "tiny"),
    "picture-grey": ("image", "grey"),
    "picture-duplicate": ("image", "duplicate"),
    "text-image": ("image", "swapped"),
}
"""The kind of planted bad items that each check is for."""


@pytest.fixture(scope="module")
def spoilt(spoilt_items: Path) -> ItemQuality:
    return quality_of(load(spoilt_items))


def quality_of(data: ChallengeData, progress: Any = lambda *_: None) -> ItemQuality:
    vectors = {m: load_modality(data, m) for m in held_modalities(data)}
    return item_quality(data, vectors, progress)


def flagged(quality: ItemQuality) -> dict[str, set[int]]:
    return {o.check.id: set(o.items.tolist()) for o in quality.outcomes}


def test_every_check_finds_the_kind_that_it_is_for(spoilt: ItemQuality, spoilt_items: Path) -> None:
    truth, seen = planted(spoilt_items), flagged(spoilt)
    assert set(seen) == set(CHECKS)
    for check, kind in FINDS.items():
        recall = len(truth[kind] & seen[check]) / len(truth[kind])
        assert recall == 1 if check != "text-image" else recall > 0.5


def test_nearly_all_that_is_pointed_to_was_planted(spoilt: ItemQuality, spoilt_items: Path) -> None:
    bad = set().union(*planted(spoilt_items).values())
    for outcome in spoilt.outcomes:
        allowed = len(outcome.items) if outcome.check.id.endswith("-duplicate") else 4
        assert len(set(outcome.items.tolist()) - bad) <= allowed


@pytest.mark.slow
def test_a_clean_catalogue_has_next_to_no_finding(tmp_path_factory: pytest.TempPathFactory) -> None:
    quality = quality_of(load(catalogue(tmp_path_factory.getbasetemp(), 0.0)))
    assert not quality.skipped
    assert len({item for item, _, _ in quality.drops(tuple(CHECKS))}) < 0.002 * quality.n_items


def test_findings_have_a_line_each_and_items_in_range(spoilt: ItemQuality) -> None:
    for outcome in spoilt.outcomes:
        assert len(outcome.why) == len(outcome.items) <= outcome.judged
        assert all(outcome.why)
        assert len(set(outcome.items.tolist())) == len(outcome.items)
        assert ((outcome.items >= 1) & (outcome.items <= spoilt.n_items)).all()


def test_without_pictures_or_titles_their_checks_are_left_out_with_the_reason(
    tiny: ChallengeData,
) -> None:
    quality = quality_of(tiny)
    assert {n for n in quality.skipped if n.startswith("picture-")} == {
        n for n in CHECKS if n.startswith("picture-")
    }
    assert quality.skipped["picture-grey"] == "the folder has no item_images"
    assert "share too little" in quality.skipped["text-image"]  # 300 items are few
    assert "title-language" in flagged(quality)
    assert {*quality.skipped, *flagged(quality)} == set(CHECKS)


def test_without_item_feature_nothing_is_left_and_all_checks_say_why(
    tiny_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_root / "data", tmp_path / "data")
    (tmp_path / "data" / "item_feature.parquet").unlink()
    quality = quality_of(load(tmp_path / "data"))
    assert quality.outcomes == ()
    assert set(quality.skipped) == set(CHECKS)
    assert quality.left_out()["there are no text vectors"][0] == "text-near-zero"


def test_the_file_of_dropped_modalities_has_each_pair_once_with_its_reasons(
    spoilt: ItemQuality, tmp_path: Path
) -> None:
    names = ("image-duplicate", "picture-duplicate", "title-empty")
    rows = write_drops(tmp_path / "bad.csv", spoilt, names)
    head, *lines = (tmp_path / "bad.csv").read_text().splitlines()
    assert head == "item_id,modality,reason"
    assert len(lines) == rows
    items, modalities, reasons = zip(*(line.split(",") for line in lines), strict=True)
    assert list(map(int, items)) == sorted(map(int, items))
    assert len(set(zip(items, modalities, strict=True))) == rows
    assert "image-duplicate picture-duplicate" in reasons
    assert set(" ".join(reasons).split()) == set(names)


def test_a_place_that_cannot_be_written_is_a_mistake_and_a_missing_folder_is_made(
    spoilt: ItemQuality, tmp_path: Path
) -> None:
    write_drops(tmp_path / "new" / "bad.csv", spoilt, ["picture-grey"])
    with pytest.raises(UsageError, match=r"cannot write '.*' \(.*\); name another file"):
        write_drops(tmp_path / "new" / "bad.csv" / "bad.csv", spoilt, ["picture-grey"])


def test_what_is_dropped_by_default_surely_says_nothing() -> None:
    assert require_checks(None) == (
        "text-near-zero",
        "title-empty",
        "image-near-zero",
        "picture-broken",
        "picture-tiny",
        "picture-grey",
    )
    assert require_checks(["text-far"]) == ("text-far",)
    with pytest.raises(UsageError, match=r"no check 'text-fra' \(did you mean text-far\?\)"):
        require_checks(["text-fra"])


def test_progress_reaches_its_total(tiny: ChallengeData) -> None:
    steps: list[tuple[str, int, int]] = []
    quality_of(tiny, lambda *step: steps.append(step))
    assert ("text vectors", 4, 4) in steps
    assert np.all([done <= total for _, done, total in steps])


def test_one_modality_alone_is_checked_too(tiny: ChallengeData) -> None:
    quality = item_quality(tiny, {"image": load_modality(tiny, "image")})
    assert quality.skipped["text-far"] == quality.skipped["title-empty"]
    assert quality.skipped["text-image"] == "it needs both text and image vectors"
    assert {"image-far", "title-language"} <= set(flagged(quality))
