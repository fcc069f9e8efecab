"""mmctr_kit.report.sections.quality: the page on the quality of the items."""

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.embed.quality import ItemQuality
from mmctr_kit.errors import UsageError
from mmctr_kit.report.page import write_quality
from mmctr_kit.report.sections.quality import WORST, picture_uri, quality_advice, quality_sections
from tests.embed.test_quality import quality_of
from tests.report import browser
from tests.report.test_browser import CONTRASTS
from tests.report.test_page import Reader

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@pytest.fixture(scope="module")
def quality(spoilt_items: Path) -> ItemQuality:
    return quality_of(load(spoilt_items))


def test_each_check_with_findings_has_a_section_of_the_worst(quality: ItemQuality) -> None:
    table, *sections = quality_sections(quality)
    assert len(table.tables[0].rows) == len(quality.outcomes)
    with_findings = [o for o in quality.outcomes if len(o.items)]
    assert [s.name for s in sections] == [o.check.id for o in with_findings]
    for section, outcome in zip(sections, with_findings, strict=True):
        assert len(section.thumbnails) == min(WORST, len(outcome.items))
        assert section.thumbnails[0].name == f"Item {outcome.items[0]}"


def test_the_page_has_a_picture_with_a_description_for_every_item_that_has_one(
    quality: ItemQuality, spoilt_items: Path, tmp_path: Path
) -> None:
    out = tmp_path / "quality.html"
    write_quality(quality, spoilt_items, out)
    reader = Reader(out.read_text("utf-8"))
    assert not reader.open
    images = reader.all("img")
    assert len(images) > 100
    assert all(str(i["alt"]).startswith("Picture of item ") for i in images)
    assert all(str(i["src"]).startswith("data:image/jpeg;base64,") for i in images)
    assert out.stat().st_size < 1_500_000
    write_quality(quality, spoilt_items, out)  # a report is replaced
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(UsageError, match="is no report"):
        write_quality(quality, spoilt_items, tmp_path / "mine.html")


def test_a_title_cannot_break_the_page(
    quality: ItemQuality, spoilt_items: Path, tmp_path: Path
) -> None:
    evil = replace(quality, titles=["<script>alert('x')</script>"] * quality.n_items)
    write_quality(evil, spoilt_items, tmp_path / "q.html")
    assert len(Reader((tmp_path / "q.html").read_text("utf-8")).all("script")) == 1  # its own


def test_a_picture_is_small_a_grey_one_is_shown_and_a_broken_one_is_not(tmp_path: Path) -> None:
    Image.effect_noise((900, 400), 90).convert("RGB").save(tmp_path / "1.jpg")
    Image.new("RGB", (50, 50), "grey").save(tmp_path / "2.jpg")
    (tmp_path / "3.jpg").write_bytes(b"no picture")
    pictures = {item: tmp_path / f"{item}.jpg" for item in (1, 2, 3)}
    sizes = []
    for item in (1, 2):
        data = picture_uri(pictures, item).removeprefix("data:image/jpeg;base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as shown:
            sizes.append(shown.size)
    assert sizes == [(128, 57), (50, 50)]
    assert [picture_uri(pictures, item) for item in (3, 4)] == ["", ""]


def test_advice_names_other_checks_only_if_the_usual_ones_point_to_nothing(
    quality: ItemQuality, tiny: ChallengeData
) -> None:
    assert quality_advice(quality)[0].command.endswith("--drop bad.csv")
    unsure = replace(quality, outcomes=tuple(o for o in quality.outcomes if not o.check.by_default))
    assert "--drop-checks text-duplicate,text-far" in quality_advice(unsure)[0].command
    [nothing] = quality_advice(quality_of(tiny))
    assert "No check points to an item" in nothing.why


@pytest.mark.slow
def test_on_a_phone_nothing_is_wider_than_the_screen_and_text_has_contrast(
    quality: ItemQuality, spoilt_items: Path, tmp_path: Path, driver: "Chrome"
) -> None:
    out = tmp_path / "quality.html"
    write_quality(quality, spoilt_items, out)
    for dark in (False, True):
        browser.show(driver, out, 390, dark)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
        assert min(driver.execute_script(CONTRASTS))[0] >= 4.5
