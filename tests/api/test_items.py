"""Encoding from Python."""

from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.errors import UsageError
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
