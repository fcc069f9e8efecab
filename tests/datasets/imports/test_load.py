"""A SPEC is found by its path or name, and settings override it."""

from pathlib import Path

import pytest

from mmctr_kit.datasets.imports.load import find_spec, guess_spec, load_shipped, load_spec
from mmctr_kit.errors import UsageError


def test_settings_override_the_file_and_are_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("interactions: {files: log.csv, user: u, item: i}\n")
    spec = load_spec(path, ["rows.per_positive=5", "interactions.time=t"])
    assert (spec.rows.per_positive, spec.interactions.time) == (5, "t")
    with pytest.raises(UsageError, match=r"spec.yaml with --set rows.pr=5: unknown key rows.pr"):
        load_spec(path, ["rows.pr=5"])


def test_a_table_that_is_not_there_is_named_by_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("movie,title\n1,x\n")
    log, items = tmp_path / "log.csv", tmp_path / "item.csv"
    with pytest.raises(UsageError, match=r"^the log: no file '.*log.csv'$"):
        guess_spec([log, items])
    log.write_text("user,movie\n1,1\n")
    told = r"^the items table \(--items\): no file '.*item.csv' \(did you mean items.csv\?\)$"
    with pytest.raises(UsageError, match=told):
        guess_spec([log, items])


def test_another_time_than_the_guessed_one_has_a_unit_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,time,zeit\n1,2,1600000000,2020-01-01\n")
    units = {
        setting: guess_spec([tmp_path / "log.csv"], settings).spec.interactions.time_unit
        for setting, *settings in (
            ("guessed",),
            ("other", "interactions.time=zeit"),
            ("given", "interactions.time=zeit", "interactions.time_unit=iso"),
        )
    }
    assert units == {"guessed": "s", "other": "auto", "given": "iso"}


def test_a_shipped_spec_without_its_files_says_how_to_name_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "items.csv").touch()
    with pytest.raises(UsageError, match=r"^no file 'ratings.csv' in this folder; .* --from DIR"):
        load_shipped("movielens-csv")
    (tmp_path / "ratings.csv").touch()
    assert load_shipped("movielens-csv", ["seed=3"]).seed == 3


def test_a_spec_is_a_file_or_a_shipped_name(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("")
    assert find_spec(str(tmp_path / "spec.yaml")) == tmp_path / "spec.yaml"
    assert find_spec("movielens-csv").name == "movielens-csv.yaml"
    with pytest.raises(UsageError, match=r"no SPEC at .*spek.yaml' \(did you mean spec.yaml"):
        find_spec(str(tmp_path / "spek.yaml"))
    with pytest.raises(UsageError, match=r"no SPEC 'movilens-csv' \(did you mean movielens-csv"):
        find_spec("movilens-csv")


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("stars >= 70", "stars <= 60"),  # what lies between is neither
        ("stars >= 4", "stars < 4"),
        ("liked == 1", "liked != 1"),
    ],
)
def test_a_guessed_negative_never_overlaps_a_given_positive(
    tmp_path: Path, positive: str, negative: str
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user,movie,stars\na,x,5\na,y,99\nb,x,1\n")
    guess = guess_spec([log], [f"interactions.positive={positive}"])
    assert guess.spec.interactions.negative == negative
    assert guess.guessed_rules == ("interactions.negative",)
    noted = f"negatives are '{negative}', since the guessed 'stars <= 60'" in " ".join(guess.notes)
    assert noted == (negative != "stars <= 60")
    own = ["interactions.negative=stars <= 60", f"interactions.positive={positive}"]
    both = guess_spec([log], own)
    assert both.spec.interactions.negative == "stars <= 60"
    assert both.guessed_rules == ()
