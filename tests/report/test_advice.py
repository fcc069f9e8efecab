"""mmctr_kit.report.advice: each step follows from facts, and its command runs as it stands."""

import html
import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from mmctr_kit.cli.app import app
from mmctr_kit.data.contract import Task
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.ensemble.runs import blend_runs
from mmctr_kit.recipe import load_recipe
from mmctr_kit.report.advice import Advice, advice
from mmctr_kit.report.context import ReportContext, open_context
from mmctr_kit.report.page import render
from mmctr_kit.report.sections.leaderboard import leaderboard_section
from mmctr_kit.report.sections.slices import slices_section
from mmctr_kit.runs.run import Run, open_run, run_path
from mmctr_kit.submission.ledger import record
from mmctr_kit.submission.write import write_submission
from tests.report.made import make_run, make_study
from tests.runs.unsealed import unsealed

Change = Callable[[dict[str, object]], object]


def changed(run: Run, name: str, change: Change) -> None:
    path = unsealed(run.path) / name
    content = json.loads(path.read_text())
    content.pop("check", None)
    change(content)
    path.write_text(json.dumps(content))


def opened(name: str, root: Path) -> ReportContext:
    return open_context(name, root, root / "submissions")


def titled(context: ReportContext) -> dict[str, Advice]:
    return {a.title: a for a in advice(context)}


@pytest.fixture
def run(tiny: ChallengeData, tmp_path: Path) -> Run:
    return make_run(tmp_path, "x", tiny, 1.0, 0)


def test_one_seed_asks_for_more_and_three_do_not(run: Run) -> None:
    root = run.path.parent
    found = titled(opened("x", root))["Train more seeds"]
    assert "--set 'seeds=[0,1,2]'" in found.command
    changed(run, "manifest.json", lambda m: m.update(seeds=[0, 1, 2]))
    assert not [t for t in titled(opened("x", root)) if "seeds" in t]


def test_an_alarm_comes_first_and_is_urgent(run: Run) -> None:
    root = run.path.parent
    assert not any(a.urgent for a in titled(opened("x", root)).values())
    changed(run, "metrics.json", lambda m: m.update(alarm="OOF and valid differ"))
    first, *_ = advice(opened("x", root))
    assert first.urgent
    assert first.command.startswith("mmctr-kit data profile DATA")


def test_commands_name_the_data_folder_that_the_run_recorded_if_it_is_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_ablation() -> str:
        context = opened("x", run.path.parent)
        return titled(context)["Measure what each part of the recipe adds"].command

    data = tmp_path / "my data"
    changed(run, "timings.json", lambda t: t["lineage"].update(data=str(data)))
    assert " --data DATA " in of_ablation()
    data.mkdir()
    assert f" --data '{data}' " in of_ablation()
    monkeypatch.chdir(tmp_path)
    assert " --data 'my data' " in of_ablation()


def test_tied_scores_are_urgent(run: Run) -> None:
    context = opened("x", run.path.parent)
    context = replace(context, metrics={**context.metrics, "test_tied_share": 0.4})
    assert titled(context)["Break the ties"].urgent


