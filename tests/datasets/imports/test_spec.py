"""A SPEC is closed: what it cannot mean is refused in one line; what it means is written out."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.datasets.imports.load import load_spec, parse_spec
from mmctr_kit.errors import UsageError
from tests.datasets.imports.made import spec_of

LOG = {"files": "log.csv", "user": "u", "item": "i", "time": "t"}
ITEMS = {"files": "items.csv", "id": "i"}
LATE, EARLY = "2024-01-02", "2024-01-01"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "interactions is missing"),
        (
            {"interactions": LOG | {"usr": "u"}},
            r"unknown key interactions.usr \(did you mean user\?\)",
        ),
        ({"interactions": LOG, "row": {}}, r"unknown key row \(did you mean rows\?\)"),
        ({"interactions": LOG | {"positive": "rating"}}, "interactions.positive: expected a rule"),
        ({"interactions": LOG | {"repeats": "all"}}, "expected one of last, first, keep"),
        ({"interactions": LOG, "rows": {"negatives": "logged"}}, "needs interactions.positive"),
        ({"interactions": LOG | {"repeats": "keep"}}, "keep needs rows.negatives: logged"),
        (
            {"interactions": LOG | {"time": None}, "split": {"by": "time"}},
            "needs interactions.time",
        ),
        ({"interactions": LOG, "rows": {"history_length": 65}}, "at most 64"),
        ({"interactions": LOG, "split": {"valid": 0.6, "test": 0.5}}, "leave no row to train on"),
        ({"interactions": LOG, "split": {"valid": "2024-01-01"}}, "by user expects shares"),
        (
            {
                "interactions": LOG,
                "split": {"by": "time", "valid": "2024-01-02", "test": "2024-01-01"},
            },
            "expected valid to begin before test",
        ),
        (
            {"interactions": LOG, "split": {"by": "time", "valid": "2024-01-02"}},
            "two dates, or two",
        ),
        ({"interactions": LOG, "split": {"by": "column"}}, "by column needs column"),
        (
            {"interactions": LOG, "items": ITEMS | {"picture": "p"}},
            "items.pictures",
        ),
        (
            {
                "interactions": LOG,
                "items": {"files": "i.csv", "id": "i", "tags": "t", "tag_flags": "a"},
            },
            "tags or tag_flags, not both",
        ),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as e:
        parse_spec(content, "my.yaml")
    assert str(e.value).startswith("my.yaml: ")
    assert "\n" not in str(e.value)


def test_what_is_written_beside_the_data_is_the_same_spec(tmp_path: Path) -> None:
    spec = spec_of(
        split={"by": "time", "valid": "2024-01-01", "test": datetime(2024, 2, 1, tzinfo=UTC)},
        rows={"history": "growing", "max_targets": None},
        items={"files": ["a.csv", "b.csv"], "id": "i", "tag_flags": ["x", "y"]},
    )
    (tmp_path / "copy.yaml").write_text(spec.to_yaml())
    assert load_spec(tmp_path / "copy.yaml") == spec
    assert "history_length: 64" in spec.to_yaml()


@pytest.mark.parametrize(
    ("split", "rows", "expected"),
    [
        ({}, {}, ("shared", 0.4)),
        ({"by": "time"}, {}, ("growing", 1.0)),
        ({"by": "column", "column": "part"}, {}, ("growing", 1.0)),
        ({"by": "time"}, {"history": "shared"}, ("shared", 0.4)),
        ({}, {"history": "growing", "target_share": 0.3}, ("growing", 0.3)),
    ],
)
def test_histories_grow_if_rows_are_split_by_time(
    split: dict[str, Any], rows: dict[str, Any], expected: tuple[str, float]
) -> None:
    made = spec_of(split=split, rows=rows).rows
    assert (made.history, made.target_share) == expected


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({}, "negatives: 3 a positive, drawn by popularity, at most 50% of them logged ones"),
        ({"rows": {"negatives": "logged"}}, "negatives: as logged (rating <= 2)"),
        ({"rows": {"negatives": "recent"}}, "drawn by the last 30 days"),
        ({"rows": {"history": "growing"}}, "growing history of 3 to 64; split by user (0.1, 0.1)"),
        ({"interactions": {"positive": None, "negative": None}}, "positives: every interaction"),
    ],
)
def test_in_words_a_spec_says_what_becomes_of_the_log(blocks: dict[str, Any], words: str) -> None:
    assert words in spec_of(**blocks).in_words()
