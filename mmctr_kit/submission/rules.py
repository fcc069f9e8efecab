"""The organisers' rules as one table, paraphrased from their page as it was on ``READ_ON``.

They bind award entries. The leaderboard takes late entries too, so a run that breaks a rule is
submitted all the same, with a warning.

Two rules of the page are not in the table. "Valid rows train nothing": no recipe can train on them,
and ``unchecked`` says of an imported run that nothing about it is known. "The embedding is not
trained end to end with the CTR model": item vectors are fixed inputs of every model. Factors are
made from the histories of train users, which Task1 and Task1&2 allow. Similarities of item vectors
inside a model (``model.similarity_histogram``) are a part of the model and no input. Codes are an
input; in Task1 they are a change of the official DIN. A new recipe key that brings
in another model, other rows or other inputs needs its line in the table.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmctr_kit.audit.findings import CheckInfo, Level
from mmctr_kit.data.contract import GIVEN_DIM, GIVEN_EMBEDDINGS, IMAGE_DIM, TEXT_DIM, Task
from mmctr_kit.embed.encode.file import encoders_of
from mmctr_kit.embed.encode.models import BUILT_IN
from mmctr_kit.models.registry import BOOSTED, MODELS
from mmctr_kit.recipe import Recipe, load_recipe

READ_ON = "2026-11-28"
OFFICIAL = "din_official"
"""The shipped recipe of the official baseline."""

TASK1_MAY_DIFFER = (
    "training.learning_rate", "training.batch_size", "model.mlp_dropout",
    "training.embedding_regularizer", "training.net_regularizer",
)  # fmt: skip
"""Settings that Task1 leaves free. ``model.mlp_dropout`` is the official ``net_dropout``; the
official ``attention_dropout`` is another setting and not free."""

NOT_RULED_ON = (
    "folds", "training.epochs", "training.min_steps", "training.schedule", "training.warmup",
    "training.holdout", "training.snapshot", "training.stop_at", "training.precision",
    "training.steps", "training.user_updates", "training.data_on", "training.check",
)  # fmt: skip
"""Keys, or blocks of keys, of this kit's training and scoring that the official pipeline does not
have, so that no rule is about them."""

_FREE = ("items", "signals", "augmentation", *TASK1_MAY_DIFFER, *NOT_RULED_ON)
"""What ``official-din`` does not compare: free in Task1, or bound by another rule."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at of one run, or of one run in a blend.

    ``recipe`` is None for a blend, and for a run of which it is not known. ``unchecked`` says why
    not all is known, as of imported weights, whose recipe tells the model, not the training.
    ``kind`` "cv" predicts with the mean of its fold models, "fit" with one network a seed.
    ``method`` is a blend's.
    """

    run: str
    kind: str
    recipe: Recipe | None = None
    seeds: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    transductive: bool = False
    unchecked: str = ""
    method: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule: ``text`` as a reader sees it, the ``key`` that it looks at, and its ``check``.

    ``tasks`` has a word for each task: "said" if the organisers' page says it, "unclear" if it may
    hold, for the reason ``doubt``, "-" if not. ``check`` yields each breach as "KEY is VALUE".
    """

    id: str
    tasks: str
    key: str
    check: Callable[[Facts], Iterable[str]]
    text: str
    todo: str
    doubt: str = ""

    @property
    def binds(self) -> dict[Task, bool]:
        """The tasks for which the rule holds or may hold, and whether the page says so."""
        words = zip(Task, self.tasks.split(), strict=True)
        return {task: word == "said" for task, word in words if word != "-"}

    @property
    def info(self) -> CheckInfo:
        """The rule as an entry of ``submit --list``."""
        breached, unclear = (
            ", ".join(task for task, said in self.binds.items() if said is wanted)
            for wanted in (True, False)
        )
        parts = [f"breached: {breached}"] * bool(breached) + [f"unclear: {unclear}"] * bool(unclear)
        promise = f"{self.text} ({self.key}); if not, {'; '.join(parts)}"
        return CheckInfo(f"rule-{self.id}", promise, worst=Level.WARN)


_SECOND_MODEL = ("lightgbm", "lightgbm-context", "stack")
"""Methods that fit trees to a run's logits, even to those of one run alone."""


def _blend(facts: Facts) -> Iterator[str]:
    if len(facts.sources) > 1:
        yield f"sources is [{', '.join(facts.sources)}]"
    elif facts.method in _SECOND_MODEL:
        yield f"method is {facts.method}, a second model"


def _averaged(facts: Facts) -> Iterator[str]:
    if facts.kind == "cv":
        folds = f", folds.count is {facts.recipe.folds.count}" if facts.recipe else ""
        yield f"kind is cv{folds}"
    if len(facts.seeds) > 1:
        yield f"seeds is {list(facts.seeds)}"


def _of_recipe(check: Callable[[Recipe], Iterable[str]]) -> Callable[[Facts], Iterable[str]]:
    return lambda facts: () if facts.recipe is None else check(facts.recipe)


@_of_recipe
def _trees(recipe: Recipe) -> Iterator[str]:
    if MODELS[recipe.model_name].learner == BOOSTED:
        yield f"model.name is {recipe.model_name}"


@_of_recipe
def _not_official(recipe: Recipe) -> Iterator[str]:
    mine, official = recipe.values(), _official()
    same_model = mine["model.name"] == official["model.name"]
    for key in sorted(mine.keys() | official.keys()):
        free = any(key == block or key.startswith(f"{block}.") for block in _FREE)
        # Of another model the options need not be listed.
        listed = same_model or key == "model.name" or not key.startswith("model.")
        now, then = (values.get(key, "absent") for values in (mine, official))
        if now != then and listed and not free:
            yield f"{key} is {now}, officially {then}"


