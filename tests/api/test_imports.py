"""Logs are imported from Python by a SPEC, a shipped name, or a guess."""

from pathlib import Path

import pytest

import mmctr_kit
from tests.datasets.imports.made_movielens import WRITERS, make_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "ml", WRITERS["ml-latest"])


def test_paths_of_a_spec_start_from_its_folder(source: Path, tmp_path: Path) -> None:
    spec = source / "spec.yaml"
    text = mmctr_kit.guess_spec([source / "ratings.csv", str(source / "movies.csv")])
    spec.write_text(text.replace(f"{source}/", ""))
    made = mmctr_kit.import_data(str(spec), tmp_path / "out", set={"rows.per_positive": 1})
    assert made.data == tmp_path / "out"
    assert made.label_mean == 0.5
    assert mmctr_kit.check_data(made.data).ok


def test_a_shipped_spec_reads_the_folder_that_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mmctr_kit.import_data("movielens-csv", tmp_path / "a", source=source)
    monkeypatch.chdir(source)
    second = mmctr_kit.import_data("movielens-csv", tmp_path / "b")
    third = mmctr_kit.import_movielens(source, tmp_path / "c")
    assert first.rows == second.rows == third.rows
    assert "positives: rating >= 4" in first.how


def test_progress_names_each_step_and_a_wrong_set_is_refused(source: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    mmctr_kit.import_movielens(
        source, tmp_path / "out", progress=lambda event: steps.append(event.label)
    )
    assert list(dict.fromkeys(steps)) == [
        "reading the log", "sorting the log", "making rows", "reading the items", "writing rows",
        "writing items",
    ]  # fmt: skip
    with pytest.raises(mmctr_kit.UsageError, match=r"unknown key rows.negative \(did you mean neg"):
        mmctr_kit.import_data(
            "movielens-csv", tmp_path / "x", source=source, set=["rows.negative=logged"]
        )
    with pytest.raises(mmctr_kit.UsageError, match="put it into brackets"):
        mmctr_kit.guess_spec("log.csv")  # type: ignore[arg-type]
