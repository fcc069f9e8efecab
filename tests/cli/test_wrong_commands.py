"""Wrong command lines and recipes: each is one line in the house's words, and exit code 2.

None of it may be a sentence of Typer, click or pydantic as these libraries print it.
"""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import mistake

FOREIGN = re.compile(
    r"Input should be|Field required|Value error|Extra inputs|validation error|pydantic"
    r"|Invalid value for|No such option|No such command|Missing (argument|option|parameter)"
    r"|Got unexpected extra|requires an argument|does not take a value|is not a valid"
    r"|is not in the range|is not one of|type=\w+|input_value|Usage:|Try '"
)

HERE = ("--data", "DATA")
CV = ("cv", "din_demo", *HERE)

LINES = [
    ("traim",),
    ("--bogus",),
    ("cv",),
    ("cv", "din_demo"),
    (*CV, "--bogus"),
    (*CV, "--devices"),
    (*CV, "--force=yes"),
    (*CV, "--jobs", "many"),
    (*CV, "--jobs", "0"),
    (*CV, "--devices", "gpu"),
    (*CV, "--executor", "moon"),
    (*CV, "--set", "training.epochs"),
    (*CV, "--set", "training.epochs=many"),
    (*CV, "--set", "training.epochs=0"),
    (*CV, "--set", "training.epoch=3"),
    (*CV, "--set", "training=3"),
    (*CV, "--set", "training.holdout=1.5"),
    (*CV, "--set", "items.embedding=nothing"),
    (*CV, "--set", "model.name=dinn"),
    (*CV, "--set", "model.embedding_dim=-1"),
    (*CV, "--set", "model.mlp_hidden=[8, no]"),
    (*CV, "--set", "signals.kinds=[pmi, pimi]"),
    (*CV, "--set", "folds.by=day"),
    (*CV, "--set", "seeds=[]"),
    (*CV, "--set", "augmentation.per_user=-1"),
    ("cv", "no_such_recipe", *HERE),
    ("cv", "RECIPE", *HERE),
    ("cv", "din_demo", "--data", "nowhere"),
    ("fit", *HERE),
    ("tune", "din_demo", *HERE, "--trials", "few"),
    ("tune", "din_demo", *HERE, "--timeout", "soon"),
    ("tune", "din_demo", *HERE, "--set", "search={training.epochs: {int: [3]}}"),
    ("tune", "din_demo", *HERE, "--set", "search={training.epochs: {}}"),
    ("ablate", "din_demo", *HERE, "--only", "nothing"),
    ("blend",),
    ("blend", "a", "b", "--name", "c", "--method", "magic"),
    ("submit", "a", "--task", "Task7"),
    ("submit", "a"),
    ("score", "a"),
    ("data",),
    ("data", "chek", "DATA"),
    ("data", "synth", "OUT", "--preset", "huge"),
    ("data", "synth", "OUT", "--seed", "-1"),
    ("data", "import", "one"),
    ("items", "encode", "DATA", "--batch-size", "0"),
    ("items", "encode", "DATA", "--pooling", "max"),
    ("import-predictions", "a.csv", "--name", "a"),
    ("bundle", "a", "--out", "OUT", "--licence", "GPL"),
    ("export", "a", "--to", "excel"),
    ("bench", "--seconds", "long"),
]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe with several faults."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nmodel: {name: din, embeding_dim: 8}\ntraining: {epochs: no, batch_size: -3}\n"
        "items: {embedding: [text]}\nfolds: 5\n"
    )
    return path


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_mistake_is_one_line_of_the_house(
    line: tuple[str, ...],
    recipe: Path,
    tiny_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"DATA": str(tiny_root / "data"), "RECIPE": str(recipe), "OUT": str(tmp_path / "out")}
    code, error = mistake(capsys, *(given.get(word, word) for word in line))
    if not error and len(line) == 1:
        return  # a group alone shows its help
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (found := FOREIGN.search(error)), f"{found}: {error}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("demo", "--data", "ml", "--task1"), "--data and --task1 are two demos; give one"),
        (("demo", "--data", "ml", "--out", "OUT"), "holds data that were not imported; choose"),
        (("runs", "--kind", "blnd"), "no kind 'blnd' (did you mean blend?); cv, fit,"),
        (("submit", "FILE", "--task", "Task2"), "is a file, not a run; to check a submission add"),
        (("submit", "--check", "FILE", "--task", "Task2"), "--check takes a FILE and writes noth"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_do_not_go_together_are_named(
    line: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "s.zip").write_bytes(b"")
    given = {"OUT": str(tmp_path / "out"), "FILE": str(tmp_path / "s.zip")}
    code, error = mistake(capsys, *(given.get(word, word) for word in line))
    assert code == 2
    assert said in " ".join(error.split())
