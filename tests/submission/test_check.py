"""Planted faults, each found by the right check and by no other; clean files pass."""

import contextlib
import gzip
import io
import stat
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmctr_kit.audit.findings import Finding, Level, worst
from mmctr_kit.data.contract import Task
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.submission.check import CHECKS, Reference, TestRows, check_submission, read_scores
from mmctr_kit.submission.write import write_submission

N = 2_000
RNG = np.random.default_rng(1)
ITEM = RNG.integers(0, 40, N)
LOGIT = RNG.normal(size=40)[ITEM] + RNG.normal(size=N)
SCORE = 1 / (1 + np.exp(-LOGIT))
OTHER = 1 / (1 + np.exp(-LOGIT - RNG.normal(size=N)))
ROWS = TestRows(N, ITEM, np.bincount(ITEM).astype(float)[ITEM])
RUN = Reference("qin", LOGIT + RNG.normal(size=N))

Lines = list[str]


def table(score: np.ndarray = SCORE, header: str = "ID,Task2") -> Lines:
    return [header, *(f"{i},{v!r}" for i, v in enumerate(score.tolist()))]


def join(lines: Sequence[str], end: str = "\n") -> bytes:
    return (end.join(lines) + end).encode()


def packed(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = 8) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def csv(content: bytes | Sequence[str]) -> bytes:
    content = content if isinstance(content, bytes) else join(content)
    return packed(("prediction.csv", content))


GOOD = join(table())
ZIP = csv(GOOD)
TWO = [f"{a},{b!r}" for a, b in zip(table(), [0, *OTHER.tolist()], strict=True)]
TWO[0] = "ID,Task1,Task2"


def edit(line: int, change: Callable[[str], str], lines: Lines | None = None) -> bytes:
    """The good file with one line (1-based) changed."""
    lines = list(lines or table())
    lines[line - 1] = change(lines[line - 1])
    return csv(lines)


def cell(value: str) -> bytes:
    """The good file with this value in line 12."""
    return edit(12, lambda old: old.split(",")[0] + "," + value)


def renamed(name: str) -> bytes:
    return packed((name, GOOD))


def patched(raw: bytes, central: dict[int, bytes], local: dict[int, bytes]) -> bytes:
    """``raw`` with bytes replaced at offsets into its directory's and its member's header."""
    out = bytearray(raw)
    for base, changes in ((raw.index(b"PK\x01\x02"), central), (0, local)):
        for at, new in changes.items():
            out[base + at : base + at + len(new)] = new
    return bytes(out)


def linked() -> bytes:
    info = zipfile.ZipInfo("prediction.csv")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return packed((info, b"/etc/passwd"))


def duplicated() -> bytes:
    """Two members of one name (zipfile warns when it writes them, so a name is patched)."""
    raw = packed(("prediction.csv", GOOD), ("prediction.csx", GOOD))
    return raw.replace(b"prediction.csx", b"prediction.csv")


def flipped() -> bytes:
    raw = packed(("prediction.csv", GOOD), method=0)
    at = raw.index(b"\n777,") + 10
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def reordered(order: np.ndarray) -> bytes:
    lines = table()
    return csv([lines[0], *(lines[1 + i] for i in order)])


def huge(size: int) -> dict[int, bytes]:
    return {24: struct.pack("<I", size)}


SIZE = struct.pack("<I", len(GOOD) - 5)
LABELS = np.where(SCORE > 0.5, 1, 0)
SATURATED = 1 / (1 + np.exp(-(LOGIT * 12).astype(np.float32)))

