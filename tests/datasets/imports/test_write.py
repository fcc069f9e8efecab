"""An import is whole or nothing: what it writes, what it says of it, and what it refuses."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmctr_kit.audit.check import check_data
from mmctr_kit.audit.findings import Level
from mmctr_kit.data.load import load
from mmctr_kit.datasets.imports.load import load_spec, parse_spec
from mmctr_kit.datasets.imports.write import ITEMS, REPORT, SPEC_COPY, TEST_LABELS, import_data
from mmctr_kit.errors import MmctrKitError

Content = dict[str, Any]


def made_log(users: int = 40, items: int = 60) -> str:
    """A log whose users rate 12 items each, a day apart."""
    rng = np.random.default_rng(0)
    lines = ["user,item,time,rating"]
    for user in range(users):
        for k, item in enumerate(rng.choice(items, 12, replace=False)):
            lines.append(f"u{user},i{item},{1_600_000_000 + 86_400 * k + user},{k % 5 + 1}")
    return "\n".join(lines) + "\n"


def made_items(items: int = 60) -> str:
    lines = [f"i{i},Thing {i % 7} of {i},red|tag{i % 5}" for i in range(items)]
    return "\n".join(["item,name,tags", *lines]) + "\n"


def content() -> Content:
    return {
        "interactions": {
            "files": "log.csv", "user": "user", "item": "item", "time": "time",
            "positive": "rating >= 4", "negative": "rating <= 2", "range": {"rating": [1, 5]},
        },
        "items": {
            "files": "items.csv", "id": "item", "title": "name", "tags": "tags",
            "tags_separator": "|",
        },
        "rows": {"min_history": 1},
    }  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "log.csv").write_text(made_log())
    (folder / "items.csv").write_text(made_items())
    return folder


def test_what_is_written_passes_data_check_and_loads(source: Path, tmp_path: Path) -> None:
    made = import_data(parse_spec(content(), "made"), source, tmp_path / "out")
    data = load(tmp_path / "out")
    assert {s: len(r) for s, r in data.rows.items()} == dict(made.rows)
    assert not [f for f in check_data(tmp_path / "out") if f.level is Level.FAIL]
    labels = pq.read_table(tmp_path / "out" / TEST_LABELS).to_pydict()
    assert labels["ID"] == list(range(made.rows["test"]))
    assert 0 < np.mean(labels["label"]) < 1


def test_the_report_counts_every_row_of_the_log(source: Path, tmp_path: Path) -> None:
    made = import_data(parse_spec(content(), "made"), source, tmp_path / "out")
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert report["read"] == 480
    assert (
        report["read"]
        == sum(report["dropped"].values()) + sum(report["rows"].values()) - (report["drawn"])
    )
    assert load_spec(tmp_path / "out" / SPEC_COPY) == parse_spec(content(), "made")
    items = pq.read_table(tmp_path / "out" / ITEMS).to_pydict()
    assert items["item_id"] == list(range(1, made.items + 1))
    assert set(items["original"]) <= {f"i{i}" for i in range(60)}


def test_the_same_import_writes_the_same_bytes_whatever_the_order_of_the_file(
    source: Path, tmp_path: Path
) -> None:
    import_data(parse_spec(content(), "made"), source, tmp_path / "a")
    header, *lines = made_log().splitlines()
    (source / "log.csv").write_text("\n".join([header, *sorted(lines)]) + "\n")
    import_data(parse_spec(content(), "made"), source, tmp_path / "b")
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) == 11
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_the_order_of_rows_tells_nothing(source: Path, tmp_path: Path) -> None:
    import_data(parse_spec(content(), "made"), source, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "MicroLens_1M_x1" / "train.parquet").to_pydict()
    user = np.array(rows["user_id"])
    assert (np.diff(user) < 0).mean() > 0.3
    half = len(user) // 2
    label = np.array(rows["label"])
    assert abs(label[:half].mean() - label[half:].mean()) < 0.15


def test_data_without_texts_or_items_can_be_trained_on_without_an_embedding(
    source: Path, tmp_path: Path
) -> None:
    spec = content()
    del spec["items"]
    import_data(parse_spec(spec, "made"), source, tmp_path / "out")
    assert not load(tmp_path / "out").item_emb.any()
    failed = [f.what for f in check_data(tmp_path / "out") if f.level is Level.FAIL]
    assert failed == []


Fault = tuple[str, Callable[[Content, Path], object], str]


def edit(file: str, old: str, new: str) -> Callable[[Content, Path], object]:
    """Replace the first ``old`` of a file."""
    return lambda _, folder: (folder / file).write_text(
        (folder / file).read_text().replace(old, new, 1)
    )


def put(block: str, **keys: Any) -> Callable[[Content, Path], object]:
    """Change keys of a block of the SPEC."""
    return lambda spec, _: spec.setdefault(block, {}).update(keys)


FAULTS: list[Fault] = [
    ("missing file", put("interactions", files="logs.csv"), r"logs.csv' \(did you mean log.csv"),
    ("missing column", put("interactions", item="itm"), r"no column 'itm' \(did you mean item"),
    ("unparsable date", edit("log.csv", ",1600000000,", ",soon,"), "line 2: time is 'soon'"),
    ("unit of time", edit("log.csv", ",1600000000,", ",1600000000000,"), "line 2: .*time_unit s"),
    ("blanks in an id", edit("log.csv", "u3,", "u3 ,"), r"line 38: user 'u3 ' has blanks"),
    ("empty id", edit("log.csv", "u3,", ","), "line 38: no user"),
    ("rating scale", edit("log.csv", ",5\n", ",50\n"), "line 6: rating is 50, outside .* 1 to 5"),
    (
        "no number",
        edit("log.csv", ",5\n", ",five\n"),
        "line 6: rating is 'five'; exp.* number",
    ),
    ("ragged row", edit("log.csv", ",5\n", "\n"), "line 6: expected 4 fields"),
    (
        "rule fits all",
        put("interactions", positive="rating >= 1", negative=None),
        "fits all of 480",
    ),
    ("rule fits none", put("interactions", positive="rating >= 7"), "fits none of 480"),
    ("rules overlap", put("interactions", negative="rating <= 4"), "line 5: .* both fit"),
    ("unknown key", put("rows", minhistory=2), r"unknown key rows.minhistory \(did you mean min_h"),
    (
        "empty split",
        put("split", by="time", valid="2030-01-01", test="2031-01-01"),
        "split.by time: valid has no row",
    ),
    ("too much history", put("rows", min_history=40), "no interaction of 480 makes a row"),
    ("items of others", edit("items.csv", "item,name", "name,item"), "items.csv"),
    ("item twice in header", edit("items.csv", "item,name", "item,item"), "has column item twice"),
    ("no pictures", put("items", pictures="images"), "items.pictures: no folder"),
]


@pytest.mark.parametrize(("change", "message"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_fault_is_one_line_and_nothing_is_written(
    source: Path, tmp_path: Path, change: Callable[[Content, Path], object], message: str
) -> None:
    spec = content()
    change(spec, source)
    with pytest.raises(MmctrKitError, match=message) as e:
        import_data(parse_spec(spec, "made"), source, tmp_path / "out")
    assert "\n" not in str(e.value)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_zones_and_no_zones_in_one_log_are_refused(source: Path, tmp_path: Path) -> None:
    lines = [
        f"u{u},i{(5 * u + k) % 20},2024-01-{k + 1:02}T12:00:00{'Z' if (u, k) == (3, 4) else ''},5"
        for u in range(10)
        for k in range(8)
    ]
    (source / "log.csv").write_text("\n".join(["user,item,time,rating", *lines]) + "\n")
    with pytest.raises(MmctrKitError, match=r"line 30: .* has a time zone, unlike the rows before"):
        import_data(parse_spec(content(), "made"), source, tmp_path / "out")


KILLED = """
import os, signal
from mmctr_kit.cli.app import main
from mmctr_kit.datasets.imports import write

def write_and_die(path, name, batches, write_file=write.write_file):
    write_file(path, name, batches)
    os.kill(os.getpid(), signal.SIGKILL)

write.write_file = write_and_die
main()
"""


@pytest.mark.slow
def test_a_killed_import_leaves_no_folder_of_that_name(source: Path, tmp_path: Path) -> None:
    spec = source / "spec.yaml"
    spec.write_text(parse_spec(content(), "made").to_yaml())
    command = [sys.executable, "-c", KILLED, "data", "import", str(spec), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(tmp_path.glob(".mmctr-kit-writing-*/out/MicroLens_1M_x1/train.parquet"))
    assert not (tmp_path / "out").exists()
