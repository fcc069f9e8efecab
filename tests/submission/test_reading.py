"""mmctr_kit.submission.reading: what a file holds, shown in a message."""

from mmctr_kit.submission.reading import show


def test_what_a_file_holds_is_shown_in_one_printable_line() -> None:
    assert show(b"a\n\x1b[31m\xff") == r"'a\n\x1b[31m\ufffd'"
    assert show("x" * 99) == "'" + "x" * 37 + "...'"