@cache
def _official() -> Mapping[str, Any]:
    return load_recipe(OFFICIAL).values()


@_of_recipe
def _embedding(recipe: Recipe) -> Iterator[str]:
    # A key that would change a given vector does nothing beside it, so the recipe refuses it.
    if recipe.items.embedding not in GIVEN_EMBEDDINGS:
        yield f"items.embedding is {recipe.items.embedding}"


@_of_recipe
def _file(recipe: Recipe) -> Iterator[str]:
    if recipe.items.embedding == "file":
        yield f"items.embedding is file, items.file is {recipe.items.file}"
    if recipe.items.encoded is not None:
        encoders = encoders_of(Path(recipe.items.encoded))
        names = [str(e.get("encoder")) for e in encoders.values() if e.get("kind") != BUILT_IN]
        if names or not encoders:
            made_by = " and ".join(names) or "nobody knows which encoder"
            yield f"items.encoded is {recipe.items.encoded}, made by {made_by}"


@_of_recipe
def _width(recipe: Recipe) -> Iterator[str]:
    dims = recipe.items.dims
    if recipe.items.embedding == "raw":
        yield f"items.embedding is raw, {TEXT_DIM + IMAGE_DIM} wide"
    elif dims and sum(dims.values()) != GIVEN_DIM:
        yield ", ".join(f"items.{key} is {value}" for key, value in dims.items())


@_of_recipe
def _signals(recipe: Recipe) -> Iterator[str]:
    if recipe.signals.kinds:
        yield f"signals.kinds is [{', '.join(recipe.signals.kinds)}]"


@_of_recipe
def _codes(recipe: Recipe) -> Iterator[str]:
    if recipe.codes.of != "none":
        yield f"codes.of is {recipe.codes.of}"


@_of_recipe
def _extra_rows(recipe: Recipe) -> Iterator[str]:
    if recipe.augmentation.per_user:
        yield f"augmentation.per_user is {recipe.augmentation.per_user}"


@_of_recipe
def _taught(recipe: Recipe) -> Iterator[str]:
    if recipe.training.teacher is not None:
        yield f"training.teacher is {recipe.training.teacher}"


def _group_step(facts: Facts) -> Iterator[str]:
    if facts.transductive:
        yield "transductive is true"


def _unchecked(facts: Facts) -> Iterator[str]:
    if facts.unchecked:
        yield facts.unchecked


_SAID_OF_TASK2 = "the organisers' page says so of Task2 only; one network is safest"
_ONE_NETWORK = "submit one network, as 'mmctr-kit fit' trains it"
_GIVEN = f"one of {', '.join(GIVEN_EMBEDDINGS[:-1])} or {GIVEN_EMBEDDINGS[-1]}"

# fmt: off
RULES = (
    # Task1, Task2, Task1&2
    Rule("blend", "said said unclear", "sources of a blend", _blend,
         "one model, no blend of several", _ONE_NETWORK, _SAID_OF_TASK2),
    Rule("averaged", "said said unclear", "folds.count of a cv run, seeds", _averaged,
         "one network, no mean over fold models or seeds", _ONE_NETWORK, _SAID_OF_TASK2),
    Rule("distilled", "said said unclear", "training.teacher", _taught,
         "one model in training too, no distillation from others",
         "leave out training.teacher", _SAID_OF_TASK2),
    Rule("trees", "- said unclear", "model.name", _trees,
         "a neural network, no trees", "submit a neural network", _SAID_OF_TASK2),
    Rule("official-din", "said - -", "model.*, training.*", _not_official,
         "the official DIN, of which only five settings may differ",
         f"submit it as Task1&2, or change it back to {OFFICIAL}; in Task1 you may choose the item "
         f"embedding (items.*) and these five settings: {', '.join(TASK1_MAY_DIFFER)}"),
    Rule("given-embedding", "- said -", "items.embedding", _embedding,
         f"the item embedding is {_GIVEN}, as given",
         f"submit it as Task1&2, or set items.embedding to {_GIVEN}"),
    Rule("width", "said - said", "items.embedding and its dimensions", _width,
         f"the item embedding is {GIVEN_DIM} wide",
         f"choose dimensions that add up to {GIVEN_DIM}"),
    Rule("outside-data", "unclear - unclear", "items.file, items.encoded", _file,
         "the item embedding is made without data from outside the data set",
         f"check that it was made of the challenge's data, by open models, {GIVEN_DIM} wide",
         "a file does not show what it was made of"),
    Rule("features", "said said said", "signals.kinds", _signals,
         "the input features are the given ones, none is added", "set signals.kinds to none"),
    Rule("codes", "- said unclear", "codes.of", _codes,
         "the input features are the given ones, no codes of item vectors beside them",
         "set codes.of to none",
         "codes are made of the item embedding, which is free, but are features of their own"),
    Rule("extra-rows", "unclear unclear unclear", "augmentation.per_user", _extra_rows,
         "the training rows are the given ones",
         "set augmentation.per_user to 0, or ask the organisers",
         "the page does not speak of rows made from the given histories"),
    Rule("group-step", "unclear unclear unclear", "--group-softmax of blend", _group_step,
         "each row is scored by itself", "blend without --group-softmax, or ask the organisers",
         "the page does not speak of scoring a user's rows against each other"),
    Rule("unchecked", "unclear unclear unclear", "recipe.yaml of each run", _unchecked,
         "how each run behind the file was made must be known",
         "check yourself that it keeps the task's rules", "its rules cannot be checked"),
)
# fmt: on
"""Every rule, in the order in which breaches are reported."""
