"""``mmctr-kit import-predictions`` and ``import-checkpoint``: work from elsewhere as a run."""

import re
from pathlib import Path

import numpy as np

from mmctr_kit.runs.run import Run
from tests.cli.conftest import TRAIN, run


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
    said = " ".join(blended.output.split())
    assert "Used mean: there are no OOF predictions of theirs, so no method" in said
    assert "no valid AUC, since there are no valid rows of theirs" in said
    assert run("runs", *where).exit_code == 0


def test_the_weights_of_a_fold_model_are_a_run_of_that_model(
    work: Path, tmp_path: Path, tiny_root: Path
) -> None:
    data, runs = str(tiny_root / "data"), str(tmp_path / "runs")
    file = work / "runs" / "din_demo" / "folds" / "1-0" / "weights.safetensors"
    shared = ("--name", "one", "--data", data, "--runs", runs, "--device", "cpu")
    done = run("import-checkpoint", str(file), *shared)
    assert done.exit_code == 0, done.output
    whole = Run(work / "runs" / "din_demo").predictions(with_oof=False)
    assert np.array_equal(Run(tmp_path / "runs" / "one").test_scores(), whole.test[1])
    copied = tmp_path / "weights.safetensors"
    copied.write_bytes(file.read_bytes())
    refused = run("import-checkpoint", str(copied), *shared)
    assert "nothing tells its recipe; name it with --recipe" in str(refused.exception)
    set_as = TRAIN[:4]
    done = run("import-checkpoint", str(copied), "--recipe", "din_demo", *set_as, *shared)
    assert done.exit_code == 0, done.output
