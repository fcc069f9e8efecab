"""Items from Python: encoding them, and their quality."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmctr_kit
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.data.modalities import load_modality
from mmctr_kit.embed.content import Content
from mmctr_kit.errors import UsageError
from mmctr_kit.recipe import Items
from tests.embed.encode.conftest import bert, fake, pictured

__all__ = ["bert", "fake", "pictured"]  # fixtures


@pytest.mark.usefixtures("fake")
def test_vectors_are_written_and_shown_as_tables(
    pictured: Path, bert: Path, tmp_path: Path
) -> None:
    out, events = tmp_path / "v.parquet", list[ProgressEvent]()
    made = mmctr_kit.encode_items(
        pictured, out, text=str(bert), batch_size=8, device="cpu", progress=events.append
    )
    assert out.is_file()
    (row,) = made.columns().to_dict("records")
    assert (row["modality"], row["encoder"], row["width"]) == ("text", "bert", 3)
    assert row["items"] + row["missing"] == 300
    missing = made.missing()
    assert missing.columns.tolist() == ["modality", "item_id", "kind", "fault"]
    assert len(missing) == row["missing"] > 0
    assert "bert" in made._repr_html_()
    assert events[0].kind == "begin"
    assert (events[-1].done, events[-1].total) == (300, 300)
    lines = [event.text for event in events if event.text]
    assert len(lines) <= 10
    assert "of 300 items" in lines[0]
    assert "left" in lines[0]
    again = list[ProgressEvent]()
    mmctr_kit.encode_items(
        pictured, out, text=str(bert), batch_size=8, device="cpu", progress=again.append
    )
    assert [event.kind for event in again] == ["finished"]


@pytest.mark.usefixtures("fake")
def test_a_dry_run_writes_nothing(pictured: Path, bert: Path, tmp_path: Path) -> None:
    made = mmctr_kit.encode_items(
        pictured, tmp_path / "v.parquet", text=str(bert), device="cpu", dry_run=True
    )
    assert made.report.sampled
    assert made.report.n_items == 300
    assert not list(tmp_path.glob("v*"))


def test_an_encoder_and_a_file_to_write_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name an encoder: --text MODEL"):
        mmctr_kit.encode_items(tmp_path, tmp_path / "v.parquet")
    with pytest.raises(UsageError, match=r"end it in \.parquet"):
        mmctr_kit.encode_items(tmp_path, tmp_path / "v.csv", text="x")
    with pytest.raises(UsageError, match="batch size 0"):
        mmctr_kit.encode_items(tmp_path, tmp_path / "v.parquet", text="x", batch_size=0)
    (tmp_path / "v.parquet").touch()
    with pytest.raises(UsageError, match=r"exists; name another file, or --force"):
        mmctr_kit.encode_items(tmp_path, tmp_path / "v.parquet", text="x")


@pytest.mark.slow
def test_the_quality_of_items_is_a_table_a_file_and_a_page(
    spoilt_items: Path, tmp_path: Path
) -> None:
    stages: list[str] = []
    quality = mmctr_kit.item_quality(
        str(spoilt_items), progress=lambda event: stages.append(event.label)
    )
    assert {"text vectors", "pictures", "text and image"} <= set(stages)
    table, findings = quality.table(), quality.findings()
    assert table.columns.tolist() == ["check", "modality", "judged", "items", "share", "examples"]
    assert table["items"].sum() == len(findings)
    assert findings.columns.tolist() == ["item_id", "check", "modality", "why"]
    rows = quality.write_drops(tmp_path / "bad.csv", ["picture-grey"])
    assert rows == (findings.check == "picture-grey").sum() > 0
    quality.write_report(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<img ") > 50
    assert "picture-grey" in quality._repr_html_()


def test_the_quality_of_encoded_vectors_is_theirs_and_a_wrong_file_is_a_mistake(
    tiny_root: Path, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    x[4] = x[7]
    text = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 8)
    pq.write_table(pa.table({"item_id": np.arange(1, 301), "text": text}), tmp_path / "v.parquet")
    given = mmctr_kit.item_quality(tiny_root / "data").table().set_index("check")
    quality = mmctr_kit.item_quality(tiny_root / "data", encoded=tmp_path / "v.parquet")
    encoded = quality.table().set_index("check")
    assert encoded.examples["text-duplicate"] == [5, 8]
    assert encoded.judged["text-duplicate"] == 300 > given.judged["text-duplicate"]
    assert encoded.judged["image-far"] == given.judged["image-far"]
    with pytest.raises(UsageError, match=r"no file at 'nowhere\.parquet'"):
        mmctr_kit.item_quality(tiny_root / "data", encoded="nowhere.parquet")


@pytest.mark.slow
def test_a_file_of_drops_makes_a_recipe_take_the_items_as_missing(
    spoilt_items: Path, tmp_path: Path
) -> None:
    quality = mmctr_kit.item_quality(spoilt_items)
    quality.write_drops(tmp_path / "bad.csv", ["picture-tiny", "text-far"])
    data = mmctr_kit.load_data(spoilt_items)
    items = Items(embedding="separate_pca", drop_modality=str(tmp_path / "bad.csv"))
    content = Content.of(data, items)
    bad = quality.findings().groupby("check").item_id.apply(list)
    for modality, check in (("image", "picture-tiny"), ("text", "text-far")):
        assert load_modality(data, modality)[bad[check]].any(axis=1).all()
        assert not content.vectors(modality)[bad[check]].any()
