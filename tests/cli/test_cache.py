"""``mmctr-kit cache``: where it is, how large, and empty after it was cleared."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import mmctr_kit
from mmctr_kit.data.cache import KINDS, cached
from tests.cli.conftest import mistake, run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two entries of one kind."""
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "cache"))
    for k in (1, 2):
        cached("data", {}, {"k": k}, lambda: ({"a": np.zeros(5000)}, {}))
    return tmp_path / "cache"


def test_the_cache_is_shown_by_kind_and_cleared_if_asked(cache: Path) -> None:
    shown = run("cache").output
    assert shown.startswith(f"cache: {cache}\n")
    assert "data" in shown
    assert re.search(r"data +data folders, as they were read +yes +2 +80\.\d kB", shown)
    assert "'mmctr-kit cache clear' deletes it at any time" in shown
    assert "by name:" not in shown
    content = json.loads(run("cache", "--json").output)
    (kind,) = content["kinds"]
    assert (content["folder"], kind["kind"], kind["entries"]) == (str(cache), "data", 2)
    freed = json.loads(run("cache", "clear", "data", "--yes", "--json").output)["freed"]
    assert freed == kind["size"]
    assert run("cache").output == f"cache: {cache}\nit is empty\n"
    assert run("cache", "clear").output == f"nothing to delete in {cache}\n"


def test_nothing_is_deleted_that_was_not_agreed_to(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = mistake(capsys, "cache", "clear")
    assert code == 2
    assert "add --yes" in error
    code, error = mistake(capsys, "cache", "clear", "dta", "--yes")
    assert code == 2
    assert "no 'dta' in the cache; it holds data" in error
    assert len(list(cache.glob("data-*"))) == 2


def test_what_this_kit_has_not_made_is_neither_shown_nor_deleted(cache: Path) -> None:
    (cache / "thesis-final").mkdir()
    (cache / "data-of-mine").mkdir()
    (cache / "notes.txt").write_text("mine")
    (cache / ".git").mkdir()
    assert {kind["kind"] for kind in json.loads(run("cache", "--json").output)["kinds"]} == {"data"}
    run("cache", "clear", "--yes")
    left = {path.name for path in cache.iterdir()} - {"hashes"}
    assert left == {"thesis-final", "data-of-mine", "notes.txt", ".git"}


def test_each_kind_is_said_in_words_and_whether_it_may_be_cleared(cache: Path) -> None:
    for kind in ("placed", "of_old"):
        (cache / f"{kind}-{'0' * 24}").mkdir()
    shown = run("cache").output
    assert re.search(r"placed +copies of data folders .* by name ", shown)
    assert re.search(r"of_old +made by another version .* yes ", shown)
    assert "not while a command uses it" in shown


def test_no_kind_is_written_that_has_no_words() -> None:
    package = Path(mmctr_kit.__file__).parent
    source = "".join(path.read_text() for path in package.rglob("*.py"))
    written = set(re.findall(r'\bcached\(\s*"(\w+)"', source))
    written |= set(re.findall(r'\bload_vectors\([^()]*"(\w+)"\)', source))
    assert written >= {"data", "modality", "embedding", "factors", "step_check", "encoded"}
    assert written <= KINDS.keys()
