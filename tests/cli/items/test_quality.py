"""``mmctr-kit items quality`` as a user types it."""

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import mistake, run


@pytest.mark.slow
def test_it_prints_a_table_and_writes_the_page_and_the_file(
    spoilt_items: Path, tmp_path: Path
) -> None:
    page, drops = tmp_path / "q.html", tmp_path / "bad.csv"
    done = run("items", "quality", str(spoilt_items), "--out", str(page), "--drop", str(drops))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["check", "worst", "items", "items", "share"]
    assert any(line.split()[0] == "text-image" for line in lines if line.strip())
    assert max(len(line) for line in lines[:16]) <= 80
    assert f"wrote {page}" in done.output
    with drops.open() as file:
        rows = list(csv.DictReader(file))
    assert f"{len(rows)} modalities marked as missing" in done.output
    assert {row["modality"] for row in rows} == {"text", "image"}
    assert page.read_text("utf-8").count("data:image/jpeg;base64,") > 50


def test_json_has_every_item_and_what_was_left_out(tiny_root: Path) -> None:
    done = run("items", "quality", str(tiny_root / "data"), "--json")
    content = json.loads(done.stdout)
    assert content["items"] == 300
    assert content["left_out"]["picture-tiny"] == "the folder has no item_images"
    assert [c["check"] for c in content["checks"]][:2] == ["text-near-zero", "text-duplicate"]
    assert all(len(c["items"]) == len(c["why"]) for c in content["checks"])


def test_what_is_left_out_is_said_once_for_each_reason(tiny_root: Path) -> None:
    done = run("items", "quality", str(tiny_root / "data"))
    assert done.output.count("no item_images") == 1
    assert "left out: picture-broken, picture-tiny, picture-grey, picture-duplicate" in done.output


@pytest.mark.slow
def test_checks_for_the_file_are_chosen_by_name(
    spoilt_items: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, drops = ("items", "quality", str(spoilt_items)), tmp_path / "bad.csv"
    done = run(*command, "--drop", str(drops), "--drop-checks", "text-far,image-far")
    assert done.exit_code == 0, done.output
    with drops.open() as file:
        assert {row["reason"] for row in csv.DictReader(file)} == {"text-far", "image-far"}
    code, error = mistake(capsys, *command, "--drop", str(drops))
    assert code == 2
    assert "exists; use --force" in error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--drop-checks", "text-far"), "give --drop too"),
        (("--drop", "bad.txt"), "end it in .csv"),
        (("--drop", "bad.csv", "--drop-checks", "text-fra"), "did you mean text-far?"),
        (("--out", "page.txt"), "end it in .html"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    arguments: tuple[str, ...],
    says: str,
    tiny_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = mistake(capsys, "items", "quality", str(tiny_root / "data"), *arguments)
    assert code == 2
    assert says in error
    assert not list(tmp_path.iterdir())


def test_no_folder_is_a_mistake_that_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = mistake(capsys, "items", "quality", "nowhere")
    assert code == 2
    assert "no data folder at 'nowhere'" in error
