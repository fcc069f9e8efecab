"""The command that is recorded: as a shell takes it, without passwords, and only while it runs."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.runs.call import called, calling, command_line, without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pw@host/tuning", "postgresql://***@host/tuning"),
        ("postgresql+psycopg://me@host:5432/t", "postgresql+psycopg://***@host:5432/t"),
        ("mysql://me:p@ss/w:rd?x@host/t", "mysql://***@host/t"),
        ("postgresql://host/t?user=me&password=pw", "postgresql://host/t?***"),
        ("--storage=postgresql://me:pw@host/t", "--storage=postgresql://***@host/t"),
        ("sqlite:///trials.db", "sqlite:///trials.db"),
        ("training.epochs=3", "training.epochs=3"),
    ],
)
def test_a_url_shows_neither_who_logs_in_nor_options(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@given(st.text(min_size=8), st.text("abc.-_ '\"$*", min_size=1))
def test_no_password_is_in_a_command_line_and_the_rest_is_as_it_was(pw: str, word: str) -> None:
    secret = f"<{pw}>"
    line = command_line(["tune", word, "--storage", f"postgresql://me:{secret}@host/t"])
    assert secret not in line
    assert shlex.split(line)[:3] == ["mmctr-kit", "tune", word]


def test_a_command_is_known_while_it_runs_and_not_after_it_failed() -> None:
    assert calling() is None
    with called("outer"):
        with pytest.raises(RuntimeError, match="inner"), called("inner"):
            raise RuntimeError(calling())
        assert calling() == "outer"
    assert calling() is None
