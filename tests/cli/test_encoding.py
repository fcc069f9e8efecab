"""Signs that the output's encoding lacks come in ASCII, and a path's bytes stay what they are."""

import io
import os
import subprocess
import sys

import pytest

from mmctr_kit.cli import encoding, output

CODE = "from mmctr_kit.cli.app import main; main()"
SHOW = (
    "import sys; from mmctr_kit.cli.encoding import adapt; adapt(sys.stdout);"
    "print(sys.argv[1]); print('0.5 ± 0.1, Δ – …')"
)


def shown(environment: dict[str, str], path: str) -> bytes:
    wanted = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    wanted |= {"PYTHONPATH": os.environ.get("PYTHONPATH", "")} | environment
    done = subprocess.run(
        [sys.executable, "-c", SHOW, path], capture_output=True, check=True, env=wanted
    )
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="it has no C locale")
def test_a_c_locale_gets_ascii_signs_and_whole_paths() -> None:
    name = "nö日/x"
    assert shown({"LC_ALL": "C"}, name) == name.encode() + b"\n0.5 +/- 0.1, diff - ...\n"


def test_a_stream_of_ascii_gets_ascii_alone() -> None:
    assert shown({"PYTHONIOENCODING": "ascii"}, "nö日") == (
        rb"n\xf6\u65e5" + b"\n0.5 +/- 0.1, diff - ...\n"
    )


def test_a_stream_with_the_sign_keeps_it() -> None:
    text = "nö\n0.5 ± 0.1, Δ – …\n"
    assert shown({"PYTHONIOENCODING": "utf-8", "LC_ALL": "C"}, "nö") == text.encode()
    assert shown({"PYTHONIOENCODING": "latin-1"}, "nö").startswith(
        "nö\n0.5 ± 0.1, diff".encode("latin-1")
    )


def test_the_signs_that_a_stream_lacks_are_known_before_it_is_written() -> None:
    def stream(name: str) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(), encoding=name)

    assert encoding.signs("0.5 ± 0.1", stream("ascii")) == "0.5 +/- 0.1"
    assert encoding.signs("0.5 ± 0.1", stream("latin-1")) == "0.5 ± 0.1"
    assert encoding.signs("Δ ± ü", stream("latin-1")) == "diff ± ü"
    assert encoding.signs("ü", stream("ascii")) == "ü"  # left to the stream, which knows paths


def test_every_sign_that_the_package_prints_has_a_stand_in() -> None:
    from pathlib import Path

    for path in (Path(output.__file__).parent).rglob("*.py"):
        if path == Path(encoding.__file__):
            continue
        others = {c for c in path.read_text("utf-8") if not c.isascii()}
        assert others <= encoding.SIGNS.keys(), path


def test_columns_stay_in_line_where_a_sign_becomes_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    encoding.adapt(stream)
    monkeypatch.setattr(sys, "stdout", stream)
    output.table(["run", "AUC", "z"], [["a", "0.5 ± 0.1", "1"], ["b", "0.25", "2"]])
    stream.flush()
    lines = raw.getvalue().decode("ascii").splitlines()
    assert len({len(line.rstrip()) for line in lines}) == 1
    assert "0.5 +/- 0.1" in lines[1]
