"""Generating a data set: its seed, its folder, its progress."""

from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.data.contract import FILES
from mmctr_kit.data.parquet import read_table
from mmctr_kit.datasets.synth import Extras, Truth, generate
from mmctr_kit.errors import UsageError
from tests.datasets.synth.made import SHORT, TINY


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(
    made: tuple[Path, Truth], tmp_path: Path
) -> None:
    generate(tmp_path / "again", SHORT, 3)
    generate(tmp_path / "other", SHORT, 4)
    files = [p.relative_to(made[0]) for p in made[0].rglob("*") if p.is_file()]
    assert len(files) == len(FILES) + 3
    for file in files:
        first = (made[0] / file).read_bytes()
        assert (tmp_path / "again" / file).read_bytes() == first
        assert (tmp_path / "other" / file).read_bytes() != first


def test_a_folder_in_use_is_refused_and_an_empty_one_is_filled(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        generate(tmp_path / "used", TINY, 0)
    with pytest.raises(UsageError, match="cannot write beside"):
        generate(tmp_path / "used" / "notes.txt" / "out", TINY, 0)
    with pytest.raises(UsageError, match="seed"):
        generate(tmp_path / "new", TINY, -1)
    (tmp_path / "empty").mkdir()
    generate(tmp_path / "empty", TINY, 0)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_dir()) == sorted(
        ["used", "empty", "data", "truth", "MicroLens_1M_x1"]
    )


def test_a_generation_that_breaks_off_leaves_nothing_and_progress_reaches_its_total(
    tmp_path: Path,
) -> None:
    steps: list[tuple[str, int, int]] = []

    def watch(stage: str, done: int, total: int) -> None:
        steps.append((stage, done, total))
        if stage == "files" and done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "out", TINY, 0, watch)
    assert not list(tmp_path.iterdir())
    assert steps[0] == ("items", 0, 1)
    assert [s for s in steps if s[0] == "users"][-1] == ("users", 2_800, 2_800)


def test_extras_change_titles_and_items_and_no_row_of_the_splits(
    made: tuple[Path, Truth], tmp_path: Path
) -> None:
    out, truth = tmp_path / "out", made[1]
    assert generate(out, SHORT, 3, extras=Extras(covers=True)) == truth
    same = {p.relative_to(out) for p in out.rglob("*.parquet")} - {
        Path("data/item_feature.parquet")
    }
    for file in same:
        assert (out / file).read_bytes() == (made[0] / file).read_bytes()
    feature = read_table(out / "data", FILES["item_feature"], ("item_title", "img_emb_CLIPRN50"))
    covers = {int(p.stem) for p in (out / "data" / "item_images").iterdir()}
    assert covers == set(np.flatnonzero(feature["img_emb_CLIPRN50"].dense().any(axis=1)) + 1)
    assert sum(title == "" for title in feature["item_title"]) > 0
    generate(tmp_path / "again", SHORT, 3, extras=Extras(covers=True))
    for path in (out / "data" / "item_images").iterdir():
        again = tmp_path / "again" / "data" / "item_images" / path.name
        assert again.read_bytes() == path.read_bytes()