def test_curves_that_end_at_their_best_ask_for_more_epochs(run: Run) -> None:
    root = run.path.parent
    found = titled(opened("x", root))["Train longer"]
    assert "training.epochs=6" in found.command
    assert "+0.0300" in found.why
    for path in unsealed(run.path).glob("folds/*/metrics.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        text = [json.dumps({**line, "best": line["epoch"] == 1}) for line in lines]
        path.write_text("\n".join(text) + "\n")
    again = titled(opened("x", root))
    assert "Train longer" not in again
    assert "Regularise, or lower the learning rate" in again


@pytest.mark.parametrize("rises", [(0.0002, 0.0002, 0.0002), (0.02, -0.01, 0.003)])
def test_a_rise_that_is_small_or_within_its_error_asks_for_nothing(
    run: Run, rises: tuple[float, ...]
) -> None:
    paths = sorted(unsealed(run.path).glob("folds/*/metrics.jsonl"))
    for path, rise in zip(paths, rises, strict=True):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[-1]["holdout_auc"] = lines[-2]["holdout_auc"] + rise
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "Train longer" not in titled(opened("x", run.path.parent))


def first_slice(**changes: object) -> Change:
    def change(metrics: dict[str, object]) -> None:
        slices = metrics["slices"]
        assert isinstance(slices, list)
        slices[0] |= changes

    return change


def weaken(run: Run) -> None:
    auc = {"value": 0.6, "error": 0.01, "n": 100}
    changed(run, "metrics.json", first_slice(worse=True, note="n", errors=-4.2, auc=auc, rows=100))


def test_a_weak_slice_is_named_and_whether_it_is_the_runs_fault_is_left_open(run: Run) -> None:
    weaken(run)
    found = titled(opened("x", run.path.parent))["Look at the weak slices"]
    assert "4.2 standard errors below the other rows" in found.why
    assert "may be hard for any model" in found.why


@pytest.mark.parametrize("score", [0.61, 0.7])
def test_beside_other_runs_a_slice_is_weak_where_one_of_them_does_better(
    run: Run, tiny: ChallengeData, score: float
) -> None:
    root = run.path.parent
    weaken(run)
    other = make_run(root, "y", tiny, 1.0, 1)
    auc = {"value": score, "error": 0.01, "n": 100}
    changed(other, "metrics.json", first_slice(auc=auc, rows=100))
    context = opened("x", root)
    found = titled(context)
    section = slices_section(context)
    assert section is not None
    if score == 0.7:
        assert "y has AUC 0.7000 ± 0.0100" in found["Look at the weak slices"].why
        assert "y is better here: 0.7000 ± 0.0100" in section.notes[0]
    else:
        assert "Look at the weak slices" not in found
        assert "perhaps hard for any model" in section.notes[1]


def test_a_submission_that_is_there_is_to_be_checked(run: Run) -> None:
    root = run.path.parent
    assert "Write a submission" in titled(opened("x", root))
    (root / "submissions").mkdir()
    (root / "submissions" / "x-both.zip").touch()
    found = titled(opened("x", root))
    assert "Write a submission" not in found
    assert "x-both.zip" in found["Check the submission before you upload it"].command


def test_a_submission_goes_to_the_folder_and_ledger_that_the_page_is_of(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = run.path.parent
    monkeypatch.chdir(root)
    usual = titled(open_context("x", root, Path("submissions")))["Write a submission"].command
    assert "--ledger" not in usual
    other = titled(open_context("x", root, Path("other")))["Write a submission"].command
    assert "--out other/x-both.zip --ledger other/ledger.jsonl" in other


def test_a_submission_under_another_name_is_found_by_the_ledger(run: Run) -> None:
    root = run.path.parent
    file = root / "mine.zip"
    ids = np.arange(5)
    write_submission(file, ids, {Task.BOTH: ids / 7.0}, overwrite=False)
    assert record(root / "submissions" / "ledger.jsonl", file, run, Task.BOTH, 5)
    title = "Check the submission before you upload it"
    assert str(file) in titled(opened("x", root))[title].command
    # Trained anew, it is another run: the file is not of it.
    changed(run, "metrics.json", lambda m: m.update(valid={**m["valid"], "value": 0.5}))
    assert title not in titled(opened("x", root))
    why = titled(opened("x", root))["Write a submission"].why
    assert re.fullmatch(r"Not submitted yet\. Rules kept: .*\.", why)


def test_copies_of_a_run_are_named_and_not_blended(tiny: ChallengeData, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("copy_of_a", 0), ("b", 1), ("copy_of_b", 1)):
        make_run(tmp_path, name, tiny, 1.0, seed)
    context = opened("a", tmp_path)
    command = titled(context)["Blend it"].command
    assert command.startswith("mmctr-kit blend a b --name a_blend")
    section = leaderboard_section(context)
    assert section is not None
    notes = " ".join(section.notes)
    assert "The same predictions: a, copy_of_a." in notes
    assert "The same predictions: b, copy_of_b." in notes


def test_a_study_that_found_the_recipe_itself_asks_to_train_nothing(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    make_study(tmp_path, "s", tiny)
    make_study(tmp_path, "same", tiny, changes={})
    assert "Train the tuned recipe" in titled(opened("s", tmp_path))
    assert "Train the tuned recipe" not in titled(opened("same", tmp_path))


def test_runs_of_the_same_rows_are_to_be_blended_and_a_blend_is_not(
    tiny: ChallengeData, tmp_path: Path, made_runs: Path
) -> None:
    make_run(tmp_path, "a", tiny, 1.0, 0)
    make_run(tmp_path, "b", tiny, 1.0, 1)
    command = titled(opened("a", tmp_path))["Blend it"].command
    assert command.startswith("mmctr-kit blend a b --name a_blend")
    assert "Blend it" not in titled(opened("mix", made_runs))


def test_of_two_runs_that_could_stand_in_for_each_other_one_is_to_go(made_runs: Path) -> None:
    context = opened("mix", made_runs)
    small = {n: {"value": v, "error": 1e-4, "n": 9} for n, v in (("alpha", 1e-5), ("beta", 0.0))}
    large = {n: {"value": 0.01, "error": 1e-4, "n": 9} for n in ("gamma", "delta")}
    related = {**context.metrics["blend"], "adds": {**small, **large}}
    sources = context.sources[:4]
    metrics = {**context.metrics, "blend": related}
    context = replace(context, metrics=metrics, sources=sources)
    found = titled(context)["Leave out the run that adds least"]
    assert found.command.startswith("mmctr-kit blend alpha gamma delta --name mix_less")
    assert "alpha, beta" in found.why


def test_a_blend_of_a_studys_runs_still_finds_them(tiny: ChallengeData, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    make_study(root, "tuned", tiny)
    runs = [open_run(f"tuned.study/finalists/trial-{n}", root) for n in (7, 2)]
    assert blend_runs(runs, "mean", root / "both", False) is not None
    context = opened("both", root)
    assert [r.name for r in context.sources] == ["trial-7", "trial-2"]
    assert context.missing == ()
    shutil.move(root, tmp_path / "moved")
    assert len(opened("both", tmp_path / "moved").sources) == 2


def commands(page: str) -> list[list[str]]:
    """The words of every command on a page."""
    found = re.findall(r"<pre[^>]*><code>(<span>mmctr-kit</span>.*?)</code>", page, re.DOTALL)
    return [shlex.split(html.unescape(re.sub(r"<[^>]+>", "", c)))[1:] for c in found]


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command's name, and its parameters as the kit itself parses them."""
    command, path = get_command(app), list[str]()
    while hasattr(command, "commands"):
        path.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    return " ".join(path), command.make_context(path[-1], list(words)).params


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("root", ["runs", "elsewhere"])
@pytest.mark.parametrize(
    "name", ["alpha", "beta", "mix", "alpha.ablate", "tuned.study", "tuned.study/finalists/trial-2"]
)
def test_every_command_of_a_page_runs_as_it_stands(
    name: str, root: str, everything: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(everything.parent if root == "runs" else everything.parent.parent)
    runs = Path("runs") if root == "runs" else everything
    found = commands(render(open_context(name, runs, Path("submissions"))))
    assert len(found) >= 3
    asked = set()
    for words in found:
        command, given = parsed(words)
        asked.add(command)
        if command in ("slices", "submit"):
            assert open_run(given["run"], given["runs"]).finished
        elif command == "blend":
            assert len([open_run(run, given["runs"]) for run in given["run"]]) > 1
        elif command in ("cv", "ablate"):
            recipes = given["recipe"] if command == "cv" else [given["recipe"]]
            for recipe in recipes:
                load_recipe(recipe, [s.replace("LOWER", "1e-4") for s in given["settings"] or ()])
        if command in ("cv", "ablate", "blend"):
            assert given["runs"] == runs
            run_path(given["runs"], given["name"])
    assert "submit" in asked