FAIL, WARN = Level.FAIL, Level.WARN
FAULTS: dict[str, tuple[bytes, str, Level]] = {
    # the container
    "an empty file": (b"", "file-readable", FAIL),
    "a gzip file": (gzip.compress(GOOD), "zip-format", FAIL),
    "a 7z archive": (b"7z\xbc\xaf\x27\x1c" + bytes(99), "zip-format", FAIL),
    "a RAR archive": (b"Rar!\x1a\x07\0" + bytes(99), "zip-format", FAIL),
    "an HTML page": (b"<!DOCTYPE html><p>Sign in</p>", "zip-format", FAIL),
    "a bare CSV": (GOOD, "zip-format", FAIL),
    "a zip cut in half": (ZIP[: len(ZIP) // 2], "zip-format", FAIL),
    "a zip without its last 30 bytes": (ZIP[:-30], "zip-format", FAIL),
    "bytes before the zip": (b"#!/bin/sh\n" + ZIP, "zip-extra-bytes", FAIL),
    "bytes after the zip": (ZIP + b"\0" * 7, "zip-extra-bytes", FAIL),
    "a comment cut short": (ZIP[:-2] + b"\x28\0" + b"only this", "zip-extra-bytes", FAIL),
    "a zip of nothing": (packed(), "zip-members", FAIL),
    "a readme": (packed(("prediction.csv", GOOD), ("README", b"x")), "zip-members", FAIL),
    "macOS's twin": (
        packed(("prediction.csv", GOOD), ("__MACOSX/._prediction.csv", b"x")),
        "zip-members",
        FAIL,
    ),
    ".DS_Store": (packed((".DS_Store", b"x"), ("prediction.csv", GOOD)), "zip-members", FAIL),
    "a folder entry": (packed(("out/", b""), ("prediction.csv", GOOD)), "zip-members", FAIL),
    "one name twice": (duplicated(), "zip-members", FAIL),
    "capitals": (renamed("Prediction.csv"), "zip-name", FAIL),
    "another name": (renamed("submission.csv"), "zip-name", FAIL),
    "a folder": (renamed("out/prediction.csv"), "zip-name", FAIL),
    "an absolute path": (renamed("/prediction.csv"), "zip-name", FAIL),
    "a path upwards": (renamed("../prediction.csv"), "zip-name", FAIL),
    "a backslash": (renamed("out\\prediction.csv"), "zip-name", FAIL),
    "a link": (linked(), "zip-kind", FAIL),
    "a password": (patched(ZIP, {8: b"\1"}, {6: b"\1"}), "zip-encryption", FAIL),
    "bzip2 inside": (packed(("prediction.csv", GOOD), method=12), "zip-method", FAIL),
    "LZMA inside": (packed(("prediction.csv", GOOD), method=14), "zip-method", FAIL),
    "a bomb": (csv(bytes(20_000_000)), "zip-bomb", FAIL),
    "a declared bomb": (patched(ZIP, huge(2**32 - 2), {}), "zip-bomb", FAIL),
    "a changed byte": (flipped(), "zip-data", FAIL),
    "a size that lies": (patched(ZIP, {24: SIZE}, {22: SIZE}), "zip-data", FAIL),
    "two sizes": (patched(ZIP, {24: SIZE}, {}), "zip-data", FAIL),
    "two names": (patched(ZIP, {}, {30: b"q"}), "zip-data", FAIL),
    "broken data": (patched(ZIP, {}, {44: b"\xff" * 9}), "zip-data", FAIL),
    # the text
    "a byte order mark": (csv(b"\xef\xbb\xbf" + GOOD), "csv-encoding", FAIL),
    "UTF-16": (csv(GOOD.decode().encode("utf-16")), "csv-encoding", FAIL),
    "UTF-16 unmarked": (csv(GOOD.decode().encode("utf-16-le")), "csv-encoding", FAIL),
    "NUL bytes": (csv(GOOD + bytes(64)), "csv-encoding", FAIL),
    "CR alone": (csv(join(table(), "\r")), "csv-line-ends", FAIL),
    "a CR inside": (csv(GOOD.replace(b"\n9,", b"\r9,")), "csv-line-ends", FAIL),
    "CR CR LF": (csv(join(table(), "\r\r\n")), "csv-line-ends", FAIL),
    "two kinds of line ends": (edit(9, lambda s: s + "\r"), "csv-line-ends", WARN),
    "semicolons": (csv(GOOD.replace(b",", b";")), "csv-separator", FAIL),
    "tabs": (csv(GOOD.replace(b",", b"\t")), "csv-separator", FAIL),
    "Excel's European export": (
        csv(GOOD.replace(b",", b";").replace(b".", b",")),
        "csv-separator",
        FAIL,
    ),
    "quotes": (csv(['"ID","Task2"', *table()[1:]]), "csv-quotes", WARN),
    "a lone quote": (cell('"0.5'), "csv-quotes", FAIL),
    "a blank line": (edit(9, lambda s: s + "\n"), "csv-blank-lines", FAIL),
    "a blank first line": (csv(b"\n" + GOOD), "csv-blank-lines", FAIL),
    "blank lines at the end": (csv(GOOD + b"\n\n"), "csv-blank-lines", WARN),
    "no bytes": (csv(b""), "csv-header", FAIL),
    "no header": (csv(table()[1:]), "csv-header", FAIL),
    "id": (csv(table(header="id,Task2")), "csv-header", FAIL),
    "a space before ID": (csv(table(header=" ID,Task2")), "csv-header", FAIL),
    "row_id": (csv(table(header="row_id,Task2")), "csv-header", FAIL),
    "ID last": (csv(["Task2,ID", *(f"{v},{i}" for i, v in enumerate(SCORE))]), "csv-header", FAIL),
    "a space before Task2": (csv(table(header="ID, Task2")), "csv-columns", FAIL),
    "task2": (csv(table(header="ID,task2")), "csv-columns", FAIL),
    "Task12": (csv(table(header="ID,Task12")), "csv-columns", FAIL),
    "Task1_2": (csv(table(header="ID,Task1_2")), "csv-columns", FAIL),
    "Task1&amp;2": (csv(table(header="ID,Task1&amp;2")), "csv-columns", FAIL),
    "no task": (csv(table(header="ID,score")), "csv-columns", FAIL),
    "only IDs": (csv(["ID", *map(str, range(N))]), "csv-columns", FAIL),
    "a column more": (csv(["ID,Task1,label", *TWO[1:]]), "csv-columns", FAIL),
    "a task twice": (csv(["ID,Task1,Task1", *TWO[1:]]), "csv-columns", FAIL),
    "ID twice": (csv([f"{s.split(',')[0]},{s}" for s in table()]), "csv-columns", FAIL),
    "pandas' index": (
        csv([f"{i - 1 if i else ''},{s}" for i, s in enumerate(table())]),
        "csv-columns",
        FAIL,
    ),
    "pandas' index read and written": (
        csv([f"{i - 1 if i else 'Unnamed: 0'},{s}" for i, s in enumerate(table())]),
        "csv-columns",
        FAIL,
    ),
    "a comma at each end": (csv([table()[0], *(s + "," for s in table()[1:])]), "csv-fields", FAIL),
    "decimal commas": (csv(GOOD.replace(b".", b",")), "csv-fields", FAIL),
    "a row cut short": (edit(12, lambda s: s.split(",")[0]), "csv-fields", FAIL),
    # the rows
    "fractional IDs": (
        csv([table()[0], *(s.replace(",", ".0,") for s in table()[1:])]),
        "id-integer",
        FAIL,
    ),
    "an ID in words": (edit(12, lambda s: "ten," + s.split(",")[1]), "id-integer", FAIL),
    "an ID missing": (edit(12, lambda s: "," + s.split(",")[1]), "id-integer", FAIL),
    "a space after an ID": (edit(12, lambda s: s.replace(",", " ,")), "id-integer", FAIL),
    "rows shuffled with their IDs": (reordered(np.arange(N)[::-1]), "id-order", FAIL),
    "IDs sorted as text": (reordered(np.array(sorted(range(N), key=str))), "id-order", FAIL),
    # the values
    "an empty value": (cell(""), "score-missing", FAIL),
    "NA": (cell("NA"), "score-missing", FAIL),
    "nan": (cell("nan"), "score-finite", FAIL),
    "-inf": (cell("-inf"), "score-finite", FAIL),
    "Infinity": (cell("Infinity"), "score-finite", FAIL),
    "1e999": (cell("1e999"), "score-finite", FAIL),
    "a word": (cell("high"), "score-number", FAIL),
    "percent": (cell("50%"), "score-number", FAIL),
    "1_0": (cell("0.2_5"), "score-number", FAIL),
    "hexadecimal": (cell("0x1"), "score-number", FAIL),
    "a space": (cell(" 0.5"), "score-number", FAIL),
    "Arabic digits": (cell("٠.٥"), "score-number", FAIL),
    "thousands": (cell("1'000"), "score-number", FAIL),
    "logits": (csv(table(LOGIT)), "score-range", FAIL),
    "log-probabilities": (csv(table(np.log(SCORE))), "score-range", FAIL),
    "percentages": (csv(table(SCORE * 100)), "score-range", FAIL),
    "one value above 1": (cell("1.0000001"), "score-range", FAIL),
    "all 0": (csv(table(np.zeros(N))), "score-constant", FAIL),
    "labels": (csv(table(LABELS)), "score-hard-labels", WARN),
    "3 digits": (csv(table(SCORE.round(3))), "score-ties", WARN),
    "a saturated float32": (csv(table(SATURATED)), "score-ties", WARN),
    "scores turned round": (csv(table(1 - SCORE)), "rank-correlation", WARN),
}
SEVERAL: dict[str, tuple[bytes, dict[str, Level]]] = {
    "a zipped folder": (
        packed(("out/", b""), ("out/prediction.csv", GOOD)),
        {"zip-members": FAIL, "zip-name": FAIL},
    ),
    "only a folder": (
        packed(("prediction.csv/", b"")),
        {"zip-name": FAIL, "zip-kind": FAIL},
    ),
    "a row missing": (
        csv([s for i, s in enumerate(table()) if i != 700]),
        {"row-count": FAIL, "id-complete": FAIL},
    ),
    "a row too many": (
        csv([*table(), f"{N},0.5"]),
        {"row-count": FAIL, "id-complete": FAIL},
    ),
    "only a header": (
        csv(["ID,Task2"]),
        {"row-count": FAIL, "id-complete": FAIL},
    ),
    "a row twice": (
        csv([*table()[:701], *table()[700:]]),
        {"row-count": FAIL, "id-unique": FAIL},
    ),
    "one ID for another": (
        edit(12, lambda s: "5," + s.split(",")[1]),
        {"id-unique": FAIL, "id-complete": FAIL, "id-order": FAIL},
    ),
    "IDs from 1": (
        csv(["ID,Task2", *(f"{i + 1},{v!r}" for i, v in enumerate(SCORE.tolist()))]),
        {"id-complete": FAIL},
    ),
    "a negative ID": (edit(2, lambda s: "-" + "1," + s.split(",")[1]), {"id-complete": FAIL}),
    "Latin-1": (
        csv(GOOD.replace(b"\n10,", b"\n10,\xa0")),
        {"csv-encoding": FAIL, "score-number": FAIL},
    ),
    "scores sorted": (
        csv(table(np.sort(SCORE))),
        {"score-sorted": WARN, "rank-correlation": WARN, "rows-aligned": WARN},
    ),
    "scores shuffled": (
        csv(table(np.random.default_rng(0).permutation(SCORE))),
        {"rank-correlation": WARN, "rows-aligned": WARN},
    ),
    "scores moved by a row": (
        csv(table(np.roll(SCORE, 1))),
        {"rank-correlation": WARN, "rows-aligned": WARN},
    ),
}
FORMS = ("1", "0", "0.5", "1e-05", "2.5E-3", ".25")
ALL = {n: (raw, {check: level}) for n, (raw, check, level) in FAULTS.items()} | SEVERAL


def find(tmp_path: Path, raw: bytes) -> list[Finding]:
    path = tmp_path / "s.zip"
    path.write_bytes(raw)
    return check_submission(path, test=ROWS, references=[RUN])


@pytest.mark.parametrize("fault", ALL)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(tmp_path: Path, fault: str) -> None:
    raw, expected = ALL[fault]
    found = find(tmp_path, raw)
    assert {f.id: f.level for f in found if f.level is not Level.PASS} == expected
    for f in found:
        assert f.what
        assert bool(f.todo) == (f.level is not Level.PASS)
        assert (f.what + f.todo).isprintable()
        assert CHECKS[f.id].worst in (f.level, FAIL) or f.level is Level.PASS


def test_every_check_is_seen_at_its_worst_level_and_passing() -> None:
    planted = {(check, level) for _, expected in ALL.values() for check, level in expected.items()}
    worst = {(check, info.worst) for check, info in CHECKS.items() if info.worst is not Level.PASS}
    assert worst <= planted
    assert sum(level is FAIL for _, level in planted) >= 25
    assert sum(FAIL in expected.values() for _, expected in ALL.values()) >= 32


CLEAN: dict[str, bytes] = {
    "one column": ZIP,
    "stored": packed(("prediction.csv", GOOD), method=0),
    "no newline at the end": csv(GOOD.rstrip()),
    "CRLF": csv(join(table(), "\r\n")),
    "two columns": csv(TWO),
    "three columns, two of them placeholders": csv(
        [
            "ID,Task1,Task2,Task1&2",
            *(f"{s.split(',')[0]},0,{s.split(',')[1]},0.0" for s in table()[1:]),
        ]
    ),
    "tasks in another order": csv(["ID,Task2,Task1", *TWO[1:]]),
    "short forms of numbers": csv(
        ["ID,Task1&2", *table()[1:-6]] + [f"{N - 6 + i},{v}" for i, v in enumerate(FORMS)]
    ),
    "two equal columns": csv(["ID,Task1,Task2", *(f"{s},{s.split(',')[1]}" for s in table()[1:])]),
    "a comment on the zip": ZIP[:-2] + b"\x05\0hello",
}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_file_passes_without_a_warning(tmp_path: Path, name: str) -> None:
    found = find(tmp_path, CLEAN[name])
    assert [f for f in found if f.level is not Level.PASS] == []
    assert [f.id for f in found] == list(CHECKS)


def test_what_is_said_names_the_first_offender_its_line_and_the_count(tmp_path: Path) -> None:
    lines = table()
    for at in (41, 7, 99):
        lines[at] = f"{at - 1},high"
    said = {f.id: f.what for f in find(tmp_path, csv(lines))}
    assert said["score-number"] == "3 values not a number; the first: 'high' in line 8, Task2"
    said = {f.id: f.what for f in find(tmp_path, edit(12, lambda s: "5," + s.split(",")[1]))}
    assert said["id-unique"] == "1 row with an ID seen before, first ID 5 in line 12"
    assert said["id-order"].endswith("1 ID below the one before, first 5 after 9 in line 12")


def test_without_a_test_set_the_challenges_size_is_expected(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(ZIP)
    said = {f.id: f.what for f in check_submission(tmp_path / "s.zip")}
    assert said["row-count"] == "expected 379,142 rows; found 2,000, 377,142 too few"


def test_a_missing_file_is_wrong_usage_and_a_folder_a_finding(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no submission file"):
        check_submission(tmp_path / "absent.zip")
    with pytest.raises(UsageError, match="no submission file"):
        check_submission(tmp_path / ("x" * 999))
    (found,) = check_submission(tmp_path)
    assert (found.id, found.level) == ("file-readable", FAIL)
    assert "folder" in found.what


# Whatever the bytes, findings and no exception; and what read_scores takes from a file.

SMALL = 50
SMALL_TABLE = "ID,Task1,Task1&2\n" + "".join(
    f"{i},{(i * 7919 % 997) / 997},0\n" for i in range(SMALL)
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("robust") / "s.zip"


def worst_level(path: Path, raw: bytes) -> Level:
    path.write_bytes(raw)
    found = check_submission(path, test=TestRows(SMALL))
    assert all((f.what + f.todo).isprintable() for f in found)
    with contextlib.suppress(DataError):
        scores = read_scores(path)
        assert len(scores.ids) == len(np.unique(scores.ids)) > 0
        assert all(np.isfinite(c).all() for c in scores.columns.values())
    return worst(found)


@st.composite
def mutated(draw: st.DrawFn, clean: bytes) -> bytes:
    """``clean`` after a few cuts, insertions, overwritings and repeats."""
    raw = clean
    for _ in range(draw(st.integers(1, 4))):
        a = draw(st.integers(0, len(raw)))
        b = draw(st.one_of(st.integers(a, min(a + 4, len(raw))), st.integers(a, len(raw))))
        new = draw(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from([b",", b"\n", b"\r", b'"', b"\0", b"e", b"-", b".", b";", b" "]),
                st.just(raw[a:b] * 2),
            )
        )
        raw = raw[:a] + new + raw[b:]
    return raw


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=400))
@example(raw=b"PK\x05\x06" + bytes(18))
@example(raw=b"PK\x05\x06" + b"\xff" * 18)
@example(raw=b"PK\x03\x04")
def test_arbitrary_bytes_fail_and_never_raise(path: Path, raw: bytes) -> None:
    assert worst_level(path, raw) is Level.FAIL


@settings(max_examples=300, deadline=None)
@given(
    raw=st.one_of(
        mutated(csv(SMALL_TABLE.encode())),
        mutated(packed(("prediction.csv", SMALL_TABLE.encode()), method=0)),
    )
)
def test_a_mutated_zip_never_raises(path: Path, raw: bytes) -> None:
    worst_level(path, raw)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(content=mutated(SMALL_TABLE.encode()))
def test_a_mutated_table_never_raises(path: Path, content: bytes) -> None:
    worst_level(path, csv(content))


@settings(max_examples=100, deadline=None)
@given(content=st.text("ID,Task12&;\t\r\n\"' .+-e0159_nainfx\0\ufeffé٥", max_size=80))
def test_text_of_the_formats_own_characters_never_raises(path: Path, content: str) -> None:
    worst_level(path, csv(content.encode()))


@pytest.mark.parametrize(
    "content",
    [
        b"\n" * 3_000_000,
        b" \n" * 1_000_000,
        b"ID,Task1\n" + b"\n \n" * 500_000 + b"0,1",
        b"ID,Task1\n" + b"," * 3_000_000,
        b"," * 3_000_000,
        b"ID,Task1\n" + b"0,0.5\n" * 400_000,
        b"ID,Task1\n0," + b"9" * 1_000_000 + b"\n",
    ],
    ids=["feeds", "spaces", "blanks", "commas", "header", "rows", "digits"],
)
def test_a_degenerate_table_is_refused_in_seconds(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert worst(check_submission(path, test=TestRows(SMALL))) is Level.FAIL


def test_a_written_submission_passes_and_reads_back(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=SMALL) * 30
    ids = np.arange(SMALL, dtype=np.int64)
    write_submission(tmp_path / "s.zip", ids, {Task.BOTH: logits, Task.TASK2: -logits})
    assert worst(check_submission(tmp_path / "s.zip", test=TestRows(SMALL))) is Level.PASS
    scores = read_scores(tmp_path / "s.zip")
    assert scores.ids.tolist() == ids.tolist()
    assert list(scores.columns) == ["Task2", "Task1&2"]
    assert (np.argsort(scores.columns["Task1&2"]) == np.argsort(logits)).all()


def test_scores_are_read_from_a_zip_with_bytes_around_it(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=SMALL)
    write_submission(tmp_path / "s.zip", np.arange(SMALL), {Task.BOTH: logits})
    expected = read_scores(tmp_path / "s.zip").columns["Task1&2"]
    (tmp_path / "s.zip").write_bytes(b"MZ" + (tmp_path / "s.zip").read_bytes() + b"!")
    assert worst(check_submission(tmp_path / "s.zip", test=TestRows(SMALL))) is Level.FAIL
    assert read_scores(tmp_path / "s.zip").columns["Task1&2"].tolist() == expected.tolist()


def test_scores_are_read_from_a_bare_csv_in_any_order_of_ids(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("ID,Task1\r\n7,0.25\r\n3,-2\r\n")
    scores = read_scores(tmp_path / "s.csv")
    assert scores.ids.tolist() == [7, 3]
    assert scores.columns["Task1"].tolist() == [0.25, -2.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ID,Task1\n0,0.5\n1,\n", "score-missing: 1 value missing; the first: '' in line 3, Task1"),
        ("ID,Task1\n0,0.5\n0,0.25\n", "id-unique: 1 row with an ID seen before"),
        ("ID,Task1\nx,0.5\n", "id-integer: 1 value not an integer"),
        ("ID,score\n0,0.5\n", "csv-columns: column 2 is 'score'"),
        ("ID,Task1\n", "expected rows"),
        ("Task1\n0.5\n", "csv-header: expected ID"),
        ("", "file-readable: expected"),
    ],
)
def test_unreadable_scores_are_a_data_error_of_one_line(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_scores(tmp_path / "s.csv")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_zip_is_a_data_error_and_a_missing_file_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(csv(SMALL_TABLE.encode())[:200])
    with pytest.raises(DataError, match="zip-format"):
        read_scores(tmp_path / "s.zip")
    with pytest.raises(UsageError, match="no submission file"):
        read_scores(tmp_path / "absent.zip")
