"""--quiet, --verbose, --log-file and --debug: anywhere in the line, and what each shows."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmctr_kit.cli import output, verbosity
from mmctr_kit.cli.verbosity import LOG, Verbosity, begin, end, log_printed, quiet, take
from mmctr_kit.errors import UsageError
from tests.cli.conftest import command


@pytest.fixture(autouse=True)
def _as_usual() -> Iterator[None]:
    yield
    end()


@pytest.mark.parametrize("place", range(4))
def test_an_option_is_taken_out_wherever_it_stands(place: int) -> None:
    words = ["cv", "x", "--data"]
    for option, asked in (
        (["--debug"], Verbosity(debug=True)),
        (["-q"], Verbosity(quiet=True)),
        (["--verbose"], Verbosity(verbose=True)),
        (["--log-file", "f"], Verbosity(log_file="f")),
        (["--log-file=f"], Verbosity(log_file="f")),
    ):
        assert take([*words[:place], *option, *words[place:]]) == (asked, words)


def test_what_follows_two_dashes_is_left_alone() -> None:
    assert take(["score", "--", "--debug"]) == (Verbosity(), ["score", "--", "--debug"])


@pytest.mark.parametrize("words", [["--log-file"], ["--log-file="], ["--log-file", "-q"]])
def test_a_log_file_without_a_name_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--log-file needs a value"):
        take(words)


def test_the_log_file_has_what_was_printed_line_by_line_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for _ in range(2):  # it goes on at its end
        begin(Verbosity(log_file=str(path)), ["runs"])
        output.say("a result", style="bold")
        output.warn("look [here]")
        output.table(["run"], [["din"]])
        LOG.debug("cache hit in %.1f s", 0.5)
        end()
        output.say("not logged")
    lines = path.read_text("utf-8").splitlines()
    said = [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", "", line) for line in lines]
    once = ["INFO    $ mmctr-kit runs", "INFO    a result", "WARNING warning: look [here]"]
    once += ["INFO     run", "INFO     din", "DEBUG   cache hit in 0.5 s"]
    assert said == once * 2


def test_verbose_shows_what_is_done_on_standard_error_and_nothing_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin(Verbosity(verbose=True), [])
    logging.getLogger("mmctr_kit.data.load").debug("read the cache")
    output.say("a result")
    shown = capsys.readouterr()
    assert re.fullmatch(r" *\d+\.\d\d s  read the cache\n", shown.err)
    assert shown.out == "a result\n"
    end()
    logging.getLogger("mmctr_kit.data.load").debug("read the cache")
    assert capsys.readouterr().err == ""


def test_quiet_keeps_warnings_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    from mmctr_kit.api.progress import ProgressEvent

    begin(Verbosity(quiet=True), [])
    assert quiet()
    with output.progress(False) as display:
        display(ProgressEvent("epoch", "epoch 1/5"))
        display(ProgressEvent("warning", "look"))
    output.say("a result")
    shown = capsys.readouterr()
    assert shown.out == "a result\n"
    assert shown.err == "warning: look\n"


def test_a_log_file_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--log-file: '.*' cannot be written .*; name another"):
        begin(Verbosity(log_file=str(tmp_path / "file" / "log")), [])


def test_a_log_file_never_spoils_a_parquet_file_nor_waits_at_a_pipe(tmp_path: Path) -> None:
    table = tmp_path / "test.parquet"
    table.write_bytes(b"PAR1\x15\0\x15")
    os.mkfifo(tmp_path / "pipe")
    for path, why in ((table, "it exists and is no text"), (tmp_path / "pipe", "a fifo")):
        with pytest.raises(UsageError, match=rf"cannot be written \({why}.*; name another file"):
            begin(Verbosity(log_file=str(path)), [])
    assert table.read_bytes() == b"PAR1\x15\0\x15"


def test_a_log_file_in_a_folder_that_is_absent_is_wrong_usage_and_makes_none(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=r"--log-file: no folder '.*new' for .*make it"):
        begin(Verbosity(log_file=str(tmp_path / "new" / "x.log")), [])
    assert list(tmp_path.iterdir()) == []


def test_without_a_log_nothing_is_rendered_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbosity, "Screen", None)
    log_printed("text", width=80)


@pytest.mark.parametrize("line", ["--debug data check nowhere", "data check nowhere --debug"])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(
    capsys: pytest.CaptureFixture[str], line: str
) -> None:
    code, error = command(capsys, *line.split())
    assert code == 2
    assert "Traceback" in error
    assert "error: no data folder at 'nowhere'" in error.splitlines()[-1]


def test_debug_keeps_the_code_of_a_command_that_cannot_be_parsed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, error = command(capsys, "cvv", "--debug")
    assert code == 2
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("error: no command 'cvv'")
