"""``mmctr-kit runs diff``: what differs between two runs."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, finite, print_json, say, table
from mmctr_kit.cli.runs.show import SCORES
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.runs.compare import RunDifference


def diff(
    run: Annotated[str, options.run_argument("A", "A finished run.")],
    other: Annotated[str, options.run_argument("B", "The run to compare it with.")],
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Compare two runs: the recipe keys that differ, and the scores of both.

    The difference is the score of B less that of A, paired by user, if both predict the same rows;
    of a logloss, less is better. "not paired": the rows or folds differ, or it is a mean over
    seeds, whose standard errors stand beside it. One seed is too few to compare recipes. Of two
    kinds of models, keys that only one of them has are counted; --json lists them.

    [bold]Examples[/bold]

      mmctr-kit runs diff din_official din_e4
      mmctr-kit runs diff din_demo_e4 gbdt_demo --runs demo/runs
    """
    from mmctr_kit.api.overview import compare_runs

    difference = compare_runs(run, other, runs=runs)
    if as_json:
        print_json(finite(difference.to_json()))
    else:
        _print(difference)


def _print(both: "RunDifference") -> None:
    say(f"A: {both.a}", wrap=False)
    say(f"B: {both.b}", wrap=False)
    if both.recipe is None:
        say("recipe: not compared, since a blend or an import has none")
    elif both.recipe:
        _print_keys(both.recipe)
    else:
        say("recipe: the same")
    rows = []
    for name, (a, b) in both.scores.items():
        gap = cell(both.gaps[name], signed=True) if name in both.gaps else _NOT[bool(a and b)]
        rows.append((SCORES[name], cell(a), cell(b), gap))
    table(("score", "A", "B", "B less A"), rows)
    for name in ("valid", "oof"):
        if all(both.scores.get(name, (None, None))) and name not in both.gaps:
            other = "rows" if name == "valid" or "rows" in both.manifest else "folds"
            say(f"{SCORES[name]}: no difference is shown, since the runs have different {other}")
    for key, (a, b) in both.environment.items():
        say(f"{key}: A {a}, B {b}")


def _print_keys(recipe: Mapping[str, tuple[Any, Any]]) -> None:
    """Print the keys that differ; of other kinds of models, only those that both recipes have."""
    from mmctr_kit.recipe.diff import ABSENT

    others = "model.name" in recipe
    only_b, only_a = (sum(p[i] == ABSENT for p in recipe.values()) for i in (0, 1))
    keys = [(k, *map(_text, p)) for k, p in recipe.items() if not (others and ABSENT in p)]
    table(("recipe key", "A", "B"), keys, left=3)
    if others and only_a + only_b:
        say(f"only A has {plural(only_a, 'more key')}, only B {only_b}; --json lists them")


_NOT = {True: "not paired", False: "-"}
"""In place of a difference, by whether both runs have the score."""


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
