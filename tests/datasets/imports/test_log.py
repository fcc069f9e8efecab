"""A log's users and items by new ids, in time; what its rules cannot mean is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmctr_kit.datasets.imports.log import read_log
from mmctr_kit.errors import DataError, UsageError
from tests.datasets.imports.made import Event, log_of, once, spec_of, write_log

EVENTS = [Event(2, 10, 5, 5), Event(10, 2, 3, 1), Event(2, 3, 1, 4), Event(2, 10, 7, 2)]


def of_text(folder: Path, text: str, **blocks: Any) -> Any:
    (folder / "log.csv").write_text(text)
    return read_log(spec_of(**blocks), folder, lambda *_: None)


def test_whole_numbers_keep_their_order_and_users_their_ids(tmp_path: Path) -> None:
    log = of_text(
        tmp_path, "user,item,time,rating\n10,100,1,5\n9,20,2,1\n10,3,3,4\n",
    )  # fmt: skip
    assert log.item_names.to_pylist() == ["3", "20", "100"]
    assert log.user_ids.tolist() == [9, 10]
    assert list(zip(log.user_ids[log.user].tolist(), log.item.tolist(), strict=True)) == [
        (9, 2), (10, 3), (10, 1),
    ]  # fmt: skip


def test_texts_are_sorted_and_numbered(tmp_path: Path) -> None:
    log = log_of(tmp_path, EVENTS, spec_of())
    assert log.item_names.to_pylist() == ["i10", "i2", "i3"]
    assert log.user_names.to_pylist() == ["u10", "u2"]
    assert log.user_ids.tolist() == [1, 2]


def test_numbers_that_are_one_as_numbers_stay_two_users(tmp_path: Path) -> None:
    log = of_text(tmp_path, "user,item,time,rating\n07,1,1,5\n7,2,2,1\n7,1,3,4\n")
    assert log.user_names.to_pylist() == ["07", "7"]
    assert log.user_ids.tolist() == [1, 2]


@pytest.mark.parametrize("repeats", ["last", "first", "keep"])
def test_of_repeats_the_last_the_first_or_all_count(tmp_path: Path, repeats: str) -> None:
    spec = spec_of(interactions={"repeats": repeats}, rows={"negatives": "logged"})
    log = log_of(tmp_path, EVENTS, spec)
    kept = once(EVENTS, repeats)
    assert len(log) == len(kept)
    assert log.repeated == len(EVENTS) - len(kept)
    assert sorted(log.time.tolist()) == sorted(e.time for e in kept)


def test_what_is_at_one_moment_is_not_in_the_order_of_ids(tmp_path: Path) -> None:
    events = [Event(u, i, 0, 5) for u in range(40) for i in range(2)] + [Event(0, 9, 1, 1)]
    log = log_of(tmp_path, events, spec_of())
    first = log.item[np.flatnonzero(np.diff(log.user, prepend=-1))]
    assert 5 < int((first == first.min()).sum()) < 35


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ({"positive": "rating >= 7"}, "rating >= 7 fits none of 4 interactions"),
        ({"positive": "rating >= 1", "negative": None}, "rating >= 1 fits all of 4 interactions"),
        ({"positive": "rating >= 2", "negative": "rating <= 2"}, r"line 5: .* both fit"),
        ({"range": {"rating": [1, 4]}}, "line 2: rating is 5, outside"),
        ({"user": "usr"}, r"no column 'usr' \(did you mean user\?\)"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(
    tmp_path: Path, log: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        log_of(tmp_path, EVENTS, spec_of(interactions=log))


def test_an_error_about_two_rules_says_which_was_guessed(tmp_path: Path) -> None:
    write_log(tmp_path, EVENTS)
    spec = spec_of(interactions={"positive": "rating >= 2", "negative": "rating <= 2"})
    told = (
        r"line 5: interactions.positive \(guessed: rating >= 2\) and interactions.negative "
        r"\(rating <= 2\) both fit; expected one of them at most; give --set "
        r"interactions.positive=RULE$"
    )
    with pytest.raises(DataError, match=told):
        read_log(spec, tmp_path, lambda *_: None, ["interactions.positive"])


@pytest.mark.parametrize("key", ["positive", "negative"])
def test_a_rule_about_a_column_that_the_log_lacks_is_wrong_usage(tmp_path: Path, key: str) -> None:
    told = f"interactions.{key}: 'stars >= 4' is about a column that the log lacks.*; its columns"
    with pytest.raises(UsageError, match=told):
        log_of(tmp_path, EVENTS, spec_of(interactions={key: "stars >= 4"}))


def test_logged_negatives_need_a_rule_that_leaves_some(tmp_path: Path) -> None:
    spec = spec_of(
        interactions={"positive": "rating >= 1", "negative": None}, rows={"negatives": "logged"}
    )
    with pytest.raises(DataError, match="so no negative is logged"):
        log_of(tmp_path, EVENTS, spec)


def test_a_split_that_the_log_tells_must_have_a_known_value(tmp_path: Path) -> None:
    text = "user,item,time,rating,part\n1,1,1,5,0\n1,2,2,1,2\n1,3,3,4,3\n"
    split = {"by": "column", "column": "part"}
    with pytest.raises(DataError, match=r"line 4: part is '3'; split.values has 0, 1, 2"):
        of_text(tmp_path, text, split=split)
    log = of_text(tmp_path, text.replace(",4,3", ",4,1"), split=split)
    assert log.split.tolist() == [0, 2, 1]


def test_a_log_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"log.csv.* hold no row"):
        of_text(tmp_path, "user,item,time,rating\n")


@pytest.mark.parametrize("second", ["0.5", f"{2**62}.5"])
def test_an_order_that_floats_would_round_is_refused(tmp_path: Path, second: str) -> None:
    text = f"user,item,time,rating\n1,1,{2**62},5\n2,1,{second},1\n"
    with pytest.raises(DataError, match=r"4\.61.*e\+18 stands among fractions; whole"):
        of_text(tmp_path, text, interactions={"time_unit": "order"})


def test_dates_with_and_without_a_zone_in_two_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item,time,rating\n1,1,2024-01-01 10:00:00,5\n")
    (tmp_path / "b.csv").write_text("user,item,time,rating\n1,2,2024-01-01T10:00:00+09:00,5\n")
    spec = spec_of(interactions={"files": ["a.csv", "b.csv"], "time_unit": "iso"})
    with pytest.raises(
        DataError, match=r"b\.csv, line 2: time has a time zone, and an earlier part of"
    ):
        read_log(spec, tmp_path, lambda *_: None)


def test_seconds_among_milliseconds_are_refused(tmp_path: Path) -> None:
    head, seconds, milliseconds = "user,item,time,rating\n", "1,1,1704110400,5\n", "1,2,{}000,5\n"
    text = head + milliseconds.format(1704110401) + seconds
    with pytest.raises(DataError, match=r"line 3: time lies in the first weeks of 1970"):
        of_text(tmp_path, text, interactions={"time_unit": "ms"})
    for name, row in (("a", seconds), ("b", milliseconds.format(1704110401))):
        (tmp_path / f"{name}.csv").write_text(head + row)
    spec = spec_of(interactions={"time_unit": "ms", "files": ["a.csv", "b.csv"]})
    with pytest.raises(DataError, match=r"a\.csv, line 2: time lies in the first weeks of 1970"):
        read_log(spec, tmp_path, lambda *_: None)
