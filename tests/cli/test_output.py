"""What commands print: tables that cut nothing, plain lines where there is no terminal."""

import contextlib
import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.cli import output

LONG = "a-run_with.a-name-that-is-longer-than-any-terminal-is-wide-and-then-some-more-of-it"


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


FIGURES = ["0.93061 ±.00001", "0.7934 ±.0051", "-0.0046 ±.0009", "blend", "12345 s"]
COLUMNS = ["run", "OOF AUC", "valid AUC", "Δ vs best", "seeds", "time"]


def test_a_pipe_gets_a_row_on_one_line_unless_its_name_is_very_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table(COLUMNS, [[name := "din_mha_demo", *FIGURES]])
    head, row = printed(capsys).splitlines()
    assert row.split()[0] == name
    assert all(figure in row for figure in FIGURES)
    assert "Δ vs best" in head
    output.table(COLUMNS, [[LONG, *FIGURES]])
    shown = printed(capsys)
    assert "".join(line.split()[0] for line in shown.splitlines()[1:]) == LONG
    assert all(figure in shown for figure in FIGURES)
    assert "…" not in shown


def narrow(patch: pytest.MonkeyPatch) -> None:
    """Make standard output, as it is now, a terminal of 60 columns without colours."""
    patch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for name, value in (("COLUMNS", "60"), ("NO_COLOR", "1"), ("TERM", "xterm")):
        patch.setenv(name, value)


def test_a_terminal_too_narrow_for_a_table_gets_a_list_for_each_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(monkeypatch)
    output.table(COLUMNS, [["din_mha_se_pca", *FIGURES], ["other", "", "", "", "", ""]])
    assert printed(capsys).splitlines() == [
        "din_mha_se_pca",
        "  OOF AUC    0.93061 ±.00001",
        "  valid AUC  0.7934 ±.0051",
        "  Δ vs best  -0.0046 ±.0009",
        "  seeds      blend",
        "  time       12345 s",
        "other",
    ]


@given(
    st.lists(st.text("abc_-.", min_size=1, max_size=12), min_size=1, max_size=3),
    st.lists(st.integers(1, 14), min_size=1, max_size=7),
)
def test_no_name_is_folded_and_no_figure_cut_at_60_columns(
    names: list[str], widths: list[int]
) -> None:
    figures = ["123456789.12345"[:width] for width in widths]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        narrow(patch)
        columns = ["run", *("c" * min(width, 9) for width in widths)]
        output.table(columns, [[name, *figures] for name in names])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 60
    words = [word for line in lines for word in line.split()]
    assert all(words.count(figure) >= 1 for figure in figures)
    assert all(name in words for name in names)


def test_a_list_in_brackets_is_printed_whole_wherever_the_line_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for length in range(60, 75):
        what = f"{'x' * length} [pmi, cosine, near, recent, ease, and others] is a list"
        output.print_findings([Finding("rule", Level.WARN, what, f"set {what}")])
        shown = " ".join(printed(capsys).split())
        assert what in shown
        assert f"-> set {what}" in shown


@given(st.lists(st.text("abc_-.", min_size=1, max_size=120), min_size=1, max_size=4))
def test_text_columns_of_any_length_fit(names: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        console = Console(width=output.PLAIN_WIDTH, highlight=False)
        patch.setattr(output, "console", lambda: console)
        patch.setattr(output, "room", lambda: output.PLAIN_WIDTH)
        with console.capture() as caught:
            output.table(["variant", "what", "AUC"], [[n, n, "0.1234"] for n in names], left=2)
    lines = caught.get().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert sum("0.1234" in line for line in lines) == len(names)


def test_a_path_ends_its_line_whole_where_it_leaves_no_room_for_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path("runs") / LONG
    output.say_path("wrote ", path, ": 3 rows [odd]")
    output.say_path("", "runs/short", " is finished already")
    assert printed(capsys).splitlines() == [
        f"wrote {path}",
        "  3 rows [odd]",
        "runs/short is finished already",
    ]


def test_a_path_in_a_finding_stays_whole(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_findings([Finding("files-needed", Level.FAIL, f"'{LONG}/x' lacks a.parquet", "x")])
    lines = [line.strip() for line in printed(capsys).splitlines()]
    assert lines[0].endswith(f"'{LONG}/x'")
    assert lines[1:3] == ["lacks a.parquet", "-> x"]


def test_findings_fit_and_keep_their_advice(capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        Finding("a-check-with-a-rather-long-name", Level.WARN, "words [odd] " * 30, "do " * 40),
        Finding("b", Level.PASS, "fine", ""),
    ]
    output.print_findings(found)
    shown = printed(capsys)
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    assert "-> do do" in shown
    assert "[odd]" in shown
    assert "\n1 problem: a-check-with-a-rather-long-name: words [odd] words" in shown


def test_lines_are_plain_text_whatever_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(f"[bold]{LONG}[/bold] " * 3, style="yellow")
    shown = printed(capsys)
    assert shown.count("\n") == 1
    assert "[bold]" in shown
    assert "\x1b" not in shown


def test_json_holds_null_for_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json(output.finite({"a": math.nan, "b": {"c": math.inf, "d": 1.5}}))
    assert json.loads(printed(capsys)) == {"a": None, "b": {"c": None, "d": 1.5}}
    with pytest.raises(ValueError, match="JSON"):
        output.print_json({"a": math.nan})


def test_what_is_no_number_is_null_however_deep() -> None:
    deep = {"a": [math.nan, {"b": (1.0, -math.inf)}], "c": {"d": math.inf}, "e": "nan"}
    expected = {"a": [None, {"b": [1.0, None]}], "c": {"d": None}, "e": "nan"}
    assert json.loads(json.dumps(output.finite(deep), allow_nan=False)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_the_signs_gets_all_the_rest(encoding: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    wrong = f"{tmp_path}/nö日\udcff"
    Path(f"{wrong}-runs").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "mmctr_kit", "runs", "--runs", f"{wrong}-runs"],
        capture_output=True,
        check=True,
        env=environment,
    )
    assert b"no runs in" in done.stdout
    assert done.stderr == b""
    code = "from mmctr_kit.cli.app import main; main()"
    arguments = ["data", "check", wrong]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=False, env=environment
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: no data folder at")
    assert b"Traceback" not in done.stderr


def test_a_terminal_gets_messages_wrapped_at_words_and_a_pipe_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    message = f"'{LONG}': expected [another] name of a run; list them with 'mmctr-kit runs'"
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    output.warn(message)
    output.say(message)
    output.say(message, wrap=False)
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert lines[:2] == ["warning:", f"'{LONG}':"]
    assert max(map(len, lines[2:])) <= 40
    assert " ".join(shown.err.split()) == f"warning: {message}"
    assert shown.out.splitlines()[0] == f"'{LONG}':"
    assert shown.out.splitlines()[-1] == message
    monkeypatch.undo()
    output.warn(message)
    assert capsys.readouterr().err == f"warning: {message}\n"
