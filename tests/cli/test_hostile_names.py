"""Names and cells of files never reach the terminal raw: escape, control and bidi signs, markup."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from mmctr_kit.cli.app import main

ESCAPE = "\x1b[31m\x9b2J\u202e[red]:bug:"
"""What a terminal would obey, and what rich would read as a style and an emoji."""
RAW = ("\x1b", "\x9b", "\u202e", "\x07", "\r")


def shown(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """All that a command writes to both streams, standard output first."""
    before = sys.argv
    sys.argv = ["mmctr-kit", *arguments]
    try:
        with pytest.raises(SystemExit):
            main()
    finally:
        sys.argv = before
    captured = capfd.readouterr()
    return captured.out + captured.err


@pytest.fixture
def planted(work: Path, tmp_path: Path) -> Path:
    """A folder whose runs, ledger, files, columns and settings hold the signs."""
    runs = tmp_path / "runs"
    shutil.copytree(work / "runs" / "din_demo", runs / f"a{ESCAPE}")
    shutil.copytree(work / "runs" / "both", runs / "both")
    manifest = json.loads((runs / f"a{ESCAPE}" / "manifest.json").read_text())
    manifest["environment"]["device"] = ESCAPE
    (runs / f"a{ESCAPE}" / "manifest.json").write_text(json.dumps(manifest))
    timings = json.loads((runs / f"a{ESCAPE}" / "timings.json").read_text())
    timings["lineage"] |= {"command": ESCAPE, "folder": ESCAPE, "host": ESCAPE}
    (runs / f"a{ESCAPE}" / "timings.json").write_text(json.dumps(timings))
    (runs / "both" / "metrics.json").write_text(json.dumps({"valid": ESCAPE}))
    entry = {"sha256": "0" * 64, "table": "", "file": ESCAPE, "run": ESCAPE, "task": ESCAPE}
    entry |= {"rows": 3, "time": f"2026-01-01{ESCAPE}", "oof": None, "valid": None}
    lines = [json.dumps(entry | {"kind": "submitted"}), json.dumps({"kind": ESCAPE})]
    (tmp_path / "ledger.jsonl").write_text("\n".join(lines))
    (tmp_path / "s.csv").write_text(f"ID,{ESCAPE},Task1\n0,{ESCAPE},1\n", "utf-8")
    (tmp_path / "labels.csv").write_text(f"{ESCAPE},label\n0,{ESCAPE}\n", "utf-8")
    (tmp_path / "recipe.yaml").write_text(
        'name: x\n"\\e[31m\\u202e": 1\nmodel: {name: "\\e[2J", "\\x9b[red]": 1}\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        ("runs",),
        ("runs", "show", f"a{ESCAPE}"),
        ("runs", "show", "both"),
        ("runs", "diff", f"a{ESCAPE}", "both"),
        ("runs", "show", ESCAPE),
        ("slices", f"a{ESCAPE}"),
        ("report", f"a{ESCAPE}", "--out", f"{ESCAPE}.txt"),
        ("report", "both"),
        ("ledger", "--ledger", "ledger.jsonl"),
        ("submit", f"a{ESCAPE}", "--task", "Task2", "--out", f"{ESCAPE}.txt"),
        ("submit", "--check", "s.csv"),
        ("submit", ESCAPE, "--task", "Task2"),
        ("score", "s.csv", "--labels", "labels.csv"),
        ("score", ESCAPE, "--labels", ESCAPE),
        ("blend", f"a{ESCAPE}", "--name", ESCAPE),
        ("data", "check", ESCAPE),
        ("data", "import", "labels.csv", "out"),
        ("data", "import", "--guess", "s.csv"),
        ("data", "synth", "out", "--preset", ESCAPE),
        ("recipes", "recipe.yaml"),
        ("cv", "recipe.yaml", "--data", ESCAPE),
        ("cv", "din_demo", "--data", ".", "--set", f"{ESCAPE}=1"),
        ("cv", "din_demo", "--data", ".", "--set", f"training.epochs='{ESCAPE}'"),
        (f"cv{ESCAPE}",),
        ("runs", f"--{ESCAPE}"),
        ("runs", "--sort", ESCAPE),
        ("-v", "--log-file", "log.txt", "runs", ESCAPE),
    ],
    ids=lambda line: " ".join(line).replace(ESCAPE, "X"),
)
def test_no_name_gives_the_terminal_a_command(
    line: tuple[str, ...],
    planted: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(planted)
    text = shown(capfd, *line)
    if (planted / "log.txt").is_file():
        text += (planted / "log.txt").read_text("utf-8")
    assert text
    assert "fault of mmctr-kit" not in text
    assert [sign for sign in RAW if sign in text] == []
    assert "🐛" not in text


def test_json_escapes_the_signs_and_keeps_them(
    planted: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(planted)
    text = shown(capfd, "runs", "--json")
    assert text.isascii()
    rows, _ = json.JSONDecoder().raw_decode(text)  # warnings follow on standard error
    assert f"a{ESCAPE}" in {row["name"] for row in rows}
