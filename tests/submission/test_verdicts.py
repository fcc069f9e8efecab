"""mmctr_kit.submission.verdicts: which tasks' rules a run keeps, through all runs of a blend."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from mmctr_kit.data.contract import Task
from mmctr_kit.files import write_json, write_whole
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import begin_run
from mmctr_kit.submission.verdicts import RuleVerdict, check_run, compact, summary

GIVEN = "items.embedding=e4"


def make(
    root: Path,
    name: str,
    *settings: str,
    kind: Literal["cv", "fit", "blend", "imported"] = "fit",
    sources: Sequence[str] = (),
    recipe: str = "din_official",
    seeds: tuple[int, ...] = (0,),
    transductive: bool = False,
) -> Run:
    """A finished run of which only the manifest and the recipe matter."""
    seeds = seeds if kind in ("cv", "fit") else ()
    prints = ("rows", "features", "folds", "recipe")
    manifest = Manifest(kind, *prints, seeds, tuple(sources), transductive=transductive)
    text = load_recipe(recipe, settings).to_yaml() if seeds or settings else None
    writer = begin_run(root / name, manifest, text, False)
    assert writer is not None
    write_json(root / name / "metrics.json", {})
    write_whole(root / name / "DONE", lambda p: p.write_text("done\n"))
    return Run(root / name)


def verdicts(run: Run, root: Path) -> list[str]:
    """Each task's verdict with the rules behind it."""
    return [str(verdict) for verdict in check_run(run, root)]


def texts(run: Run, root: Path, task: Task) -> list[str]:
    [verdict] = [each for each in check_run(run, root) if each.task is task]
    return [str(breach) for breach in verdict.breaches]


def test_one_network_with_a_given_embedding_keeps_the_rules_of_every_task(tmp_path: Path) -> None:
    run = make(tmp_path, "mine", GIVEN)
    assert verdicts(run, tmp_path) == ["kept", "kept", "kept"]
    assert compact(check_run(run, tmp_path)) == "1 2 1&2"
    assert summary(check_run(run, tmp_path)) == "rules kept: Task1, Task2, Task1&2"


def test_averaged_weights_are_one_network_but_not_the_official_training(tmp_path: Path) -> None:
    run = make(tmp_path, "mine", GIVEN, "training.average=ema")
    assert verdicts(run, tmp_path) == ["breached: official-din", "kept", "kept"]


@pytest.mark.parametrize(("kind", "seeds"), [("cv", (0,)), ("cv", (0, 1)), ("fit", (0, 1))])
def test_a_mean_over_folds_or_seeds_is_not_one_network(
    tmp_path: Path, kind: Literal["cv", "fit"], seeds: tuple[int, ...]
) -> None:
    run = make(tmp_path, "mine", GIVEN, kind=kind, seeds=seeds)
    assert verdicts(run, tmp_path) == ["breached: averaged"] * 2 + ["unclear: averaged"]
    assert compact(check_run(run, tmp_path)) == "1&2?"


def test_a_breach_says_breaks_only_if_the_page_does_and_else_unclear(tmp_path: Path) -> None:
    run = make(tmp_path, "mine", GIVEN, kind="cv")
    why = "one network, no mean over fold models or seeds (mine: kind is cv, folds.count is 5)"
    assert texts(run, tmp_path, Task.TASK2) == [f"breaks the rule of Task2: {why}"]
    [unclear] = texts(run, tmp_path, Task.BOTH)
    assert unclear.startswith(f"unclear for Task1&2: {why}: ")
    assert unclear.endswith("the organisers' page says so of Task2 only; one network is safest")
    assert summary(check_run(run, tmp_path)) == (
        "rules kept: none; unclear: Task1&2; breached: Task1, Task2"
    )


def test_a_said_breach_outweighs_an_unclear_one(tmp_path: Path) -> None:
    run = make(tmp_path, "mine", "signals.kinds=all", "augmentation.per_user=1", GIVEN)
    assert verdicts(run, tmp_path) == ["breached: features"] * 3
    assert compact(check_run(run, tmp_path)) == "-"
    said = [(b["rule"], b["said"]) for b in check_run(run, tmp_path)[2].to_json()["breaches"]]
    assert said == [("features", True), ("extra-rows", False)]


def test_a_blend_is_checked_through_its_sources_however_deep(tmp_path: Path) -> None:
    make(tmp_path, "good")
    make(tmp_path, "bad", "model.mlp_hidden=[8]", "items.embedding=none")
    make(tmp_path, "trees", recipe="gbdt")
    make(tmp_path, "inner", kind="blend", sources=["bad", "trees"])
    outer = make(tmp_path, "outer", kind="blend", sources=["good", "inner", "bad"])
    one = texts(outer, tmp_path, Task.TASK1)
    assert "outer: sources is [good, inner, bad]; inner: sources is [bad, trees]" in one[0]
    assert "bad: model.mlp_hidden is [8], officially [1024, 512, 256]" in one[1]
    assert one[1].count("bad: ") == 1
    two = texts(outer, tmp_path, Task.TASK2)
    assert any("(trees: model.name is gbdt)" in text for text in two)
    assert any("good: items.embedding is item_info; bad: items.emb" in text for text in two)


