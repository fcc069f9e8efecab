"""The organisers' rules that a recipe can show: what a Task1 or a Task2 entry may change.

Task1 is about item embeddings: the model is the official DIN, and five of its settings may be
tuned. Task2 is about the model: the embedding is one of the four given. Task1&2 leaves both free.
A violation is a WARN and not a FAIL, since the user knows more than a recipe shows.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from mmctr_kit.audit.findings import Finding, Log
from mmctr_kit.data.contract import GIVEN_EMBEDDINGS, Task
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.recipe import Items, load_recipe, parse_recipe
from mmctr_kit.recipe.diff import flat
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.checks.catalog import RULES

OFFICIAL = "din_official"
"""The shipped recipe of the official baseline."""

TASK1_MAY_DIFFER: Mapping[str, str] = MappingProxyType(
    {
        "training.learning_rate": "learning_rate",
        "training.batch_size": "batch_size",
        "model.mlp_dropout": "net_dropout",
        "training.embedding_regularizer": "embedding_regularizer",
        "training.net_regularizer": "net_regularizer",
    }
)
"""Recipe key -> the organisers' name of a setting that Task1 leaves free. The official
``attention_dropout`` is another setting and not one of them."""

NOT_RULED_ON: tuple[str, ...] = (
    "name",
    "seeds",
    "folds",
    "training.epochs",
    "training.min_steps",
    "training.schedule",
    "training.warmup",
    "training.holdout",
    "training.snapshot",
    "training.precision",
    "training.steps",
    "training.user_updates",
    "training.data_on",
)
"""Keys, or blocks of keys, of this kit's training and scoring that the official pipeline does not
have, so that no rule is about them."""

_ABSENT = "absent"
_TODO_1 = f"submit it as Task1&2, or change it back to {OFFICIAL}; Task1 leaves free: items.*, "
_TODO_1 += ", ".join(TASK1_MAY_DIFFER)
_TODO_2 = f"submit it as Task1&2, or set items.embedding to {', '.join(GIVEN_EMBEDDINGS)}"


def run_findings(run: Run, root: Path, task: Task) -> list[Finding]:
    """Checks a run and, for a blend, every run behind it against the rules of ``task``.

    A run that a blend is made of is looked up by name next to the blend, then under ``root``. A run
    that cannot be checked (it is gone, or its predictions were imported) is a WARN.
    """
    log = Log(RULES)
    if run.manifest.transductive:
        what = "transductive: a row's score depends on other rows of test; say so with the score"
        log.passed("rule-transductive", what)
    if task is not Task.BOTH:
        _check_run(run, root, task, (run.name,), log)
    return log.findings()


def check_recipe(recipe: Mapping[str, Any], task: Task, run: str, log: Log) -> None:
    """Reports each rule of ``task`` that applies to a resolved ``recipe``, with every difference.

    ``run`` names the run in the text. Raises UsageError if the recipe is not one of this version.
    """
    if task is Task.BOTH:
        return
    resolved = parse_recipe(recipe, f"the recipe of {run}").resolved()
    if task is Task.TASK2:
        _check_embedding(resolved["items"], run, log)
        return
    official = _official()
    mine = dict(flat(resolved))
    differences = [
        f"{key} is {mine.get(key, _ABSENT)}, officially {official.get(key, _ABSENT)}"
        for key in sorted(mine.keys() | official.keys())
        if mine.get(key, _ABSENT) != official.get(key, _ABSENT) and not _free(key)
    ]
    model = [d for d in differences if not d.startswith("training.")]
    if mine["model.name"] != official["model.name"]:  # then its options need not be listed
        model = [d for d in model if not d.startswith("model.") or d.startswith("model.name ")]
    training = [d for d in differences if d.startswith("training.")]
    _report(log, "rule-task1-model", run, model, "the model is the official DIN", _TODO_1)
    _report(log, "rule-task1-training", run, training, "trained as the rules allow", _TODO_1)


def _check_run(run: Run, root: Path, task: Task, above: tuple[str, ...], log: Log) -> None:
    manifest = run.manifest
    if manifest.kind == "imported":
        _report_unchecked(log, run.name, "was imported, so how it was made is not known")
    elif manifest.kind == "cv":
        _check_own_recipe(run, task, log)
    sources = manifest.sources
    if task is Task.TASK1 and len(sources) > 1:
        what = f"{run.name} blends {len(sources)} runs ({', '.join(sources)}); Task1 is one "
        todo = "submit it as Task1&2, or submit one of them"
        log.warn("rule-task1-blend", f"{what}official DIN", todo)
    for name in sources:
        source = _source(name, root, run)
        if name in above:  # a run that replaced its own source
            _report_unchecked(log, name, f"is blended into {run.name}, and was replaced since")
        elif source is None:
            _report_unchecked(log, name, f"is blended into {run.name}, but gone from {root}")
        else:
            _check_run(source, root, task, (*above, name), log)


def _source(name: str, root: Path, blend: Run) -> Run | None:
    """The finished run ``name`` that the blend was made of, or one under ``root``; else None."""
    for path in (blend.source_places[name], root / name):
        if (path / "manifest.json").is_file() and (path / "DONE").is_file():
            return Run(path)
    return None


def _check_own_recipe(run: Run, task: Task, log: Log) -> None:
    try:
        content = yaml.safe_load((run.path / "recipe.yaml").read_text("utf-8"))
        check_recipe(content, task, run.name, log)
    except (OSError, ValueError, TypeError, yaml.YAMLError, MmctrKitError):
        why = "has no recipe.yaml that this version of mmctr-kit can read"
        _report_unchecked(log, run.name, why)


def _check_embedding(items: Mapping[str, Any], run: str, log: Log) -> None:
    embedding = items["embedding"]
    if embedding in GIVEN_EMBEDDINGS:
        # Used as it is given: any change makes it another embedding.
        unchanged = Items(embedding=embedding).model_dump(mode="json")
        differences = [
            f"items.{key} is {value}, not {unchanged[key]}"
            for key, value in items.items()
            if value != unchanged[key]
        ]
    else:
        differences = [f"items.embedding is {embedding}, not {', '.join(GIVEN_EMBEDDINGS)}"]
    good = f"items.embedding is {embedding}, as given"
    _report(log, "rule-task2-embedding", run, differences, good, _TODO_2)


def _report(
    log: Log, rule: str, run: str, differences: Sequence[str], good: str, todo: str
) -> None:
    if differences:
        log.warn(rule, f"{run}: {'; '.join(differences)}", todo)
    log.passed(rule, f"{run}: {good}")


def _report_unchecked(log: Log, run: str, why: str) -> None:
    todo = "check yourself that it keeps the task's rules"
    log.warn("rule-unchecked", f"{run} {why}: its rules cannot be checked", todo)


@cache
def _official() -> Mapping[str, Any]:
    return dict(flat(load_recipe(OFFICIAL).resolved()))


def _free(key: str) -> bool:
    blocks = ("items", *TASK1_MAY_DIFFER, *NOT_RULED_ON)
    return any(key == b or key.startswith(f"{b}.") for b in blocks)
