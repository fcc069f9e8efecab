"""What ``tune`` tells when it is done."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.cli.output import say, table
from mmctr_kit.errors import count

if TYPE_CHECKING:
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.tune.summary import Summary


def print_summary(summary: "Summary", path: Path) -> None:
    """The search's best trials, the finalists, and what to believe."""
    from mmctr_kit.recipe.explain import label
    from mmctr_kit.tune.summary import states

    counted = ", ".join(f"{n} {state}" for state, n in sorted(states(summary.trials).items()))
    say(f"{count(len(summary.trials), 'trial')}: {counted}", style="bold")
    if summary.importance:
        complete = states(summary.trials)["complete"]
        say(
            f"What set good ones apart, roughly, of {count(complete, 'complete trial')}",
            style="bold",
        )
        for key, share in list(summary.importance.items())[:5]:
            say(f"  {share:4.0%} {key}")
    _finalists(summary)
    chosen = summary.finalists[0]
    say(f"trial {chosen.number} has the best OOF less its error; what differs from the recipe:")
    for key, value in chosen.changes.items():
        say(f"  {key}={label(value)}")
    if not chosen.changes:
        say("  nothing: the recipe as it is was best")
    best, top = summary.best["number"], summary.best["auc"]["value"]
    say(f"the search's best AUC was {top:.4f}, trial {best}: optimistic, the best of many")
    say(f"valid AUC {chosen.valid} (fold mean), which chose nothing: the score to believe")
    say(f"recipe: {path / 'best.yaml'}")
    say(f"run: {path / 'finalists' / f'trial-{chosen.number}'}")


def _finalists(summary: "Summary") -> None:
    """Numbers that compare stand side by side: a seed's in the search and of new seeds; then those
    of the new seeds' mean, which is another predictor."""
    n = len(summary.seeds)
    say(f"Finalists, trained again with {count(n, 'new seed')}", style="bold")
    several = n > 1
    columns = ["trial", "a seed: search", *(["again"] if several else [])]
    columns += [f"mean of {n}: OOF" if several else "again", "valid"]
    rows = []
    for f in summary.finalists:
        estimates = [f.searched, *([f.one_seed] if several else []), f.oof, f.valid]
        rows.append((str(f.number), *map(_short, estimates)))
    table(columns, rows, left=0)
    if several:
        say("a seed: mean fold AUC of one seed's models, in the search and on average again;")
        say(f"mean of {n}: of the {n} seeds' mean logits, a better predictor than any one seed")


def _short(estimate: "Estimate") -> str:
    return str(estimate).replace("± 0.", "±.")
