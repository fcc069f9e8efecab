"""The organisers' rules, as far as a run tells: what a Task1 or a Task2 entry may change.

Task1 is about item embeddings: the model is the official DIN, and of its settings five may be
tuned. Task2 is about the model: the embedding is one of the four given. Task1&2 leaves both free.
Nothing here refuses a file; whoever hands it in knows more than a recipe tells, so it is a WARN.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import GIVEN_EMBEDDINGS, Task
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.recipe import Items, load_recipe, parse_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.checks.catalog import CheckInfo

OFFICIAL = "din_official"
"""The shipped recipe of the official baseline."""

RULES: Mapping[str, CheckInfo] = MappingProxyType(
    {
        "rule-task1-model": CheckInfo(
            Level.WARN, "Task1: the model is the official DIN; only its dropout may differ"
        ),
        "rule-task1-training": CheckInfo(
            Level.WARN, "Task1: of the training only the four named settings differ"
        ),
        "rule-task1-blend": CheckInfo(Level.WARN, "Task1: one model, not a blend of several runs"),
        "rule-task2-embedding": CheckInfo(
            Level.WARN, "Task2: the item embedding is one of the four in item_emb.parquet"
        ),
        "rule-transductive": CheckInfo(
            Level.PASS, "a row's score depends on the rows beside it in test: a remark"
        ),
        "rule-unchecked": CheckInfo(
            Level.WARN, "the recipe of every run behind the file is there to be checked"
        ),
    }
)
"""id -> (worst level, meaning) of each rule."""

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
``attention_dropout`` is a setting of its own, and not among them."""

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
"""Keys, or blocks of keys, that are this kit's way of training and scoring, not the official
pipeline's: the rules can't speak of them."""

_TODO_1 = f"hand it in as Task1&2, or take it back to {OFFICIAL}; Task1 leaves free: items.*, "
_TODO_1 += ", ".join(TASK1_MAY_DIFFER)
_TODO_2 = f"hand it in as Task1&2, or set items.embedding to {', '.join(GIVEN_EMBEDDINGS)}"

_TRANSDUCTIVE = Finding(
    "rule-transductive",
    Level.PASS,
    "transductive: a row's score depends on the rows beside it in test",
    "say so wherever the score is told",
)


def rule_findings(recipe: Mapping[str, Any], task: Task, run: str = "the run") -> list[Finding]:
    """What the rules of ``task`` say of a run's resolved ``recipe``: each rule that applies once,
    WARN with every difference named, else PASS. None apply to Task1&2.

    ``run`` names the run in the text. Raises UsageError where the recipe is not one of this
    version.
    """
    if task is Task.BOTH:
        return []
    resolved = parse_recipe(recipe, f"the recipe of {run}").resolved()
    if task is Task.TASK2:
        return [_embedding(resolved["items"], run)]
    official = _official()
    mine = _flat(resolved)
    differences = [
        f"{key} is {_show(mine, key)}, officially {_show(official, key)}"
        for key in sorted(mine.keys() | official.keys())
        if not _free(key) and (key in mine, mine.get(key)) != (key in official, official.get(key))
    ]
    model = [d for d in differences if not d.startswith("training.")]
    if mine["model.name"] != official["model.name"]:  # then its options are beside the point
        model = [d for d in model if not d.startswith("model.") or d.startswith("model.name ")]
    training = [d for d in differences if d.startswith("training.")]
    return [
        _judged("rule-task1-model", run, model, "the model is the official DIN", _TODO_1),
        _judged("rule-task1-training", run, training, "trained as the rules allow", _TODO_1),
    ]


def run_findings(run: Run, root: Path, task: Task) -> list[Finding]:
    """:func:`rule_findings` of a run and, for a blend, of every run behind it, however deep.

    The sources are looked up by name under ``root``, then beside the blend. What can't be checked
    (a source that is gone, imported predictions) is a WARN that says so.
    """
    remarks = [_TRANSDUCTIVE] if run.manifest.transductive else []
    if task is Task.BOTH:
        return remarks
    walked = dict.fromkeys(_walk(run, root, task, (run.name,)))  # a run may come in twice
    return [*remarks, *walked]


def _walk(run: Run, root: Path, task: Task, above: tuple[str, ...]) -> Iterator[Finding]:
    manifest = run.manifest
    if manifest.kind == "imported":
        yield _unchecked(run.name, "was imported, so how it was made is not known")
    elif manifest.kind == "cv":
        yield from _of_recipe(run, task)
    if task is Task.TASK1 and len(manifest.sources) > 1:
        yield Finding(
            "rule-task1-blend",
            Level.WARN,
            f"{run.name} blends {len(manifest.sources)} runs ({', '.join(manifest.sources)}); "
            "Task1 is one official DIN",
            "hand it in as Task1&2, or hand in one of them",
        )
    for name in manifest.sources:
        source = _source(name, root, run)
        if name in above:  # a run that took the place of its own source
            yield _unchecked(name, f"is blended into {run.name}, and was made anew from it since")
        elif source is None:
            yield _unchecked(name, f"is blended into {run.name}, but gone from {root}")
        else:
            yield from _walk(source, root, task, (*above, name))


def _source(name: str, root: Path, blend: Run) -> Run | None:
    """The finished run ``name`` where the blend has it from, or under ``root``; None where there
    is none."""
    for path in (blend.source_places[name], root / name):
        if (path / "manifest.json").is_file() and (path / "DONE").is_file():
            return Run(path)
    return None


def _of_recipe(run: Run, task: Task) -> Sequence[Finding]:
    try:
        content = yaml.safe_load((run.path / "recipe.yaml").read_text("utf-8"))
        return rule_findings(content, task, run.name)
    except (OSError, ValueError, TypeError, yaml.YAMLError, MmctrKitError):
        return [_unchecked(run.name, "has no recipe.yaml that this version of mmctr-kit can read")]


def _embedding(items: Mapping[str, Any], run: str) -> Finding:
    embedding = items["embedding"]
    differences = []
    if embedding not in GIVEN_EMBEDDINGS:
        differences.append(f"items.embedding is {embedding}, not {', '.join(GIVEN_EMBEDDINGS)}")
    else:
        # Given as given: whatever else is done to it makes it another.
        plain = Items(embedding=embedding).model_dump(mode="json")
        differences += [
            f"items.{key} is {value}, not {plain[key]}"
            for key, value in items.items()
            if value != plain[key]
        ]
    good = f"items.embedding is {embedding}, as given"
    return _judged("rule-task2-embedding", run, differences, good, _TODO_2)


def _judged(rule: str, run: str, differences: Sequence[str], good: str, todo: str) -> Finding:
    if differences:
        return Finding(rule, RULES[rule].worst, f"{run}: {'; '.join(differences)}", todo)
    return Finding(rule, Level.PASS, f"{run}: {good}", "")


def _unchecked(run: str, why: str) -> Finding:
    todo = "see for yourself that it keeps the task's rules"
    return Finding("rule-unchecked", Level.WARN, f"{run} {why}: its rules cannot be checked", todo)


@cache
def _official() -> Mapping[str, Any]:
    return _flat(load_recipe(OFFICIAL).resolved())


def _free(key: str) -> bool:
    blocks = ("items", *TASK1_MAY_DIFFER, *NOT_RULED_ON)
    return any(key == b or key.startswith(f"{b}.") for b in blocks)


def _flat(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one, keyed ``a.b``."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    return flat


def _show(flat: Mapping[str, Any], key: str) -> str:
    return str(flat[key]) if key in flat else "absent"
