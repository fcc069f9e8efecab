"""mmctr_kit.report.index: a page for everything of a folder, and the one that links to them."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from mmctr_kit.activity import heard_by
from mmctr_kit.errors import UsageError
from mmctr_kit.report.index import INDEX, page_names, write_all
from mmctr_kit.runs.writer import begin_run
from tests.report.made import MANIFEST
from tests.report.test_page import Reader

pytestmark = pytest.mark.usefixtures("undrawn")


def test_the_index_links_to_a_page_of_each_run_the_best_first_and_names_what_has_none(
    everything: Path, tmp_path: Path
) -> None:
    root, heard = tmp_path / "runs", list[str]()
    root.mkdir()
    for name in ("alpha", "alpha.ablate", "tuned.study"):
        (root / name).symlink_to(everything / name)
    begin_run(root / "begun", MANIFEST, None, False)
    out = tmp_path / "pages"
    with heard_by(lambda activity: heard.append(str(activity))):
        pages = write_all(root, tmp_path / "submissions", out)
    assert "page 1 of 4: alpha" in heard
    assert page_names(root) == ["alpha", "alpha.ablate", "begun", "tuned.study"]
    assert list(pages.left_out) == ["begun"]
    text = (out / INDEX).read_text("utf-8")
    links = re.findall(r'<th scope="row"><span><a href="([^"]+)">', text)
    assert sorted(links) == sorted(p.name for p in out.iterdir() if p.name != INDEX)
    aucs = [entry.valid.value for entry in pages.written if entry.valid]
    assert aucs == sorted(aucs, reverse=True)
    assert links == [f"{entry.name}.html" for entry in pages.written]
    assert "No page of begun: " in text
    assert "Chosen finalist: trial-7" in text
    read = Reader(text)
    assert read.open == []
    assert "next" not in [a["id"] for a in read.all("section")]


def test_a_link_is_to_the_page_whatever_the_name_of_the_run(
    everything: Path, tmp_path: Path
) -> None:
    root, out = tmp_path / "runs", tmp_path / "pages"
    root.mkdir()
    names = ["javascript:alert(1)", "50%25", "a#b?c"]
    for name in names:
        (root / name).symlink_to(everything / "alpha")
    write_all(root, tmp_path / "submissions", out)
    links = [str(a["href"]) for a in Reader((out / INDEX).read_text("utf-8")).all("a")]
    to_pages = [urlsplit(link) for link in links if ".html" in link]
    assert sorted(unquote(to.path) for to in to_pages) == sorted(f"{n}.html" for n in names)
    assert {to.scheme for to in to_pages} == {""}


def test_a_file_that_is_no_report_stops_it_before_a_page_is_written(
    everything: Path, tmp_path: Path
) -> None:
    (tmp_path / INDEX).write_text("my own site")
    with pytest.raises(UsageError, match="is no report"):
        write_all(everything, tmp_path, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [INDEX]
