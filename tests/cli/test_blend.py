"""``mmctr-kit blend`` as a user types it: what it prints, what it labels, what it refuses."""

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from mmctr_kit import generate_data
from mmctr_kit.cli.blend import MethodName, _print_best
from mmctr_kit.data.folds import fold_fingerprint, user_folds
from mmctr_kit.data.load import load
from mmctr_kit.ensemble.methods.catalogue import Method
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.files import read_columns
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import predictions_for
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.writer import begin_run
from tests.cli.conftest import run
from tests.runs.unsealed import unsealed

FOLDS = 3
NAMES = ("a", "b", "a_run_with_a_name_that_goes_on_and_on_and_on")


def make_runs(root: Path, tiny_root: Path, names: tuple[str, ...]) -> None:
    """Runs of the tiny data whose logits are the label through noise of their own."""
    data = load(tiny_root / "data")
    truth = read_columns(tiny_root / "truth" / "test_labels.parquet")
    labels = [data.train.labels(), data.valid.labels(), truth["label"][np.argsort(truth["ID"])]]
    fold = user_folds(data.train.user_id, FOLDS, 0)
    for i, name in enumerate(names):
        rng = np.random.default_rng(i)
        oof, valid, test = (
            2.0 * y + 1.5 * rng.normal(size=(copies, len(y))) - 1.0
            for y, copies in zip(labels, (1, FOLDS, FOLDS), strict=True)
        )
        found = predictions_for(data, oof[0], fold, valid, test)
        manifest = Manifest(
            "cv", data.rows_fingerprint, name, fold_fingerprint(fold), name, seeds=(0,)
        )
        writer = begin_run(root / name, manifest, None, False)
        assert writer is not None
        writer.finish(found, score_predictions(found), {})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    root = tmp_path_factory.mktemp("blends") / "runs"
    make_runs(root, tiny_root, NAMES)
    return root


def test_a_blend_tells_its_methods_reason_weights_and_what_each_run_adds(runs: Path) -> None:
    done = run("blend", *NAMES, "--name", "all", "--runs", str(runs))
    assert done.exit_code == 0, done.output
    for text in (
        "mean",
        "logistic",
        "lightgbm",
        "vs plain mean",
        "adds",
        "weight",
        "r: rank correlation",
    ):
        assert text in done.output
    assert "lightgbm-context" not in done.output
    assert "transductive" not in done.output
    table = done.stdout.split("\nKept the plain mean")[0]
    assert "a_run_with_a_name" in done.stdout  # folded, and not cut
    assert "..." not in done.stdout
    assert max(len(line) for line in table.splitlines()) <= 80


def test_a_run_that_does_harm_is_named(tmp_path: Path, tiny_root: Path) -> None:
    """The mean rank of a good run and of noise is worse than the good one alone."""
    make_runs(tmp_path / "runs", tiny_root, ("good", "noise"))
    noise = Run(tmp_path / "runs" / "noise")
    oof = pq.read_table(noise.path / "oof.parquet")
    label = np.asarray(oof.column("label"))
    logit = 0.15 * label + np.random.default_rng(9).normal(size=len(label))
    place = oof.column_names.index("logit")
    unsealed(noise.path)
    pq.write_table(oof.set_column(place, "logit", pa.array(logit)), noise.path / "oof.parquet")
    told = run(
        *("blend", "good", "noise", "--name", "x", "--method", "rank"),
        *("--runs", str(tmp_path / "runs")),
    )
    assert told.exit_code == 0, told.output
    assert "warning: the blend is better without noise (AUC +0." in told.stderr
    told = run("blend", "good", "--name", "y", "--runs", str(tmp_path / "runs"))
    assert "better without" not in told.output
    assert "warning: good alone is no blend, but a copy of it: name two runs or more" in told.stderr


