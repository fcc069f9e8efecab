"""``mmctr-kit data``: clean data passes, and a wrong folder is recognised."""

import json
import re
from pathlib import Path

import pytest

from mmctr_kit.yaml_files import parse_yaml
from tests.cli.conftest import mistake, run
from tests.datasets.imports.made_movielens import WRITERS, make_source


def test_data_check_passes_clean_data_and_fails_a_broken_folder(
    tiny_root: Path, tmp_path: Path
) -> None:
    assert run("data", "check", str(tiny_root / "data")).exit_code == 0
    broken = run("data", "check", str(tmp_path), "--json")
    assert broken.exit_code == 1
    assert "FAIL" in {f["level"] for f in json.loads(broken.stdout)}


def test_a_generated_folder_named_one_level_too_high_is_recognised(
    capsys: pytest.CaptureFixture[str], tiny_root: Path
) -> None:
    for folder in (tiny_root, tiny_root / "data" / "MicroLens_1M_x1"):
        for command in (("cv", "din_demo", "--data"), ("data", "check"), ("data", "profile")):
            code, error = mistake(capsys, *command, str(folder))
            assert code == 2
            assert f"'{folder}' is not a data folder, but '{tiny_root / 'data'}' is" in error


def test_an_import_says_what_became_of_the_log_and_json_says_the_same(tmp_path: Path) -> None:
    source = make_source(tmp_path / "ml", WRITERS["recbole"])
    done = run("data", "import", "recbole", str(tmp_path / "a"), "--from", str(source))
    assert done.exit_code == 0, done.output
    assert "positives: rating >= 4; negatives: 3 a positive, drawn by popularity" in " ".join(
        done.output.split()
    )
    assert re.search(
        r"\nleft out of the rows:\n(  .*\n)*  \d+ positives that are history alone", done.stdout
    )
    told = run("data", "movielens", str(source), str(tmp_path / "b"), "--json")
    made = json.loads(told.stdout)
    assert f"train {made['rows']['train']:,}" in done.output
    assert made["read"] == made["positives"] + made["negatives"] + sum(
        count for why, count in made["dropped"].items() if why.startswith(("neither", "repeats"))
    )


def test_a_guess_is_a_spec_that_imports(tmp_path: Path) -> None:
    source = make_source(tmp_path / "ml", WRITERS["ml-latest"])
    tables = [str(source / name) for name in ("ratings.csv", "movies.csv")]
    guessed = run("data", "import", "--guess", *tables)
    (tmp_path / "spec.yaml").write_text(guessed.stdout)
    done = run("data", "import", str(tmp_path / "spec.yaml"), str(tmp_path / "out"))
    assert done.exit_code == 0, done.output


def test_the_spec_with_every_key_is_printed_as_it_stands_and_loads(tmp_path: Path) -> None:
    from mmctr_kit.datasets.imports.load import load_spec, shipped

    shown = run("data", "import", "--example")
    assert (shown.exit_code, shown.output) == (0, shipped()["example"].read_text("utf-8"))
    (tmp_path / "mine.yaml").write_text(shown.output)
    assert load_spec(tmp_path / "mine.yaml") == load_spec(shipped()["example"])
    for words in (("--help",), ("--guess", str(tmp_path / "log.csv"))):
        (tmp_path / "log.csv").write_text("userId,movieId,rating\n1,2,3\n")
        assert "mmctr-kit data import --example" in run("data", "import", *words).output


def test_a_printed_spec_is_json_if_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("userId,movieId,rating\n1,2,3\n")
    for words in (("--example",), ("--guess", str(tmp_path / "log.csv"))):
        shown = run("data", "import", *words)
        for order in ((*words, "--json"), ("--json", *words)):
            told = run("data", "import", *order)
            assert told.exit_code == 0, told.output
            assert json.loads(told.stdout) == parse_yaml(shown.stdout)


def test_a_log_itself_is_enough_for_the_simple_case(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = make_source(tmp_path / "ml", WRITERS["ml-latest"])
    log, items, out = (
        str(p) for p in (source / "ratings.csv", source / "movies.csv", tmp_path / "o")
    )
    done = run("data", "import", log, out, "--items", items, "--positive", "rating >= 5")
    assert done.exit_code == 0, done.output
    assert "positives: rating >= 5" in done.output
    (tmp_path / "odd.csv").write_text("a,b\nx,y\n")
    code, error = mistake(capsys, "data", "import", str(tmp_path / "odd.csv"), str(tmp_path / "p"))
    assert code == 2
    assert "cannot tell interactions." in error
    code, error = mistake(capsys, "data", "import", "recbole", out, "--items", items)
    assert (code, "goes with a log" in error) == (2, True)


def test_a_log_without_a_time_is_warned_of_on_standard_error(tmp_path: Path) -> None:
    rows = [f"{u},{i},{1 + (u + i) % 5}" for u in range(30) for i in range(u % 7, u % 7 + 15)]
    (tmp_path / "log.csv").write_text("\n".join(["user,movie,stars", *rows]) + "\n")
    for words in ((), ("--json",)):
        out = tmp_path / f"out{len(words)}"
        done = run("data", "import", str(tmp_path / "log.csv"), str(out), *words)
        assert done.exit_code == 0, done.output
        told = "warning: the order of each user's rows is drawn, since no column holds the time; "
        assert done.stderr.count(told + "give it with --set interactions.time=COLUMN\n") == 1
    assert (
        "negatives drawn; no time\n"
        in run("data", "import", str(tmp_path / "log.csv"), str(tmp_path / "b")).stdout
    )
    report = json.loads((tmp_path / "out0" / "import" / "report.json").read_text())
    assert report["notes"][0].startswith("the order of each user's rows is drawn")
    assert json.loads(done.stdout)["notes"] == report["notes"]


def test_an_import_that_cannot_be_meant_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for words, message in (
        (("recbole",), "found 1 argument; expected SPEC and OUT"),
        (("recbol", "out"), "no SPEC 'recbol' (did you mean recbole?)"),
        (
            ("recbole", str(tmp_path / "out"), "--from", str(tmp_path)),
            "interactions.files: no file",
        ),
    ):
        code, error = mistake(capsys, "data", "import", *words)
        assert code == 2
        assert message in error
    assert list(tmp_path.iterdir()) == []


def test_problems_alone_are_shown_and_one_line_sums_up(
    tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCTR_KIT_DATA", str(tiny_root / "data"))
    done = run("data", "check", "--problems")
    assert done.exit_code == 0
    assert " PASS " not in done.output
    assert " SKIP " not in done.output
    assert " WARN  embeddings-zero " in done.output
    summed = done.output.splitlines()[-1]
    assert re.fullmatch(r"\d problems \(\d WARN\); \d+ checks passed, \d skipped", summed)
    listed = json.loads(run("data", "check", "--problems", "--json").stdout)
    assert {finding["level"] for finding in listed} == {"WARN"}