def test_a_blend_of_one_run_is_no_blend_of_several(tmp_path: Path) -> None:
    make(tmp_path, "good", GIVEN)
    alone = make(tmp_path, "alone", kind="blend", sources=["good"])
    assert verdicts(alone, tmp_path) == ["kept"] * 3


def test_what_cannot_be_checked_is_unclear_for_every_task(tmp_path: Path) -> None:
    make(tmp_path, "theirs", kind="imported")
    make(tmp_path, "half", GIVEN)
    (tmp_path / "half" / "DONE").unlink()
    make(tmp_path, "damaged")
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    sources = ["theirs", "gone", "half", "damaged"]
    blend = make(tmp_path, "blend", kind="blend", sources=sources)
    for task in Task:
        text = texts(blend, tmp_path, task)[-1]
        assert text.startswith(f"unclear for {task}: how each run behind the file was")
        assert "theirs: was imported" in text
        assert "gone: is blended into blend, but gone from" in text
        assert "half: is blended into blend, but unfinished: it has no DONE" in text
        assert "damaged: has a manifest.json or blend.json that" in text
        assert text.isprintable()
    assert compact(check_run(Run(tmp_path / "theirs"), tmp_path)) == "1? 2? 1&2?"


def test_imported_weights_break_what_their_recipe_breaks_and_leave_the_rest_unclear(
    tmp_path: Path,
) -> None:
    good = make(tmp_path, "good", GIVEN, kind="imported")
    assert verdicts(good, tmp_path) == ["unclear: unchecked"] * 3
    assert (
        "good: was imported, so how its weights were trained" in texts(good, tmp_path, Task.BOTH)[0]
    )
    wide = make(tmp_path, "wide", "model.se=true", kind="imported")
    assert verdicts(wide, tmp_path) == [
        "breached: official-din",
        "breached: given-embedding",
        "unclear: unchecked",
    ]
    trees = make(tmp_path, "trees", "signals.kinds=all", kind="imported", recipe="gbdt")
    assert [v.split(":")[0] for v in verdicts(trees, tmp_path)] == ["breached"] * 3
    (trees.path / "recipe.yaml").write_text("model: {name: no_such_model}")
    assert verdicts(trees, tmp_path) == ["unclear: unchecked"] * 3


@pytest.mark.parametrize("content", [None, "model: {name: no_such_model}", "- a list", "{", "\0"])
@pytest.mark.parametrize("kind", ["cv", "fit"])
def test_a_recipe_that_cannot_be_read_is_unclear(
    tmp_path: Path, content: str | None, kind: Literal["cv", "fit"]
) -> None:
    run = make(tmp_path, "old", kind=kind)
    if content is None:
        (run.path / "recipe.yaml").unlink()
    else:
        (run.path / "recipe.yaml").write_text(content)
    first = "unclear: unchecked" if kind == "fit" else "breached: averaged"
    assert verdicts(run, tmp_path)[0] == first
    assert "has no recipe.yaml" in texts(run, tmp_path, Task.BOTH)[-1]


def test_sources_beside_a_blend_outside_the_runs_folder_are_found(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "good", GIVEN)
    blend = make(tmp_path / "elsewhere", "blend", kind="blend", sources=["good"])
    assert verdicts(blend, tmp_path / "runs") == ["kept"] * 3


def test_a_source_in_a_folder_that_may_not_be_entered_is_unclear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blend = make(tmp_path, "blend", kind="blend", sources=["shut"])
    (tmp_path / "shut").mkdir()

    def access(path: Path, _: int) -> bool:
        return Path(path).name != "shut"

    monkeypatch.setattr("os.access", access)
    assert verdicts(blend, tmp_path) == ["unclear: unchecked"] * 3
    assert "in a folder that may not be entered" in texts(blend, tmp_path, Task.TASK1)[0]


def test_a_run_that_was_made_anew_from_its_own_blend_ends_the_search(tmp_path: Path) -> None:
    make(tmp_path, "a", kind="blend", sources=["b"])
    b = make(tmp_path, "b", kind="blend", sources=["a"])
    assert verdicts(b, tmp_path) == ["unclear: unchecked"] * 3
    assert "was replaced since" in texts(b, tmp_path, Task.TASK1)[0]


def test_a_transductive_run_is_unclear_whatever_the_task(tmp_path: Path) -> None:
    make(tmp_path, "good", GIVEN)
    grouped = make(tmp_path, "g", kind="blend", sources=["good"], transductive=True)
    assert verdicts(grouped, tmp_path) == ["unclear: group-step"] * 3


def test_a_verdict_of_no_breach_is_kept() -> None:
    kept = RuleVerdict(Task.TASK2, ())
    assert (kept.verdict, str(kept)) == ("kept", "kept")
    assert kept.to_json() == {"verdict": "kept", "breaches": []}
