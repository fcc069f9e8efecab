import pytest

from mmctr_kit.audit.findings import Level
from mmctr_kit.submission.checks.catalog import CHECKS, Log, show


def test_findings_come_in_the_catalogs_order_and_pass_only_where_nothing_was_found() -> None:
    log = Log()
    log.passed("score-ties", "fine")
    log.fail("zip-format", "no zip", "zip it")
    log.warn("csv-quotes", "quotes", "remove")
    log.passed("csv-quotes", "none")
    assert [(f.id, f.level) for f in log.findings()] == [
        ("zip-format", Level.FAIL),
        ("csv-quotes", Level.WARN),
        ("score-ties", Level.PASS),
    ]


def test_an_unregistered_check_or_a_level_beyond_its_worst_is_a_bug() -> None:
    with pytest.raises(ValueError, match="WARN at worst"):
        Log().fail("score-ties", "", "")
    with pytest.raises(ValueError, match="PASS at worst"):
        Log().warn("score-identical", "", "")
    with pytest.raises(KeyError):
        Log().warn("no-such-check", "", "")


def test_ids_are_kebab_case_and_meanings_one_line() -> None:
    assert all(c.replace("-", "").isalpha() and c == c.lower() for c in CHECKS)
    assert all(
        0 < len(info.meaning) <= 80 and info.meaning.isprintable() for info in CHECKS.values()
    )


def test_what_a_file_holds_is_shown_in_one_printable_line() -> None:
    assert show(b"a\n\x1b[31m\xff") == r"'a\n\x1b[31m\ufffd'"
    assert show("x" * 99) == "'" + "x" * 37 + "...'"
