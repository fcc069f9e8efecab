"""``mmctr-kit import-predictions``: predictions from elsewhere become a run."""

import re
from pathlib import Path

from tests.cli.conftest import run


def test_a_submission_alone_becomes_a_run_that_can_be_blended(
    work: Path, tmp_path: Path, tiny_root: Path
) -> None:
    where = ("--runs", str(tmp_path / "runs"))
    data, file = str(tiny_root / "data"), str(work / "s.zip")
    made = run("import-predictions", file, "--name", "theirs", "--data", data, *where)
    assert made.exit_code == 0, made.output
    assert re.search(r"theirs:?\s+imported 400 test predictions", made.output)
    ours = str(work / "runs" / "din_demo")
    blended = run("blend", "theirs", ours, "--name", "all", *where)
    assert blended.exit_code == 0, blended.output
    assert "no valid AUC, since a run has no valid rows" in blended.output
    assert run("runs", *where).exit_code == 0
