"""``mmctr-kit bench`` as a user types it."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmctr_kit.bench import speed
from mmctr_kit.bench.result import Prediction, Result, Roofline, Round, Training, Versus, Work
from mmctr_kit.cli.app import app, main
from mmctr_kit.cv.model_cost import Latency
from mmctr_kit.files import write_json

LATENCY = tuple(Latency(n, 1.5 * n, 20.25 * n, 200) for n in (1, 64, 1024))


def result(name: str) -> Result:
    return Result(
        recipe=name,
        parameters=12_345_678,
        training=Training(8192, 81920, 10.0, 0.5, 2_736_000, 0.0),
        prediction=Prediction(20_000, 1.0, 379_142),
        work=Work(22.5e6, 6e4, Roofline("bf16", 4e11, 2e10)),
        phases={"data": 0.01, "forward": 0.35, "backward": 0.54, "optimizer": 0.1},
        latency=LATENCY,
        memory_mb=12_345.6,
        memory_of="process",
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured: it would take its time, and tests/bench has it."""
    monkeypatch.setattr(speed, "bench_recipe", lambda recipe, _: result(recipe.name))


@pytest.fixture
def versus(tmp_path: Path) -> str:
    """The JSON of tests/studies/versus_official.py."""
    speeds = ({"wall": 250.0, "cpu": 130.0}, {"wall": 10_000.0, "cpu": 5_200.0})
    made = Versus("din_official", "CPU, 2 threads", 8192, "bf16", (Round(*speeds, 0.12),))
    write_json(tmp_path / "versus.json", made.as_json())
    return str(tmp_path / "versus.json")


def output(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["bench", "--device", "cpu", *arguments])
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.mark.usefixtures("measured")
@pytest.mark.usefixtures("eighty_columns")
def test_every_line_fits_80_columns_and_no_figure_is_cut(tiny_root: Path, versus: str) -> None:
    data = str(tiny_root / "data")
    text = output("--data", data, "--threads", "2", "--versus", versus)
    lines = [line for line in text.splitlines() if str(tiny_root) not in line]
    assert max(len(line.rstrip()) for line in lines) <= 80
    for name in ("din_official", "din_mha_se_pca", "qin", "transformer_dcn", "din_target_encoder"):
        assert f" {name} " in text
    for figure in ("8,192", "334", "20,000", "19.0", "46%", "54%", "12.3M", "1536/20736", "12,346"):
        assert figure in text
    assert "40.0x" in text
    assert "had 50% of its threads' time" in text


@pytest.mark.usefixtures("measured")
def test_json_has_all_of_it(tiny_root: Path, versus: str) -> None:
    found = json.loads(output("--data", str(tiny_root / "data"), "--recipe", "qin", "--json"))
    [qin] = found["results"]
    assert qin["training"]["rows_per_second"] == 8192
    assert qin["training"]["epoch_seconds"] == pytest.approx(2_736_000 / 8192)
    assert qin["share_of_matrix_throughput"] == pytest.approx(22.5e6 * 8192 / 4e11)
    assert found["side_by_side"] is None
    both = json.loads(output("--data", str(tiny_root / "data"), "--json", "--versus", versus))
    assert both["side_by_side"]["times_by_clock"] == 40.0


@pytest.mark.usefixtures("measured")
def test_a_preset_is_generated_once() -> None:
    first = json.loads(output("--preset", "tiny", "--recipe", "qin", "--json"))
    data = Path(first["data"])
    made = (data / "item_emb.parquet").stat().st_mtime_ns
    assert json.loads(output("--preset", "tiny", "--recipe", "qin", "--json")) == first
    assert (data / "item_emb.parquet").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "huge"), "expected one of tiny, demo, full"),
        (("--preset", "tiny", "--data", "x"), "give one of them"),
        (("--data", "nowhere"), "nowhere"),
        (("--recipe", "no_such"), "no_such"),
        (("--preset", "tiny", "--versus", "nothing.json"), "run that script with --out"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmctr-kit", "bench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
