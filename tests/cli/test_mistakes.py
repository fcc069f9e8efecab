"""Each command line that cannot be parsed is one line in the house's words, and never Typer's."""

import re

import pytest

from tests.cli.conftest import mistake

THEIRS = re.compile(
    r"Invalid value|Missing |No such|Got unexpected|requires an argument|Input should|is not one of"
    r"|Try '|Usage:|does not take|Did you mean|Value error|valid integer|\bgot\b"
)
"""The voices of Typer and pydantic."""

LINES = [
    (("cvv",), "no command 'cvv' (did you mean cv?); mmctr-kit -h lists them"),
    (("data", "chek"), "no command 'chek' (did you mean check?); mmctr-kit data -h lists them"),
    (("zzz",), "no command 'zzz'; mmctr-kit -h lists them"),
    (("--nope",), "no option --nope; mmctr-kit -h lists the options"),
    (("cv", "x", "--dat", "y"), "no option --dat (did you mean --data?); mmctr-kit cv -h lists"),
    (("cv", "x", "-z"), "no option -z; mmctr-kit cv -h lists the options"),
    (
        ("cv", "x", "--epochs", "3"),
        "no option --epochs; write --set training.epochs=3; mmctr-kit c",
    ),
    (("fit", "x", "--lr=0.1"), "no option --lr; write --set training.learning_rate=0.1; mmctr-kit"),
    (
        ("tune", "x", "--batch-size", "--json"),
        "no option --batch-size; write --set training.batch_size=VALU",
    ),
    (("cv", "x", "--folds", "5"), "no option --folds; write --set folds.count=5; mmctr-kit cv -h"),
    (("cv", "x", "--seed", "1"), "; write --set seeds=1 or --set folds.seed=1; mmctr-kit cv -h"),
    (("cv", "x", "--training", "1"), "no option --training; mmctr-kit cv -h lists the options"),
    (("data", "import", "x", "y", "--epochs", "3"), "no option --epochs; mmctr-kit data import -h"),
    (("cv",), "RECIPE... is missing: Names or files of recipes, or the family best; for example: "),
    (
        ("cv", "x"),
        "--data is missing: Folder that CONTAINS MicroLens_1M_x1/ (its parent); name it ",
    ),
    (("data", "check"), "DATA is missing: Folder that CONTAINS MicroLens_1M_x1/ (its parent); nam"),
    (("blend", "a"), "--name is missing: Name of the blend, which is a run itself; for example: "),
    (("ledger", "add"), "FILE is missing: The submission that was scored; for example: mmctr-kit"),
    (("cv", "x", "--data"), "--data needs a value: --data DATA; mmctr-kit cv -h explains it"),
    (("cv", "x", "--json=3"), "--json is a switch and takes no value; write --json alone"),
    (("data", "check", "a", "b"), "too many arguments: b; expected mmctr-kit data check [OPTIONS]"),
    (("tune", "x", "--trials", "y"), "--trials: expected a whole number, 1 or more; found 'y'; mm"),
    (("tune", "x", "--trials", "0"), "--trials: expected a whole number, 1 or more; found '0'; mm"),
    (("tune", "x", "--trials", "1.5"), "--trials: expected a whole number, 1 or more; found '1.5'"),
    (("tune", "x", "--timeout", "5"), "--timeout: expected a time like 90s, 30m or 2h; found '5'"),
    (("blend", "a", "--name", "b", "--method", "meen"), "found 'meen' (did you mean mean?); mmctr"),
    (("submit", "x", "--task", "taks1"), "--task: expected one of Task1, Task2, both, Task1&2; fo"),
    (("cv", "x", "--devices", "tpu"), "--devices: expected auto, cpu, cuda or cuda:0,cuda:1; foun"),
    (("bench", "--seconds", "x"), "--seconds: expected a number, 0.01 or more; found 'x'"),
    (("runs", "--log-file"), "--log-file needs a value: --log-file FILE"),
    (("runs", "-q", "-v"), "--quiet and --verbose say opposite things; leave one of them out"),
]


@pytest.mark.parametrize(
    ("line", "says"), LINES, ids=lambda v: " ".join(v) if type(v) is tuple else ""
)
def test_a_mistake_is_one_line_with_what_was_expected_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.delenv("MMCTR_KIT_DATA", raising=False)
    code, error = mistake(capsys, *line)
    assert code == 2
    assert error.startswith("error: ")
    assert says in error
    assert error.count("\n") == 1
    assert not THEIRS.search(error)


def test_a_value_from_the_environment_is_said_to_be_from_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCTR_KIT_JOBS", "four")
    error = mistake(capsys, "cv", "din_demo", "--data", ".")[1]
    assert "--jobs: expected a whole number, 1 or more; found 'four' in MMCTR_KIT_JOBS" in error


def test_a_missing_option_shows_an_example_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = mistake(capsys, "blend", "a")[1]
    assert "for example: mmctr-kit blend din_official din_e4 --name mix" in error
