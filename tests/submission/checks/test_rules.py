"""mmctr_kit.submission.checks.rules: what a Task1 or a Task2 entry may change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from mmctr_kit.audit.findings import Finding, Level, Log
from mmctr_kit.data.contract import Task
from mmctr_kit.files import write_json, write_whole
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import begin_run
from mmctr_kit.submission.checks.catalog import RULES
from mmctr_kit.submission.checks.rules import TASK1_MAY_DIFFER, check_recipe, run_findings


def resolved(name: str = "din_official", *settings: str) -> dict[str, Any]:
    return load_recipe(name, settings).resolved()


def rule_findings(recipe: dict[str, Any], task: Task, run: str = "the run") -> list[Finding]:
    log = Log(RULES)
    check_recipe(recipe, task, run, log)
    return log.findings()


def warned(findings: Sequence[Finding]) -> dict[str, str]:
    return {f.id: f.what for f in findings if f.level is Level.WARN}


def make(
    root: Path,
    name: str,
    *settings: str,
    kind: Literal["cv", "blend", "imported"] = "cv",
    sources: Sequence[str] = (),
    recipe: str = "din_official",
    transductive: bool = False,
) -> Run:
    """A finished run of which only the manifest and the recipe matter."""
    manifest = Manifest(
        kind,
        "rows",
        "features",
        "folds",
        "recipe",
        sources=tuple(sources),
        transductive=transductive,
    )
    text = load_recipe(recipe, settings).to_yaml() if kind == "cv" else None
    writer = begin_run(root / name, manifest, text, False)
    assert writer is not None
    write_json(root / name / "metrics.json", {})
    write_whole(root / name / "DONE", lambda p: p.write_text("done\n"))
    return Run(root / name)


def test_the_official_recipe_keeps_the_rules_of_task1() -> None:
    findings = rule_findings(resolved(), Task.TASK1)
    assert [(f.id, f.level) for f in findings] == [
        ("rule-task1-model", Level.PASS),
        ("rule-task1-training", Level.PASS),
    ]


def test_the_five_settings_the_item_embedding_and_what_no_rule_speaks_of_are_free() -> None:
    settings = (
        "training.learning_rate=0.01",
        "training.batch_size=512",
        "model.mlp_dropout=0.4",
        "training.embedding_regularizer=0.1",
        "training.net_regularizer=0.2",
        "items.embedding=file",
        "items.file=mine.parquet",
        "name=other",
        "seeds=[1, 2]",
        "folds.count=3",
        "training.epochs=9",
        "training.schedule=cosine",
        "training.holdout=0.2",
        "training.snapshot=last",
    )
    changed, official = resolved("din_official", *settings), resolved()
    for key in TASK1_MAY_DIFFER:
        block, name = key.split(".")
        assert changed[block][name] != official[block][name]
    assert warned(rule_findings(changed, Task.TASK1)) == {}


@pytest.mark.parametrize(
    ("setting", "rule", "text"),
    [
        ("model.attention_dropout=0.1", "model", "attention_dropout is 0.1, officially 0.0"),
        ("model.mlp_hidden=[8]", "model", "model.mlp_hidden is [8], officially [1024, 512, 256]"),
        ("model.batch_norm=false", "model", "model.batch_norm is False, officially True"),
        ("training.max_history=20", "training", "training.max_history is 20, officially 64"),
        ("training.optimizer=adamw", "training", "training.optimizer is adamw, officially adam"),
        ("training.clip_norm=null", "training", "training.clip_norm is None, officially 10.0"),
    ],
)
def test_any_other_setting_is_a_warning_that_names_it(setting: str, rule: str, text: str) -> None:
    findings = rule_findings(resolved("din_official", setting), Task.TASK1, "mine")
    found = warned(findings)
    assert list(found) == [f"rule-task1-{rule}"]
    assert found[f"rule-task1-{rule}"].startswith("mine: ")
    assert text in found[f"rule-task1-{rule}"]
    assert all(f.todo for f in findings if f.level is Level.WARN)


def test_another_model_is_one_difference_not_its_every_option() -> None:
    found = warned(rule_findings(resolved("qin"), Task.TASK1))
    assert found["rule-task1-model"] == "the run: model.name is qin, officially din"


@pytest.mark.parametrize("embedding", ["v1", "v2", "v3", "e4"])
def test_task2_takes_each_of_the_four_given_embeddings_with_any_model(embedding: str) -> None:
    recipe = resolved("qin", f"items.embedding={embedding}", "items.file=null")
    [finding] = rule_findings(recipe, Task.TASK2)
    assert (finding.id, finding.level) == ("rule-task2-embedding", Level.PASS)


@pytest.mark.parametrize("embedding", ["item_info", "none"])
def test_task2_warns_of_any_other_embedding(embedding: str) -> None:
    recipe = resolved("din_official", f"items.embedding={embedding}")
    found = warned(rule_findings(recipe, Task.TASK2))
    assert found == {
        "rule-task2-embedding": f"the run: items.embedding is {embedding}, not v1, v2, v3, e4"
    }


def test_both_tasks_at_once_leave_everything_free(tmp_path: Path) -> None:
    assert rule_findings(resolved("qin"), Task.BOTH) == []
    assert run_findings(make(tmp_path, "a", recipe="qin"), tmp_path, Task.BOTH) == []


def test_a_blend_is_checked_through_its_sources_however_deep(tmp_path: Path) -> None:
    make(tmp_path, "good")
    make(tmp_path, "bad", "model.mlp_hidden=[8]", "items.embedding=none")
    make(tmp_path, "inner", kind="blend", sources=["bad"])
    outer = make(tmp_path, "outer", kind="blend", sources=["good", "inner", "bad"])
    one = run_findings(outer, tmp_path, Task.TASK1)
    assert [f.what for f in one if f.id == "rule-task1-model" and f.level is Level.WARN] == [
        "bad: model.mlp_hidden is [8], officially [1024, 512, 256]"
    ]
    assert warned(one)["rule-task1-blend"].startswith("outer blends 3 runs (good, inner, bad)")
    two = run_findings(outer, tmp_path, Task.TASK2)
    assert [f.what[:4] for f in two if f.level is Level.WARN] == ["good", "bad:"]
    assert "rule-task1-blend" not in {f.id for f in two}


def test_a_blend_of_one_run_is_no_blend_of_several(tmp_path: Path) -> None:
    make(tmp_path, "good")
    alone = make(tmp_path, "alone", kind="blend", sources=["good"])
    assert warned(run_findings(alone, tmp_path, Task.TASK1)) == {}


def test_what_cannot_be_checked_says_so(tmp_path: Path) -> None:
    make(tmp_path, "theirs", kind="imported")
    make(tmp_path, "half")
    (tmp_path / "half" / "DONE").unlink()
    blend = make(tmp_path, "blend", kind="blend", sources=["theirs", "gone", "half"])
    found = [f.what for f in run_findings(blend, tmp_path, Task.TASK2) if f.level is Level.WARN]
    assert len(found) == 3
    assert "theirs was imported" in found[0]
    assert "gone is blended into blend, but gone from" in found[1]
    assert "half is blended into blend, but gone from" in found[2]


@pytest.mark.parametrize("content", [None, "model: {name: no_such_model}", "- a list", "{", "\0"])
def test_a_recipe_that_cannot_be_read_is_a_warning(tmp_path: Path, content: str | None) -> None:
    run = make(tmp_path, "old")
    if content is None:
        (run.path / "recipe.yaml").unlink()
    else:
        (run.path / "recipe.yaml").write_text(content)
    assert list(warned(run_findings(run, tmp_path, Task.TASK1))) == ["rule-unchecked"]


def test_sources_beside_a_blend_outside_the_runs_folder_are_found(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "good")
    blend = make(tmp_path / "elsewhere", "blend", kind="blend", sources=["good"])
    assert warned(run_findings(blend, tmp_path / "runs", Task.TASK1)) == {}


def test_a_run_that_was_made_anew_from_its_own_blend_ends_the_search(tmp_path: Path) -> None:
    make(tmp_path, "a", kind="blend", sources=["b"])
    b = make(tmp_path, "b", kind="blend", sources=["a"])
    found = warned(run_findings(b, tmp_path, Task.TASK2))
    assert list(found) == ["rule-unchecked"]


def test_only_registered_rules_at_their_level_are_found(tmp_path: Path) -> None:
    make(tmp_path, "bad", "model.mlp_hidden=[8]", "training.max_history=9")
    make(tmp_path, "theirs", kind="imported")
    blend = make(tmp_path, "blend", kind="blend", sources=["bad", "theirs"], transductive=True)
    findings = [f for t in Task for f in run_findings(blend, tmp_path, t)]
    assert {f.id for f in findings} == set(RULES)
    assert all(f.level in (Level.PASS, RULES[f.id].worst) for f in findings)
    assert all(f.what.isprintable() and f.todo.isprintable() for f in findings)


@pytest.mark.parametrize("task", list(Task))
def test_a_transductive_run_is_remarked_on_whatever_the_task(tmp_path: Path, task: Task) -> None:
    make(tmp_path, "good")
    for marked in (True, False):
        run = make(tmp_path, f"b{marked}", kind="blend", sources=["good"], transductive=marked)
        ids = [f.id for f in run_findings(run, tmp_path, task)]
        assert ("rule-transductive" in ids) is marked
