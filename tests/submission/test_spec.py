"""mmctr_kit.submission.spec: the challenge's shipped format, and files checked under another's."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import FILES, SUBMISSION_ID, Task
from mmctr_kit.errors import UsageError
from mmctr_kit.submission.check import TestRows, check_submission
from mmctr_kit.submission.spec import SHIPPED, IdsSpec, Spec, challenge, load_spec

KAGGLE = Path(__file__).with_name("kaggle.yaml")
N = 1_500
RNG = np.random.default_rng(5)
IDS = [f"{i:04x}-q" for i in RNG.permutation(N)]
SCORE = RNG.normal(size=N) * 40
LINES = ["id,target", *(f"{i},{v!r}" for i, v in zip(IDS, SCORE.tolist(), strict=True))]
GOOD = "\n".join(LINES).encode() + b"\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the contest's spec and its sample submission."""
    (tmp_path / "kaggle.yaml").write_bytes(KAGGLE.read_bytes())
    sample = "".join(f"{i},0\n" for i in IDS)
    (tmp_path / "sample_submission.csv").write_text("id,target\n" + sample)
    return tmp_path


def find(folder: Path, raw: bytes, **changes: object) -> list[Finding]:
    path = folder / "s.csv"
    path.write_bytes(raw)
    spec = load_spec(folder / "kaggle.yaml")
    return check_submission(path, spec=spec.model_copy(update=changes))


def faults(findings: list[Finding]) -> dict[str, Level]:
    return {f.id: f.level for f in findings if f.level is not Level.PASS}


def column(score: np.ndarray) -> bytes:
    rows = (f"{i},{v!r}" for i, v in zip(IDS, score.tolist(), strict=True))
    return "\n".join(["id,target", *rows, ""]).encode()


def edit(line: int, change: Callable[[str], str]) -> bytes:
    """The good file with one line (1-based) changed."""
    lines = [change(text) if i == line else text for i, text in enumerate(LINES, 1)]
    return "\n".join([*lines, ""]).encode()


def cell(value: str) -> bytes:
    return edit(12, lambda old: old.split(",")[0] + "," + value)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("submission.csv", GOOD)
    return buffer.getvalue()


