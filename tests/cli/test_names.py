"""Whatever a name says, nothing is written outside the folder that was named."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.contract import FILES
from mmctr_kit.errors import UsageError
from mmctr_kit.runs.run import run_path
from tests.cli.conftest import command as typed
from tests.cli.conftest import mistake
from tests.cli.test_blend import make_runs
from tests.runs.unsealed import unsealed

NAMES = (
    *("../x", "/{outside}/x", "a/../../x", "..", ".", "", ".hidden", "a/b", "a\\b", "~", "-x y"),
    *("x" * 201, "CON", "nul.txt", "com1", "x.", "x\n", "x\u202e", "ä", "$(x)", "link", "nowhere"),
)


@given(st.one_of(st.text(max_size=300), st.sampled_from(NAMES)), st.sampled_from(("", ".study")))
def test_a_name_is_a_folder_in_the_runs_or_wrong_usage(name: str, suffix: str) -> None:
    try:
        path = run_path(Path("runs"), name, suffix)
    except UsageError:
        return
    assert Path(os.path.normpath(path)) == path
    assert path.parent == Path("runs")
    assert path.name == f"{name}{suffix}"
    assert len(os.fsencode(f"{path.name}-Task1_2.zip")) < 255


@pytest.mark.parametrize(
    ("name", "why"),
    [("x" * 201, "found 201 characters; at most 200"), ("Aux", "Windows has no such folders")],
)
def test_a_name_that_some_file_system_lacks_says_why(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        run_path(Path("runs"), name)


def test_a_link_to_nothing_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="link to nothing; delete it, or choose another --name"):
        run_path(tmp_path, "x")


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """Runs ``a`` and ``b``, and links in the folder of runs to one outside and to nothing."""
    root = tmp_path_factory.mktemp("names")
    make_runs(root / "runs", tiny_root, ("a", "b"))
    (root / "outside").mkdir()
    (root / "outside" / "file").write_text("mine")
    for suffix in ("", ".study", ".ablate"):
        (root / "runs" / f"link{suffix}").symlink_to(root / "outside")
        (root / "runs" / f"nowhere{suffix}").symlink_to(root / "not there")
    return root


COMMANDS = {
    "cv": ("cv", "din_demo", "--data", "DATA"),
    "fit": ("fit", "din_demo", "--data", "DATA"),
    "tune": ("tune", "din_demo", "--data", "DATA", "--trials", "1"),
    "ablate": ("ablate", "din_demo", "--data", "DATA"),
    "blend": ("blend", "a", "b", "--method", "mean"),
}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(("blend", name) for name in NAMES),
        *((command, name) for command in COMMANDS for name in ("../x", "/{outside}/x", "nowhere")),
        *((command, "link") for command in COMMANDS if command != "ablate"),
    ],
)
def test_no_command_writes_where_a_strange_name_points(
    command: str,
    name: str,
    place: Path,
    tiny_root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place)
    before = tree(place)
    given_name = name.format(outside=place / "outside")
    arguments = [str(tiny_root / "data") if a == "DATA" else a for a in COMMANDS[command]]
    code, error = mistake(capsys, *arguments, f"--name={given_name}", "--runs", "runs")
    assert code in (1, 2)
    assert error.count("error: ") == 1
    after = {k: v for k, v in tree(place).items() if ".locks" not in k}
    assert after == {k: v for k, v in before.items() if ".locks" not in k}


@pytest.mark.parametrize(
    ("name", "why"),
    [("name.html", "exists and is no report"), ("x" * 251 + ".html", "shorten the name")],
)
def test_a_page_is_not_written_over_what_a_link_points_to_nor_under_a_name_too_long(
    name: str, why: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = place / "outside" / "file"
    page = place / name
    if len(name) < 255:
        page.symlink_to(target)
    code, error = mistake(capsys, "report", "a", "--runs", str(place / "runs"), "--out", str(page))
    assert code == 2
    assert why in error
    assert target.read_text() == "mine"


OUTPUTS = {
    "predict": ("out.csv", "--rows", "TEST", "--data", "DATA"),
    "submit": ("out.zip", "--task", "Task2"),
    "bundle": ("out",),
    "export-model": ("out.onnx", "--data", "DATA"),
}
"""What a command writes, and its further arguments."""


@pytest.fixture
def trained(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, ``here``, with a trained run of a strange name, and one outside.

    The recipe of the run ``recipe`` has a name that leads outside.
    """
    runs = tmp_path / "here" / "runs"
    for name in ("\x1b[31mx y", "recipe"):
        shutil.copytree(work / "runs" / "din_demo", runs / name)
    recipe = unsealed(runs) / "recipe" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: din_demo", "name: ../../outside/x"))
    assert "../../outside/x" in recipe.read_text()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("mine")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("link", ["file", ".", "nowhere", None, "recipe"])
def test_no_output_is_written_through_a_link_nor_where_a_run_or_its_recipe_says(
    command: str,
    link: str | None,
    trained: Path,
    tiny_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, *further = OUTPUTS[command]
    data = tiny_root / "data"
    known = {"DATA": str(data), "TEST": str(data / FILES["test"].path)}
    run = "recipe" if link == "recipe" else "\x1b[31mx y"
    arguments = [command, run, *(known.get(a, a) for a in further)]
    link = None if link == "recipe" else link
    if link is not None:
        Path(name).symlink_to(trained / "outside" / link)
    if link is not None or command == "bundle":
        arguments += ["--out", name]
    force = ("--force",) * (link is not None and command != "bundle")
    code, error = typed(capsys, *arguments, *force)
    assert "Traceback" not in error
    assert tree(trained / "outside") == {"file": b"mine"}
    beside = {path.name for path in trained.iterdir()}
    assert beside == {"here", "outside"}
    allowed = {"runs", "submissions", name, f"{run}.onnx", f"{run}-test.parquet"}
    assert {path.name for path in Path().iterdir() if ".mmctr-kit" not in path.name} <= allowed
    if run != "recipe" and link in (None, "file") and command in ("predict", "submit"):
        assert code == 0, error
    if link == ".":
        assert code == 2
