"""``mmctr-kit runs verify``: one line each, and exit 1 if a file differs."""

import json
import shutil
from pathlib import Path

from tests.cli.conftest import run


def test_each_has_its_line_and_a_damaged_one_fails(work: Path, tmp_path: Path) -> None:
    root = shutil.copytree(work / "runs", tmp_path / "runs")
    done = run("runs", "verify", "--runs", str(root))
    assert done.exit_code == 0
    names = [line.partition(":")[0] for line in done.output.splitlines()]
    assert names == ["both", "din_demo", "din_demo_e4"]
    (root / "both" / "blend.json").unlink()
    done = run("runs", "verify", "both", "din_demo", "--runs", str(root))
    assert done.exit_code == 1
    assert done.output.splitlines()[0] == "both: blend.json is missing"
    assert "1 of them is damaged: put the files back from a copy" in done.output
    done = run("runs", "verify", "both", "--json", "--runs", str(root))
    assert done.exit_code == 1
    (told,) = json.loads(done.stdout)
    assert (told["ok"], told["faults"]) == (False, ["blend.json is missing"])


def test_the_list_says_what_is_wrong_with_a_damaged_run(work: Path, tmp_path: Path) -> None:
    root = shutil.copytree(work / "runs", tmp_path / "runs")
    (root / "din_demo" / "metrics.json").write_text("{}")
    done = run("runs", "--runs", str(root))
    assert done.exit_code == 0
    line = f"warning: din_demo: {root / 'din_demo' / 'metrics.json'} was changed since it was"
    assert line in " ".join(done.stderr.split())
