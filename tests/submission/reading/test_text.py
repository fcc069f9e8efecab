import pytest

from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.reading.text import Text, read_text


def read(raw: bytes) -> tuple[Text | None, dict[str, str]]:
    log = Log(CHECKS)
    text = read_text(raw, log, "ID")
    return text, {f.id: f.what for f in log.findings() if f.level is not Level.PASS}


PLAIN = Text("ID,Task1", b"0,0.5\n1,0.25\n", 2, False)


def test_plain_text_is_taken_as_it_is() -> None:
    assert read(b"ID,Task1\n0,0.5\n1,0.25\n") == (PLAIN, {})
    assert read(b"ID,Task1\n0,0.5\n1,0.25") == (PLAIN, {})
    assert read(b"ID,Task1\r\n0,0.5\r\n1,0.25\r\n") == (PLAIN, {})


@pytest.mark.parametrize(
    ("raw", "check", "said"),
    [
        (b"\xef\xbb\xbfID,Task1\n0,0.5\n1,0.25\n", "csv-encoding", "byte order mark"),
        (b"ID,Task1\r0,0.5\r1,0.25\r", "csv-line-ends", "3 bare CRs and no LF at all (old Mac)"),
        (b"ID,Task1\n0,0.5\r1,0.25\r\n", "csv-line-ends", "1 bare CR, the first in line 2"),
        (b"ID,Task1\r\n0,0.5\n1,0.25\n", "csv-line-ends", "CRLF ends 1 line, LF 2"),
        (b"ID,Task1\r\r\n0,0.5\r\r\n1,0.25\r\r\n", "csv-line-ends", "3 bare CRs"),
        (b"ID\tTask1\n0\t0.5\n1\t0.25\n", "csv-separator", r"separated by '\t'"),
        (b"ID Task1\n0 0.5\n1 0.25\n", "csv-separator", "separated by ' '"),
        (b"ID;Task1\n0;0,5\n1;0,25\n", "csv-separator", "decimal commas?"),
        (b'"ID","Task1"\n"0","0.5"\n1,0.25\n', "csv-quotes", "4 fields in quotes"),
        (b'ID,Task1\n0,0.5"\n1,0.25\n', "csv-quotes", "1 quote enclosing no whole field"),
        (b"ID,Task1\n0,0.5\n1,0.25\n\n \n", "csv-blank-lines", "2 blank lines after"),
        (b"# ID,Task1\n0,0.5\n1,0.25\n", "csv-header", "the header begins with '#'"),
    ],
)
def test_a_fault_is_named_and_mended(raw: bytes, check: str, said: str) -> None:
    text, found = read(raw)
    assert text == PLAIN
    assert list(found) == [check]
    assert said in found[check]


def test_blank_lines_are_counted_and_keep_the_numbers_of_the_other_lines() -> None:
    text, found = read(b"\n\nID,Task1\n0,0.5\n \t\n1,0.25\n")
    assert text == Text("ID,Task1", b"0,0.5\n \t\n1,0.25\n", 4, True)
    assert found["csv-blank-lines"] == "3 blank lines before the last row, the first is line 1"
    _, found = read(b"ID,Task1\n0,0.5\n\n1,0.25\n")
    assert found["csv-blank-lines"] == "1 blank line before the last row, the first is line 3"


def test_a_space_at_the_end_of_the_last_value_is_not_lost() -> None:
    text, found = read(b"ID,Task1\n0,0.5 ")
    assert text is not None
    assert (text.rows, found) == (b"0,0.5 \n", {})


def test_a_byte_that_is_no_utf8_is_located() -> None:
    text, found = read(b"ID,Task1\n0,0.5\n1,\xe9\n")
    assert text is not None
    assert found == {"csv-encoding": "expected UTF-8; line 3 holds the byte 0xe9"}


@pytest.mark.parametrize(
    ("raw", "check"),
    [
        ("ID,Task1\n".encode("utf-16"), "csv-encoding"),
        ("ID,Task1\n".encode("utf-32"), "csv-encoding"),
        (b"ID,Task1\n0,\x00\n", "csv-encoding"),
        (b"", "csv-header"),
        (b"\xef\xbb\xbf", "csv-header"),
        (b" \n\n", "csv-header"),
        (b"x" * 5_000, "csv-header"),
    ],
)
def test_what_is_no_table_is_not_read_on(raw: bytes, check: str) -> None:
    text, found = read(raw)
    assert text is None
    assert check in found


def test_comments_above_the_header_are_one_fault_and_lines_keep_their_numbers() -> None:
    text, found = read(b"# of din, seed 3\n#\nID,Task1\n0,0.5\n1,0.25\n")
    assert text == Text("ID,Task1", PLAIN.rows, 4, False)
    assert found == {
        "csv-header": "expected a header; the first line is a comment: '# of din, seed 3'"
    }


def test_a_comment_that_begins_like_a_header_is_still_a_comment() -> None:
    text, found = read(b"# identical to run 5\nID,Task1\n0,0.5\n1,0.25\n")
    assert text == Text("ID,Task1", PLAIN.rows, 3, False)
    assert list(found) == ["csv-header"]
    assert "the first line is a comment" in found["csv-header"]


def test_a_file_of_comments_alone_is_empty() -> None:
    text, found = read(b"#\n" * 200_000)
    assert text is None
    assert list(found) == ["csv-header"]