def test_a_blend_that_is_worse_than_its_best_run_alone_says_so(
    tmp_path: Path, tiny_root: Path
) -> None:
    make_runs(tmp_path, tiny_root, ("a", "noise"))
    spoil_valid(tmp_path / "noise")
    where = ("--runs", str(tmp_path), "--method", "mean")
    output = " ".join(run("blend", "a", "noise", "--name", "both", *where).output.split())
    assert "Over a alone, the best run: -0." in output
    assert "on the valid split the blend is worse than a alone: consider that run" in output
    page = tmp_path / "both.html"
    assert run("report", "both", "--runs", str(tmp_path)).exit_code == 0
    assert "Consider a instead of the blend" in page.read_text()


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (0.0036, []),
        (0.0, ["not beaten"]),
        (-0.0036, ["not beaten"]),
        (-0.02, ["the blend is worse than gbdt alone"]),
    ],
)
def test_a_best_run_that_the_blend_does_not_beat_is_said_once(
    gain: float, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _print_best("gbdt", Estimate(gain, 0.0024, 99))
    printed = " ".join("".join(capsys.readouterr()).split())
    assert f"Over gbdt alone, the best run: {Estimate(gain, 0.0024, 99).signed()}" in printed
    assert [
        w for w in ("not beaten", "the blend is worse than gbdt alone") if w in printed
    ] == words


def spoil_valid(path: Path) -> None:
    """Give a run valid logits that know nothing, and an OOF AUC below all others'."""
    table = pq.read_table(path / "valid.parquet")
    rng = np.random.default_rng(9)
    for i, name in enumerate(table.column_names):
        if name.startswith("logit"):
            noise = pa.array(30.0 * rng.normal(size=len(table)))
            table = table.set_column(i, name, noise)
    pq.write_table(table, unsealed(path) / "valid.parquet")
    metrics = json.loads((path / "metrics.json").read_text())
    metrics["oof"]["value"] = 0.5
    (path / "metrics.json").write_text(json.dumps(metrics))


def test_a_run_that_is_in_the_blend_twice_is_remarked_on(tmp_path: Path, tiny_root: Path) -> None:
    runs = tmp_path / "runs"
    make_runs(runs, tiny_root, ("a", "b", "c"))
    for parts, name in ((("a", "b"), "ab"), (("ab", "c"), "abc")):
        done = run("blend", *parts, "--name", name, "--method", "mean", "--runs", str(runs))
        assert done.exit_code == 0, done.output
        assert "already" not in done.stderr
    for parts in (("ab", "b"), ("abc", "b")):
        name = "-".join(parts)
        done = run("blend", *parts, "--name", name, "--method", "mean", "--runs", str(runs))
        twice = f"{parts[0]} contains b already, which then counts twice; leave one out"
        assert f"warning: {twice}" in done.stderr


def test_the_usual_data_are_used_if_they_are_the_runs_own(
    tmp_path: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    make_runs(runs, tiny_root, ("a", "b"))
    monkeypatch.setenv("MMCTR_KIT_DATA", str(tiny_root / "data"))
    done = run(
        "blend", "a", "b", "--name", "x", "--method", "lightgbm-context", "--runs", str(runs)
    )
    assert done.exit_code == 0, done.output
    other = tmp_path / "other"
    generate_data(other, "tiny", seed=5)
    monkeypatch.setenv("MMCTR_KIT_DATA", str(other / "data"))
    done = run("blend", "a", "b", "--name", "y", "--method", "mean", "--runs", str(runs))
    assert done.exit_code == 0, done.output
    assert f"{other / 'data'} is not the data of a: blended without it" in done.stderr


def test_a_method_that_valid_contradicts_is_doubted_and_says_by_how_much(
    tmp_path: Path, tiny_root: Path
) -> None:
    """Fold models of b err each in its own way: alone they are worse than a's, averaged better."""
    data = load(tiny_root / "data")
    rows = (data.train, data.valid)
    fold = user_folds(data.train.user_id, FOLDS, 0)
    for name, noise, shared in (("a", 2.0, True), ("b", 2.3, False)):
        rng = np.random.default_rng(len(name) + shared)
        oof, valid = (2.0 * r.labels() + noise * rng.normal(size=(FOLDS, len(r))) for r in rows)
        if shared:
            valid = np.repeat(valid[:1], FOLDS, 0)
        test = rng.normal(size=(FOLDS, len(data.test)))
        found = predictions_for(data, oof[0], fold, valid, test)
        folds = fold_fingerprint(fold)
        manifest = Manifest("cv", data.rows_fingerprint, name, folds, name, seeds=(0,))
        writer = begin_run(tmp_path / name, manifest, None, False)
        assert writer is not None
        writer.finish(found, score_predictions(found), {})

    def blended(method: str) -> Result:
        options = ("--name", method, "--runs", str(tmp_path), "--method", method)
        done = run("blend", "a", "b", *options)
        assert done.exit_code == 0, done.output
        return done

    said = blended("best")
    gain = json.loads((tmp_path / "best" / "blend.json").read_text())["on_valid"]
    assert gain["value"] < -2 * gain["error"]
    assert f"Check on the valid split: {gain['value']:.4f}" in said.stdout
    assert "warning: best may be better for single fold models, but averaged" in said.stderr
    said = blended("mean")
    assert "Check on" not in said.stdout
    assert "warning" not in said.stderr
    best, mean = (Run(tmp_path / m).metrics["valid"]["value"] for m in ("best", "mean"))
    assert best - mean == pytest.approx(gain["value"], abs=1e-9)


def test_json_and_metrics_hold_what_a_report_draws(runs: Path) -> None:
    done = run(
        "blend", *NAMES, "--name", "told", "--method", "logistic", "--json", "--runs", str(runs)
    )
    told = json.loads(done.stdout)
    stored = json.loads((runs / "told" / "metrics.json").read_text())
    assert told["metrics"] == stored
    related = stored["blend"]["correlation"]
    assert related["runs"] == list(NAMES)
    assert np.array(related["spearman"]).shape == (3, 3)
    assert stored["blend"]["adds"].keys() == set(NAMES)
    assert sum(stored["blend"]["weights"].values()) == pytest.approx(1.0)
    assert (stored["transductive"], told["group_softmax"]) == (False, None)


def test_the_group_step_is_scored_beside_the_plain_blend_and_labelled_everywhere(
    runs: Path, tmp_path: Path
) -> None:
    place = ("--runs", str(runs))
    plain = run("blend", *NAMES, "--name", "plain", "--method", "mean", "--json", *place)
    done = run("blend", *NAMES, "--name", "g", "--method", "mean", "--group-softmax", *place)
    assert done.exit_code == 0, done.output
    assert "group softmax (transductive" in done.output
    assert "grouped" in done.output
    assert f"{runs / 'g'} (transductive): valid AUC" in " ".join(done.output.split())
    metrics = Run(runs / "g").metrics
    grouped = metrics["group_softmax"]
    assert metrics["transductive"] is True
    assert Run(runs / "g").manifest.transductive
    before = json.loads(plain.stdout)["metrics"]
    assert grouped["valid_plain"] == before["valid"]
    assert grouped["oof_plain"] == before["oof"]
    assert grouped["valid"] == metrics["valid"]
    assert grouped["oof"] == metrics["oof"]
    assert grouped["oof"]["value"] > grouped["oof_plain"]["value"]
    listing = run("runs", *place).output
    assert "g [T]" in listing
    assert "a [T]" not in listing
    assert "[T] transductive" in listing
    rows = {r["name"]: r["transductive"] for r in json.loads(run("runs", "--json", *place).stdout)}
    assert (rows["g"], rows["plain"]) == (True, False)
    file = str(tmp_path / "g.zip")
    sent = run("submit", "g", "--task", "both", "--out", file, *place)
    assert "transductive: each row is scored by the rows beside it" in sent.output
    again = run("submit", "g", "--task", "both", "--out", file, "--json", *place)
    assert "rule-group-step" in {f["id"] for f in json.loads(again.stdout)["checks"]}


def test_a_blend_of_a_transductive_run_is_one(runs: Path) -> None:
    place = ("--runs", str(runs))
    run("blend", "a", "b", "--name", "inner", "--method", "mean", "--group-softmax", *place)
    done = run("blend", "inner", NAMES[2], "--name", "outer", "--method", "mean", *place)
    assert "outer (transductive)" in " ".join(done.output.split())
    assert Run(runs / "outer").manifest.transductive


def test_with_data_the_rows_context_is_tried_too(runs: Path, tiny_root: Path) -> None:
    data = ("--data", str(tiny_root / "data"))
    done = run("blend", *NAMES, "--name", "context", *data, "--json", "--runs", str(runs))
    assert "lightgbm-context" in json.loads(done.stdout)["differences"]
    asked = ("blend", *NAMES, "--name", "c2", "--method", "lightgbm-context", "--runs", str(runs))
    refused = run(*asked)
    assert isinstance(refused.exception, MmctrKitError)
    assert "add --data DATA" in str(refused.exception)
    assert not (runs / "c2").exists()
    assert run(*asked, *data).exit_code == 0


def test_another_data_sets_rows_are_refused(runs: Path, tmp_path: Path) -> None:
    made = run("data", "synth", str(tmp_path / "other"), "--preset", "tiny", "--seed", "5")
    assert made.exit_code == 0
    place = ("--data", str(tmp_path / "other" / "data"), "--runs", str(runs))
    refused = run("blend", "a", "b", "--name", "x", *place)
    assert isinstance(refused.exception, MmctrKitError)
    assert "has other rows than run a: name the runs' own data" in str(refused.exception)


@pytest.mark.slow
def test_of_many_runs_the_first_few_are_shown_within_80_columns(
    tmp_path: Path, tiny_root: Path
) -> None:
    names = tuple(f"run_number_{i:02d}_of_many" for i in range(15))
    make_runs(tmp_path, tiny_root, names)
    done = run("blend", *names, "--name", "many", "--method", "greedy", "--runs", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "3 more runs" in done.output
    assert max(len(line) for line in done.output.splitlines()[:-1]) <= 80
    assert len(Run(tmp_path / "many").metrics["blend"]["adds"]) == 15


def test_the_command_offers_the_methods_that_there_are_and_auto() -> None:
    """Listed in both places: the command names them without importing what they need."""
    assert get_args(MethodName) == ("auto", *get_args(Method))


def test_a_finished_blend_is_the_same_json_again(work: Path) -> None:
    runs = str(work / "runs")
    blend = ("blend", "din_demo", "--name", "one", "--runs", runs)
    first, again = (run(*blend, "--json") for _ in range(2))
    shutil.rmtree(work / "runs" / "one")
    assert first.exit_code == again.exit_code == 0
    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert json.loads(first.stdout).keys() >= {"method", "reason", "weights", "metrics"}