FAIL, WARN = Level.FAIL, Level.WARN
FAULTS: dict[str, tuple[bytes, dict[str, Level]]] = {
    "an empty file": (b"", {"file-readable": FAIL}),
    "a zip": (zipped(), {"file-readable": FAIL}),
    "a gzip file": (gzip.compress(GOOD), {"file-readable": FAIL}),
    "an HTML page": (b"<!DOCTYPE html><p>Sign in</p>", {"file-readable": FAIL}),
    "UTF-16": (GOOD.decode().encode("utf-16"), {"csv-encoding": FAIL}),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, {"csv-encoding": FAIL}),
    "CR alone": (GOOD.replace(b"\n", b"\r"), {"csv-line-ends": FAIL}),
    "semicolons": (GOOD.replace(b",", b";"), {"csv-separator": FAIL}),
    "quotes": (GOOD.replace(b"id,target", b'"id","target"'), {"csv-quotes": WARN}),
    "a blank line": (edit(9, lambda s: s + "\n"), {"csv-blank-lines": FAIL}),
    "a commented header": (b"# " + GOOD, {"csv-header": FAIL}),
    "ID in capitals": (GOOD.replace(b"id,", b"ID,", 1), {"csv-header": FAIL}),
    "another column": (GOOD.replace(b"target", b"score"), {"csv-columns": FAIL}),
    "a column in capitals": (GOOD.replace(b"target", b"Target"), {"csv-columns": FAIL}),
    "a row cut short": (edit(12, lambda s: s.split(",")[0]), {"csv-fields": FAIL}),
    "a row missing": (
        b"".join(GOOD.splitlines(True)[:-1]),
        {"row-count": FAIL, "id-complete": FAIL},
    ),
    "a row twice": (
        GOOD + LINES[7].encode() + b"\n",
        {"row-count": FAIL, "id-unique": FAIL},
    ),
    "an unknown ID": (edit(12, lambda s: "zz," + s.split(",")[1]), {"id-complete": FAIL}),
    "an ID in capitals": (edit(12, lambda s: s.replace("-q", "-Q")), {"id-complete": FAIL}),
    "an ID without text": (edit(12, lambda s: "," + s.split(",")[1]), {"id-complete": FAIL}),
    "an empty value": (cell(""), {"score-missing": FAIL}),
    "a word": (cell("high"), {"score-number": FAIL}),
    "nan": (cell("nan"), {"score-finite": FAIL}),
    "all 0": (column(np.zeros(N)), {"score-constant": FAIL}),
    "labels": (column((SCORE > 0) * 1.0), {"score-hard-labels": WARN}),
    "no digits": (column(SCORE.round(0)), {"score-ties": WARN}),
    "scores sorted": (column(np.sort(SCORE)), {"score-sorted": WARN}),
}
CLEAN = {
    "in the sample's order": GOOD,
    "in another order": "\n".join([LINES[0], *LINES[:0:-1], ""]).encode(),
    "CRLF": GOOD.replace(b"\n", b"\r\n"),
    "no newline at the end": GOOD.rstrip(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_under_another_spec_each_fault_is_found_by_its_check_alone(
    folder: Path, fault: str
) -> None:
    raw, expected = FAULTS[fault]
    found = find(folder, raw)
    assert faults(found) == expected
    text = " ".join(f.what + f.todo for f in found)
    assert text.isprintable()
    for name in ("prediction.csv", "Task", "test.parquet", "--data", "zip -X", "first name ID"):
        assert name not in text


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_file_of_another_contest_passes(folder: Path, name: str) -> None:
    assert faults(find(folder, CLEAN[name])) == {}


def test_messages_name_the_specs_columns_texts_and_sample(folder: Path) -> None:
    said = {f.id: f for f in find(folder, FAULTS["an unknown ID"][0])}
    lost = f"1 ID missing, first '{IDS[10]}'; 1 ID unknown, first 'zz' in line 12"
    assert said["id-complete"].what == f"expected the IDs of sample_submission.csv; {lost}"
    assert said["id-complete"].todo == "take IDs and their order from sample_submission.csv"
    (columns,) = (f for f in find(folder, FAULTS["a column in capitals"][0]) if f.todo)
    assert columns.what == "column 2 is 'Target'; target was meant?"
    assert columns.todo == "write the header id, target, letter for letter"
    (readable,) = find(folder, zipped())
    assert readable.what == "expected a CSV; by its first bytes this is a zip"
    assert [f.what for f in find(folder, b"id\n" + b"\n".join(map(str.encode, IDS))) if f.todo] == [
        "expected target; it is not in 'id'"
    ]


def test_order_is_held_only_if_the_spec_requires_it(folder: Path) -> None:
    ids = load_spec(folder / "kaggle.yaml").ids.model_copy(update={"order": "required"})
    assert faults(find(folder, GOOD, ids=ids)) == {}
    turned = find(folder, CLEAN["in another order"], ids=ids)
    (fault,) = (f for f in turned if f.level is FAIL)
    assert fault.id == "id-order"
    assert fault.what.startswith("expected the order of sample_submission.csv; 1,499 IDs below")


def test_values_outside_the_specs_range_fail_with_that_range(folder: Path) -> None:
    inside = 1 + 4 / (1 + np.exp(-SCORE / 40))
    assert faults(find(folder, column(inside), values=(1.0, 5.0))) == {}
    raw = edit(12, lambda s: s.split(",")[0] + ",700")
    found = {f.id: f for f in find(folder, raw, values=(-500.0, 500.0))}
    assert "expected values in [-500, 500]; 1 value outside" in found["score-range"].what
    assert found["score-range"].todo == "scale or clip values to [-500, 500]"


def test_only_the_challenges_metric_is_known_to_see_nothing_but_order(folder: Path) -> None:
    raw = column((SCORE > 0) * 1.0)
    (labels,) = (f for f in find(folder, raw) if f.todo)
    assert labels.todo.startswith("if the metric is AUC: ")
    wide = {f.id: f for f in find(folder, column(SCORE * 0 + 3 + SCORE**2), values=(0.0, 1.0))}
    assert wide["score-range"].todo == "scale or clip values to [0, 1]"


def test_integers_may_begin_anywhere(tmp_path: Path) -> None:
    ids = IdsSpec(column="row", first=10, count=3)
    spec = challenge().model_copy(update={"ids": ids, "container": "csv", "member": ""})
    path = tmp_path / "s.csv"
    path.write_text("row,Task1\n10,0.1\n11,0.25\n12,0.5\n")
    assert faults(check_submission(path, spec=spec)) == {}
    path.write_text("row,Task1\n11,0.1\n12,0.25\n13,0.5\n")
    (found,) = (f for f in check_submission(path, spec=spec) if f.level is FAIL)
    assert found.what.startswith("expected 10 to 12; 1 ID missing, first 10; 1 ID unknown, first")
    assert found.todo == "IDs start from 10, not from 11"


def test_a_sample_of_another_size_than_the_test_set_is_wrong_usage(folder: Path) -> None:
    spec = load_spec(folder / "kaggle.yaml")
    (folder / "s.csv").write_bytes(GOOD)
    with pytest.raises(UsageError, match="has 1,500 IDs, and the test set 7 rows"):
        check_submission(folder / "s.csv", test=TestRows(7), spec=spec)


def test_the_shipped_spec_is_the_challenges_and_says_the_same_as_the_contract() -> None:
    spec = load_spec(SHIPPED)
    assert spec == challenge()
    assert spec.ids.column == SUBMISSION_ID == FILES["test"].columns[0].name
    assert spec.ids.count == FILES["test"].known_rows
    assert spec.columns.names == tuple(Task)
    assert set(yaml.safe_load(SHIPPED.read_text())) == set(Spec.model_fields)


def test_the_shipped_spec_is_in_the_package() -> None:
    import mmctr_kit

    assert SHIPPED.is_relative_to(Path(mmctr_kit.__file__).parent)


MINE = {"container": "csv", "ids": {"column": "id", "count": 3}, "columns": {"required": ["y"]}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"memer": "a.csv"}, "unknown key memer (did you mean member?)"),
        ({"ids": {"colum": "id", "count": 3}}, "unknown key ids.colum (did you mean column?)"),
        ({"ids": {"column": "id", "count": 3.5}}, "ids.count: expected a whole number; found 3.5"),
        ({"ids": {"column": "id", "count": True}}, "ids.count: expected a whole number"),
        ({"ids": {"column": "id", "count": 0}}, "ids.count: expected more than 0; found 0"),
        ({"ids": {"column": "id"}}, "ids: expected count (integers from first), or like"),
        ({"ids": {"column": "id", "count": 3, "like": "a"}}, "ids: give count or like, not both"),
        ({"ids": {"column": "id", "count": 3, "order": "some"}}, "one of required, any; found"),
        ({"container": "tar"}, "container: expected one of zip, csv; found 'tar'"),
        ({"container": "zip"}, "member: expected a file name with container zip, none with csv"),
        ({"container": "zip", "member": "a/b.csv"}, "member: expected a file name"),
        ({"member": "a.csv"}, "member: expected a file name with container zip, none with csv"),
        ({"columns": {}}, "columns: expected a name in required or optional"),
        ({"columns": {"required": ["a,b"]}}, "names without , and \", each once; found 'a,b'"),
        ({"columns": {"required": ["y"], "optional": ["y"]}}, "each once; found 'y'"),
        ({"columns": {"required": ["id"]}}, "each once; found 'id'"),
        ({"columns": {"required": "y"}}, "columns.required: expected a list; found 'y'"),
        ({"columns": {"required": [1]}}, "columns.required.0: expected a text; found 1"),
        ({"values": [1, 0]}, "values: expected the least first; found [1.0, 0.0]"),
        ({"values": [0]}, "values: expected the least and the largest score, such as [0, 1]"),
        ({"values": [0, float("inf")]}, "values.1: expected a finite number"),
        ({"size": {"file": -1}}, "size.file: expected more than 0; found -1"),
        ({"attempts_per_day": 3}, "unknown key attempts_per_day"),
        ({"values": "0-1"}, "the largest score, such as [0, 1]; found '0-1'"),
        ({"ids": {"column": "id", "count": 10**15}}, "ids.count: expected at most 10000000"),
        ({"ids": {"column": "id", "count": 3, "first": 10**19}}, "ids.first: expected at most"),
        ({"ids": {"column": "id", "like": "a", "first": 3}}, "ids: give first or like, not both"),
    ],
)
def test_a_wrong_spec_is_one_line_of_wrong_usage(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MINE | change))
    with pytest.raises(UsageError) as caught:
        load_spec(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith("'mmctr-kit submit --spec-example' prints one with every key")
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("container: csv\ncolumns: {required: [y]}\n")
    with pytest.raises(UsageError, match=r"mine\.yaml: ids is missing"):
        load_spec(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "expected a block of spec keys, found a list"),
        ("a: [", "not readable YAML"),
        ("container: csv\ncontainer: zip\n", "key container twice"),
    ],
)
def test_a_file_that_holds_no_spec_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        load_spec(tmp_path / "mine.yaml")
    assert "\n" not in str(caught.value)


