"""Planted bad items: each kind is what it says, and nothing else changes."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageStat

from mmctr_kit.datasets.synth import Extras, generate
from mmctr_kit.datasets.synth.bad import BadItem, plant, require_share, spoil_covers, write_truth
from mmctr_kit.errors import UsageError
from tests.datasets.synth.made import TINY

N = 600


def planted(share: float = 0.2, covers: bool = True) -> tuple[dict, dict, tuple[BadItem, ...]]:
    rng = np.random.default_rng(0)
    text, image = (1 + rng.standard_normal((N, d)).astype(np.float32) for d in (24, 16))
    text[::30], image[1::30] = 0, 0
    before = {"titles": [f"title {i}" for i in range(N)], "text": text, "image": image}
    after = {"titles": before["titles"].copy(), "text": text.copy(), "image": image.copy()}
    bad = plant(*after.values(), share, covers, np.random.default_rng(1))
    return before, after, bad


def test_the_share_is_kept_all_kinds_are_alike_and_an_item_is_bad_in_one_way() -> None:
    _, _, bad = planted()
    assert 0.19 * N <= len(bad) <= 0.2 * N
    assert len({b.item_id for b in bad}) == len(bad)
    counts = Counter((b.modality, b.kind) for b in bad)
    assert len(counts) == 12
    assert set(counts.values()) == {10}
    without = {b.kind for b in planted(covers=False)[2]}
    assert without == {b.kind for b in bad} - {"tiny", "grey", "truncated"}


def test_only_the_named_modality_of_the_named_items_changes() -> None:
    before, after, bad = planted()
    for modality in ("text", "image"):
        changed = np.flatnonzero((before[modality] != after[modality]).any(axis=1)) + 1
        assert set(changed) == {b.item_id for b in bad if b.modality == modality}
    changed_titles = {i + 1 for i in range(N) if before["titles"][i] != after["titles"][i]}
    assert changed_titles == {
        b.item_id
        for b in bad
        if b.kind in ("language", "empty") or (b.modality, b.kind) == ("text", "duplicate")
    }


def test_each_kind_is_what_its_name_says() -> None:
    before, after, bad = planted()
    everything = {(b.modality, b.kind): b for b in bad}
    for (modality, kind), b in everything.items():
        old, new = before[modality], after[modality]
        at = b.item_id - 1
        if kind == "near_zero":
            assert 0 < np.linalg.norm(new[at]) < 1e-3 * np.linalg.norm(old[at])
        if kind in ("duplicate", "swapped"):
            assert (new[at] == old[b.other - 1]).all()
        if kind == "swapped":
            assert (new[b.other - 1] == old[at]).all()
        if kind == "far":
            far = np.linalg.norm(new - old.mean(axis=0), axis=1)
            assert far[at] > 2 * np.median(far)
    assert after["titles"][everything["text", "empty"].item_id - 1] == ""
    assert everything["text", "language"].other == 0


def test_pictures_are_spoilt_as_their_kinds_say(tmp_path: Path) -> None:
    folder = tmp_path / "item_images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for item in range(1, 8):
        Image.fromarray(rng.integers(256, size=(96, 96, 3), dtype=np.uint8)).save(
            folder / f"{item}.jpg"
        )
    before = {item: (folder / f"{item}.jpg").read_bytes() for item in range(1, 8)}
    kinds = (
        ("tiny", 0),
        ("grey", 0),
        ("truncated", 0),
        ("duplicate", 7),
        ("swapped", 6),
        ("swapped", 5),
    )
    bad = [BadItem(item, "image", kind, other) for item, (kind, other) in enumerate(kinds, 1)]
    spoil_covers(tmp_path, [*bad, BadItem(7, "text", "duplicate", 3)])
    after = {item: (folder / f"{item}.jpg").read_bytes() for item in range(1, 8)}
    with Image.open(folder / "1.jpg") as tiny, Image.open(folder / "2.jpg") as grey:
        assert max(tiny.size) < 16
        assert max(ImageStat.Stat(grey).stddev) == 0
    with Image.open(folder / "3.jpg") as truncated, pytest.raises(OSError, match="truncated"):
        truncated.load()
    assert after[4] == after[7] == before[7]
    assert (after[5], after[6]) == (before[6], before[5])
    assert len(list(folder.iterdir())) == 7


def test_the_truth_is_a_csv_file_with_a_row_a_bad_item(tmp_path: Path) -> None:
    generate(tmp_path / "world", TINY, 0, extras=Extras(covers=True, bad=0.1))
    with (tmp_path / "world" / "truth" / "bad_items.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert 26 <= len(rows) <= 30
    assert list(rows[0]) == ["item_id", "modality", "kind", "other"]
    write_truth(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text() == "item_id,modality,kind,other\n"


@pytest.mark.parametrize("share", [-0.1, 0.6, float("nan")])
def test_a_share_that_cannot_be_bad_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match=r"share of bad items is .*; expected 0 to 0\.5"):
        require_share(share)
