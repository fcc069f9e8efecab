"""``mmctr-kit items encode`` as a user types it."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import mistake, run
from tests.embed.encode.conftest import bert, fake, model_folder, pictured
from tests.test_house import loaded_by

__all__ = ["bert", "fake", "pictured"]  # fixtures


@pytest.fixture
def vit(tmp_path: Path) -> str:
    return str(model_folder(tmp_path / "models" / "vit", model_type="vit", image_size=8))


@pytest.mark.usefixtures("fake")
def test_cost_missing_items_and_the_file_are_said_in_80_columns(
    pictured: Path, bert: Path, vit: str, tmp_path: Path
) -> None:
    out = tmp_path / "v.parquet"
    command = ("items", "encode", str(pictured), "--text", str(bert), "--image", vit)
    done = run(*command, "--out", str(out), "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "text: bert (text)\nimage: vit (vision)\n" in done.output
    assert "text missing, empty title: " in done.output
    assert "image missing, broken: 1 item (9)\n  item 9: 9.jpg: " in done.output
    assert "image missing, no file: 6 items (50, 100, 150, 200, 250, ...)" in done.output
    assert "items/s" in done.output
    assert "300 rows; text 3, image 3 values each" in " ".join(done.output.split())
    table = [line for line in done.output.splitlines() if line.startswith(" ")]
    assert max(map(len, table)) <= 80
    again = run(*command, "--out", str(out), "--device", "cpu")
    assert "is finished already: nothing to do" in " ".join(again.output.split())
    assert "kept" in again.output


@pytest.mark.usefixtures("fake")
def test_json_names_each_missing_item_and_the_costs(
    pictured: Path, vit: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "v.parquet")
    done = run("items", "encode", str(pictured), "--image", vit, "--out", out, "--json")
    (column,) = json.loads(done.stdout)["columns"]
    assert [fault["item_id"] for fault in column["faults"]][:4] == [7, 8, 9, 50]
    assert column["missing"] == {"not_an_image": 1, "grey": 1, "broken": 1, "missing": 6}
    assert {"items_per_second", "seconds", "ms_per_item", "peak_mb"} <= set(column)
    stored = json.loads((tmp_path / "v.report.json").read_text())
    assert stored["columns"] == [column]


@pytest.mark.usefixtures("fake")
def test_a_dry_run_prints_the_plan(pictured: Path, vit: str, tmp_path: Path) -> None:
    out = str(tmp_path / "v.parquet")
    done = run("items", "encode", str(pictured), "--image", vit, "--out", out, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "plan for 300 items; times extrapolated from 128 items" in done.output
    assert "294" in done.output
    assert not list(tmp_path.glob("v.*"))


MISTAKES = [
    ((), "name an encoder: --text MODEL, --image MODEL, or both"),
    (("--text", "./no"), "no folder at './no'"),
    (("--image", "timm:x=no.pth"), "no file of weights at 'no.pth'"),
    (("--text", "x", "--out", "v.csv"), "end it in .parquet"),
    (
        ("--text", "x", "--device", "cuda:0,cuda:1"),
        "expected one device: auto, cpu, cuda or cuda:0",
    ),
    (("--text", "x", "--pooling", "max"), "expected one of mean, last, cls; found 'max'"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=lambda v: str(v)[:30])
def test_a_mistake_is_one_line_and_loads_nothing_heavy(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], pictured: Path
) -> None:
    command = ("items", "encode", str(pictured), *arguments)
    code, error = mistake(capsys, *command)
    assert code == 2
    assert said in " ".join(error.split())
    assert loaded_by(*command) == set()