def test_an_absent_spec_is_one_line_with_the_name_that_was_meant(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no spec at .* \(did you mean kaggle\.yaml\?\)"):
        load_spec(folder / "kagle.yaml")


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (None, "ids.like: no file"),
        ("\udcff", "cannot be read as a CSV in UTF-8"),
        ("", "expected a header with id"),
        ("row,target\n1,0\n", "expected a header with id"),
        ("target,id\n1\n", "and an ID in every row"),
        ("id,target\n", "expected IDs, each once; .* has 0 rows"),
        ("id,target\na,0\na,0\n", "expected IDs, each once; .* has 2 rows"),
    ],
)
def test_a_wrong_sample_submission_is_one_line(folder: Path, sample: str | None, said: str) -> None:
    path = folder / "sample_submission.csv"
    path.unlink() if sample is None else path.write_text(sample, errors="surrogateescape")
    with pytest.raises(UsageError, match=said) as caught:
        load_spec(folder / "kaggle.yaml")
    assert "\n" not in str(caught.value)
    assert "Errno" not in str(caught.value)
    assert str(caught.value).count("sample_submission.csv") == 1
    assert str(caught.value).startswith(f"{folder / 'kaggle.yaml'}: ids.like: ")


@settings(max_examples=200, deadline=None)
@given(
    content=st.one_of(st.binary(max_size=60), st.text("id,target\n\r;\"'ab01. -e_nf", max_size=60))
)
def test_whatever_a_file_holds_it_is_checked_without_an_exception(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "sample.csv").write_text("id,target\na,0\nb,0\n1,0\n")
    ids = IdsSpec(column="id", like=folder / "sample.csv")
    spec = Spec.model_validate(MINE | {"ids": ids, "columns": {"required": ["target"]}})
    raw = content if isinstance(content, bytes) else b"id,target\n" + content.encode()
    (folder / "s.csv").write_bytes(raw)
    for finding in check_submission(folder / "s.csv", spec=spec):
        assert (finding.what + finding.todo).isprintable()


def test_optional_columns_are_needed_only_if_the_spec_says_so(tmp_path: Path) -> None:
    spec = Spec.model_validate(
        MINE | {"columns": {"required": ["y"], "optional": ["z"], "at_least_one": False}}
    )
    path = tmp_path / "s.csv"
    path.write_text("id,y\n0,0.1\n1,0.25\n2,0.5\n")
    assert faults(check_submission(path, spec=spec)) == {}
    assert spec.header == "id, y and any of z"
    both = spec.columns.model_copy(update={"at_least_one": True})
    found = check_submission(path, spec=spec.model_copy(update={"columns": both}))
    (fault,) = (f for f in found if f.level is FAIL)
    assert fault.what == "expected one or more of z; found none in 'id,y'"
