"""What ``tune`` prints when it is done."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.cli.output import say, table
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.tuning.summary import Summary


_FEW = 50
"""With fewer complete trials the importance is called unreliable."""


def print_summary(summary: "Summary", path: Path) -> None:
    """The search's best trials, the finalists, and what to believe."""
    from mmctr_kit.recipe.explain import label
    from mmctr_kit.tuning.summary import states

    counted = ", ".join(f"{n} {state}" for state, n in sorted(states(summary.trials).items()))
    say(f"{plural(len(summary.trials), 'trial')}: {counted}", style="bold")
    if summary.importance:
        complete = states(summary.trials)["complete"]
        few = f"; only {plural(complete, 'trial')}, so unreliable" if complete < _FEW else ""
        say(f"Parameter importance (PED-ANOVA{few})", style="bold")
        for key, share in list(summary.importance.items())[:5]:
            say(f"  {share:4.0%} {key}")
    _finalists(summary)
    chosen = summary.finalists[0]
    say(f"trial {chosen.number} has the best OOF AUC less its SE; what differs from the recipe:")
    for key, value in chosen.changes.items():
        say(f"  {key}={label(value)}")
    if not chosen.changes:
        say("  nothing: the recipe as it is was best")
    best, top = summary.best["number"], summary.best["auc"]["value"]
    say(f"the search's best AUC was {top:.4f}, trial {best}: optimistic, the best of many")
    say(f"valid AUC {chosen.valid} (fold mean; not used for selection: unbiased)")
    say(f"recipe: {path / 'best.yaml'}")
    say(f"run: {path / 'finalists' / f'trial-{chosen.number}'}")


def _finalists(summary: "Summary") -> None:
    """Numbers that compare stand side by side: a seed's in the search and of new seeds; then those
    of the new seeds' mean, which is another predictor."""
    n = len(summary.seeds)
    say(f"Finalists, trained again with {plural(n, 'new seed')}", style="bold")
    several = n > 1
    columns = ["trial", "a seed: search", *(["again"] if several else [])]
    columns += [f"mean of {n}: OOF" if several else "again", "valid"]
    rows = []
    for f in summary.finalists:
        estimates = [f.searched, *([f.one_seed] if several else []), f.oof, f.valid]
        rows.append((str(f.number), *(e.compact() for e in estimates)))
    table(columns, rows, left=0)
    if several:
        say("a seed: mean fold AUC of one seed's models, in the search and on average again;")
        say(f"mean of {n}: of the {n} seeds' mean logits, a better predictor than any one seed")
