"""The table of recipes and rules: ``python -m tests.rule_table`` writes it anew."""

from collections.abc import Iterator
from pathlib import Path

from mmctr_kit.data.contract import Task
from mmctr_kit.recipe import load_recipe, shipped_recipes
from mmctr_kit.submission.rules import Facts
from mmctr_kit.submission.verdicts import judge

README = Path(__file__).parent.parent / "recipes" / "README.md"
START, END = "<!-- rule table: python -m tests.rule_table -->\n", "<!-- end of rule table -->\n"


def rule_table() -> str:
    """What the rules say of each shipped recipe, as one network and as a cv run's fold mean."""
    tasks = [f"{kind} {task}" for kind in ("`fit`:", "`cv`:") for task in Task]
    rows = [["recipe", *tasks], ["---"] * (1 + len(tasks)), *_rows()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _rows() -> Iterator[list[str]]:
    for path in shipped_recipes():
        recipe = load_recipe(str(path))
        fit, cv = (
            judge([Facts(recipe.name, kind, recipe, recipe.seeds)]) for kind in ("fit", "cv")
        )
        yield [f"`{recipe.name}`", *map(str, fit), *(each.verdict for each in cv)]


if __name__ == "__main__":
    before, _, rest = README.read_text("utf-8").partition(START)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{START}{rule_table()}{END}{after}", "utf-8")
