"""Guessed SPECs: of every source, and of logs with other names, values and forms."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mmctr_kit.datasets.imports.guess import FILL_IN, guess
from mmctr_kit.datasets.imports.load import guess_spec, load_spec, parse_spec, shipped
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.errors import UsageError
from tests.datasets.imports.sources import SOURCES


def spec_of(files: list[Path], folder: Path) -> tuple[Spec, str]:
    text = guess(files)
    (folder / "guessed.yaml").write_text(text)
    return load_spec(folder / "guessed.yaml"), text


@pytest.mark.parametrize("name", SOURCES)
def test_the_guess_agrees_with_the_shipped_spec(name: str, tmp_path: Path) -> None:
    SOURCES[name](tmp_path)
    files = sorted(tmp_path.iterdir())
    made = {guess(list(order)) for order in permutations(files)} if len(files) < 3 else set()
    assert len(made) < 2, "the order of the files must not matter"
    spec, _ = spec_of(files, tmp_path)
    ours, wanted = spec.interactions, load_spec(shipped()[name]).interactions
    names = dict(zip(wanted.columns or (), ours.columns or (), strict=True))

    def same(column: str | None) -> str | None:
        return names.get(column, column) if column else column

    assert (ours.user, ours.item, ours.time) == tuple(
        same(c) for c in (wanted.user, wanted.item, wanted.time)
    )
    assert ours.separator in (wanted.separator, None)
    assert wanted.time_unit in (ours.time_unit, "auto")
    assert spec.split.by == ("column" if name == "mmrec" else "user")
    assert spec.rows.negatives == ("logged" if name == "kuairec" else "popularity")
    items = load_spec(shipped()[name]).items
    assert (items is None) == (spec.items is None)
    if items is not None and spec.items is not None and items.columns is None:
        mine = spec.items
        assert (mine.id, mine.title, mine.tags) == (items.id, items.title, items.tags)
        assert mine.tags_separator == items.tags_separator
        assert (mine.year, mine.description) == (items.year, items.description)


def log_of(folder: Path, header: str, *rows: str) -> tuple[dict[str, Any], str]:
    (folder / "log.csv").write_text("\n".join([header, *rows]) + "\n")
    spec, text = spec_of([folder / "log.csv"], folder)
    return spec.model_dump(), text


@pytest.mark.parametrize(
    ("header", "rows", "positive", "negatives"),
    [
        ("uid,iid,ts,click", ("a,x,1577836800,1", "a,y,1577836801,0"), "click == 1", "logged"),
        ("uid,iid,ts,click", ("a,x,1577836800,1", "a,y,1577836801,1"), None, "popularity"),
        ("u,iid,ts,click", ("a,x,1577836800,True", "a,y,1,False"), "click == True", "logged"),
        (
            "visitorid,itemid,timestamp,event",
            ("1,2,1577836800000,view", "1,3,1577836800001,addtocart", "1,3,1577836800002,Buy"),
            "event in [Buy, addtocart]",
            "popularity",
        ),
        ("User-ID,ISBN,Rating", ("1,x,0", "1,y,10", "2,x,7.5"), "Rating >= 8", "popularity"),
        ("user,item,score,date", ("a,x,100,2020-01-01", "a,y,55,2020-01-02"), "score >= 80", None),
        ("user,item,date", ("a,x,2020-01-01", "a,y,2020-01-02"), None, "popularity"),
    ],
)
def test_the_rule_of_a_positive_is_by_name_and_values(
    tmp_path: Path, header: str, rows: tuple[str, ...], positive: str | None, negatives: str | None
) -> None:
    spec, _ = log_of(tmp_path, header, *rows)
    assert spec["interactions"]["positive"] == positive
    assert spec["rows"]["negatives"] == (negatives or "popularity")


@pytest.mark.parametrize(
    ("time", "unit"),
    [
        ("1577836800", "s"),
        ("1577836800.5", "s"),
        ("1577836800000", "ms"),
        ("1577836800000000", "us"),
        ("1577836800000000000", "ns"),
        ("2020-01-01T10:00:00Z", "iso"),
    ],
)
def test_the_unit_of_time_is_by_its_size(tmp_path: Path, time: str, unit: str) -> None:
    spec, _ = log_of(tmp_path, "user,item,when,time", f"a,x,1,{time}")
    assert (spec["interactions"]["time"], spec["interactions"]["time_unit"]) == ("time", unit)


def test_what_cannot_be_known_is_to_be_filled_in(tmp_path: Path) -> None:
    spec, text = log_of(tmp_path, "who,what,when", "a,x,yesterday", "b,y,now")
    log = spec["interactions"]
    assert (log["user"], log["item"], log["time"]) == (FILL_IN, FILL_IN, None)
    assert "# columns: who, what, when" in text
    assert "# time: no column is surely one" in text


def test_a_time_that_is_taken_by_its_values_is_noted(tmp_path: Path) -> None:
    rows = [f"{u},{i},{1_600_000_000 + 50 * u + 1000 * i}" for u in range(3) for i in range(3)]
    spec, text = log_of(tmp_path, "user,item,zeit", *rows)
    assert (spec["interactions"]["time"], spec["interactions"]["time_unit"]) == ("zeit", "s")
    assert "  # 'zeit' is taken as the time, by its values and not its name;" in text
    tables = [tmp_path / "log.csv"]
    assert "'zeit' is taken" in " ".join(guess_spec(tables).notes)
    assert guess_spec(tables, ["interactions.time=zeit"]).notes == ()


def test_a_date_that_is_none_in_one_row_says_where_it_is(tmp_path: Path) -> None:
    rows = [f"1,{i},2020-01-{i:02}" for i in range(1, 31)]
    rows[10] = "1,11,soon"
    spec, text = log_of(tmp_path, "user,item,date", *rows)
    assert spec["interactions"]["time"] == "date"
    assert "# date is a date but for 1 value ('soon' in line 12): mend it before" in text


def test_a_table_of_neither_log_nor_items_is_named_and_not_used(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\na,x\nb,y\n")
    (tmp_path / "items.csv").write_text(
        "id,name,genres,photo\nx,Shoe,a;none,p/1.jpg\ny,Hat,b,p/2.PNG\n"
    )
    (tmp_path / "users.csv").write_text("user,age\na,3\n")
    files = [tmp_path / n for n in ("users.csv", "items.csv", "log.csv")]
    spec, text = spec_of(files, tmp_path)
    assert spec.items is not None
    assert (spec.items.id, spec.items.title, spec.items.tags) == ("id", "name", "genres")
    assert (spec.items.tags_separator, spec.items.not_a_tag) == (";", ("none",))
    assert (spec.items.picture, spec.items.pictures) == ("photo", FILL_IN)
    assert f"# not used: {tmp_path / 'users.csv'}" in text


def test_vectors_are_by_name_and_without_a_table_there_is_no_guess(tmp_path: Path) -> None:
    for name in ("clip.npy", "bert.npy"):
        np.save(tmp_path / name, np.ones((2, 2)))
    with pytest.raises(UsageError, match="no table among the files"):
        guess([tmp_path / "clip.npy"])
    (tmp_path / "log.csv").write_text("user,item\na,0\n")
    text = guess([tmp_path / n for n in ("log.csv", "clip.npy", "bert.npy")])
    spec = parse_spec(yaml.safe_load(text), "guessed")
    assert spec.vectors is not None
    assert (spec.vectors.text, spec.vectors.image) == (
        str(tmp_path / "bert.npy"),
        str(tmp_path / "clip.npy"),
    )


def test_a_column_that_is_numeric_but_for_one_value_says_where_it_is(tmp_path: Path) -> None:
    rows = [f"{u},{i},{1 + (u * i) % 5}" for u in range(1, 21) for i in range(1, 11)]
    rows[122] = rows[122][:-1] + "x"
    content, text = log_of(tmp_path, "userId,movieId,rating", *rows)
    assert "# rating is numeric but for 1 value ('x' in line 124): mend it before" in text
    assert content["interactions"]["positive"] == "rating >= 4"
    rows[150] = rows[150][:-1] + "none"
    assert "2 values (the first is 'x' in line 124)" in log_of(tmp_path, "u,i,rating", *rows)[1]
    texts = [row[:-1] + "x" for row in rows]
    assert "numeric but" not in log_of(tmp_path, "userId,movieId,rating", *texts)[1]
    rows[40], rows[70] = "5,1,", ",1,"
    text = log_of(tmp_path, "userId,movieId,rating", *rows)[1]
    assert "# rating is empty in 2 rows (the first is line 42): mend it before" in text
    assert "# userId is empty in 1 row (line 72): mend it" in text
