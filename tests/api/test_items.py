"""Items from Python."""

from pathlib import Path

import mmctr_kit


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
