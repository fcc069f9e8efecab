"""README.md: its script runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit.recipe import load_recipe, shipped_recipes
from mmctr_kit.submission.rules import Facts
from mmctr_kit.submission.verdicts import judge
from tests.rule_table import END, START, rule_table
from tests.rule_table import README as RECIPES

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_the_script_of_the_readme_runs(tmp_path: Path) -> None:
    """On the tiny data set, and as a file: its workers must not run it again."""
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(script.strip().splitlines()) <= 12
    quick = 'set={"training.epochs": 1, "folds.count": 2}, jobs=2'
    file = tmp_path / "script.py"
    tiny = script.replace('"demo"', '"tiny"').replace("progress=True", quick)
    file.write_text(tiny)
    done = subprocess.run(
        [sys.executable, str(file)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"submissions/din_demo-fit-both\.zip: \S+ problems?", done.stdout)
    assert "oracle" in done.stdout
    assert "rules kept: Task1&2" in done.stdout
    assert (tmp_path / "submissions" / "din_demo-fit-both.zip").is_file()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "recipes/README.md"])
def test_a_path_that_a_page_names_exists(page: str) -> None:
    text = (TOP / page).read_text("utf-8")
    paths = re.findall(r"`(?:[a-z]+ )?([a-z_]+(?:/[a-zA-Z_]+)+(?:\.\w+|/)?)`", text)
    links = re.findall(r"\]\(([a-zA-Z_/.]+\.\w+)\)", text)
    absent = [link for link in links if not ((TOP / page).parent / link).exists()]
    known = [TOP, TOP / "mmctr_kit", TOP / "mmctr_kit" / "cv", TOP / "mmctr_kit" / "training"]
    assert paths or links
    absent += [path for path in paths if not any((at / path).exists() for at in known)]
    assert [path for path in absent if "NAME" not in path] == []


def test_the_rule_table_is_what_the_rules_say_of_every_shipped_recipe() -> None:
    """If not: python -m tests.rule_table."""
    table = RECIPES.read_text("utf-8").partition(START)[2].partition(END)[0]
    assert table == rule_table()
    assert rule_table().count("\n") == 2 + len(list(shipped_recipes())) > 10


def test_a_network_with_a_given_embedding_keeps_the_rules_of_task2() -> None:
    networks = 0
    for path in shipped_recipes():
        recipe = load_recipe(str(path))
        if path.parent.name == "best":  # for blends, which the rules rule out anyway
            continue
        if recipe.model_name != "gbdt" and recipe.items.embedding != "none":
            given = load_recipe(str(path), ["items.embedding=e4"])
            verdicts = judge([Facts(given.name, "fit", given, given.seeds)])
            assert [each.verdict for each in verdicts[1:]] == ["kept", "kept"]
            networks += 1
    assert networks > 5
