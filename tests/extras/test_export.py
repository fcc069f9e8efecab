"""Real trackers: what they hold after an export, read back with their own packages."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import mmctr_kit
from mmctr_kit.errors import UsageError
from mmctr_kit.export.record import Record, records
from mmctr_kit.export.trackers import NEEDED
from mmctr_kit.report.context import MARK
from tests.export.conftest import exported_runs
from tests.extras.stored import READERS, Stored
from tests.report.made import NAMES
from tests.runs.unsealed import unsealed

__all__ = ["exported_runs"]  # a fixture

# What MLflow does with SQLAlchemy 2.1 is not for us to mend.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip a test, visibly, before its fixtures are made if the tool is not installed."""
    absent = [name for name in NEEDED[tool] if find_spec(name) is None]
    return pytest.mark.skipif(bool(absent), reason=f"{', '.join(absent)}: make test-extras")


class Place:
    """Where one test's exports go."""

    def __init__(self, tool: Any, where: str, project: str) -> None:
        self.tool, self.where, self.project = tool, where, project

    def put(self, runs: Path, *names: str, weights: bool = False) -> dict[str, str]:
        """Export; the state of each by its name."""
        made = mmctr_kit.export_runs(
            names,
            self.tool,
            where=self.where,
            project=self.project or None,
            weights=weights,
            runs=runs,
        )
        return {one.name: one.state for one in made.exported}

    def read(self) -> dict[str, list[Stored]]:
        found: dict[str, list[Stored]] = READERS[self.tool](self.where, self.project)
        return found


@pytest.fixture(scope="session")
def trackio_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder that this process's trackio writes to."""
    return tmp_path_factory.mktemp("trackio")


@pytest.fixture(params=[pytest.param(tool, marks=needs(tool)) for tool in READERS])
def place(request: pytest.FixtureRequest, tmp_path: Path, trackio_folder: Path) -> Place:
    tool = request.param
    wheres = {
        "mlflow": f"sqlite:///{tmp_path}/tracked/mlflow.db",
        "wandb": str(tmp_path / "offline"),
        "trackio": str(trackio_folder),
        "tensorboard": str(tmp_path / "logs"),
    }
    project = "" if tool == "tensorboard" else f"p-{abs(hash(request.node.name)):x}"
    return Place(tool, wheres[tool], project)


def same(stored: Any, given: Any) -> bool:
    """Whether a param is the one given, as a text or as TensorBoard's number."""
    if isinstance(given, bool | str) or isinstance(stored, str):
        return str(stored) == str(given)
    return bool(float(stored) == float(given))


def assert_holds(stored: Stored, record: Record) -> None:
    assert stored.params.keys() == record.params.keys()
    assert [k for k in record.params if not same(stored.params[k], record.params[k])] == []
    for name, value in record.metrics.items():
        assert stored.metrics[name] == pytest.approx(value, rel=1e-6)  # TensorBoard: float32
    expected: dict[str, list[tuple[int, float]]] = {}
    for step, values in record.steps().items():
        for name, value in values.items():
            expected.setdefault(name, []).append((step, pytest.approx(value, rel=1e-6)))
    assert stored.curves == expected
    assert stored.tags == {k.removeprefix("mmctr_kit."): v for k, v in record.full_tags().items()}
    assert stored.files == {name: path.read_bytes() for name, path in record.files.items()}


def test_what_is_read_back_is_what_the_runs_and_the_study_hold(
    place: Place, exported_runs: Path
) -> None:
    place.put(exported_runs, "alpha", "mix", "small")
    stored = place.read()
    given = [r for n in ("alpha", "mix", "small") for r in records(n, exported_runs, False)]
    assert stored.keys() == {record.name for record in given}
    for record in given:
        (copy,) = stored[record.name]
        assert_holds(copy, record)
    assert stored["alpha"][0].metrics["valid_auc_se"] > 0
    assert len(stored["alpha"][0].curves["holdout_auc/2-0"]) == 3
    assert {"recipe.yaml", "metrics.json", "manifest.json"} <= stored["alpha"][0].files.keys()


def test_a_blend_of_five_runs_and_a_study_are_there_once_though_exported_twice(
    place: Place, exported_runs: Path
) -> None:
    names = (*NAMES, "mix", "small")
    assert set(place.put(exported_runs, *names).values()) == {"written"}
    assert set(place.put(exported_runs, *names).values()) == {"unchanged"}
    stored = place.read()
    assert {len(copies) for copies in stored.values()} == {1}
    assert len(stored) == len(NAMES) + 2 + 18 + 1
    mix = stored["mix"][0]
    assert {n: mix.tags[f"member.{n}"] for n in NAMES} == {
        n: stored[n][0].tags["key"] for n in NAMES
    }
    parent = stored["small"][0].tags["key"] if place.tool == "mlflow" else "small"
    inside = [n for n in stored if n.startswith("small-")]
    assert len(inside) == 18 + 1
    assert {stored[name][0].parent for name in inside} == {parent}


def test_a_copy_that_is_out_of_date_is_replaced(
    place: Place, exported_runs: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    unsealed(shutil.copytree(exported_runs / "alpha", runs / "alpha"))
    weights = runs / "alpha" / "folds" / "0-0" / "weights.safetensors"
    weights.write_bytes(b"weights")
    assert place.put(runs, "alpha", "alpha") == {"alpha": "written"}
    (runs / "alpha.html").write_text(f"<!DOCTYPE html>\n{MARK}\nä\n", "utf-8")
    assert place.put(runs, "alpha") == {"alpha": "replaced"}
    (copy,) = place.read()["alpha"]
    assert copy.files["report.html"] == (runs / "alpha.html").read_bytes()
    assert len(copy.files) == 4
    assert place.put(runs, "alpha", weights=True) == {"alpha": "replaced"}
    (copy,) = place.read()["alpha"]
    assert copy.files["folds/0-0/weights.safetensors"] == b"weights"
    assert place.put(runs, "alpha", weights=True) == {"alpha": "unchanged"}


def test_a_copy_that_was_interrupted_is_made_again(place: Place, exported_runs: Path) -> None:
    if place.tool == "trackio":
        pytest.skip("Trackio's copy is one transaction: there is no half of it")
    place.put(exported_runs, "alpha")
    if place.tool == "mlflow":
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=place.where)
        experiment = client.get_experiment_by_name(place.project)
        (run,) = client.search_runs([experiment.experiment_id])
        client.delete_tag(run.info.run_id, "mmctr_kit.digest")
    else:
        (mark,) = Path(place.where).rglob("mmctr_kit.json")
        mark.unlink()
    assert place.put(exported_runs, "alpha") == {"alpha": "replaced"}
    assert len(place.read()["alpha"]) == 1


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """The folder of a real study of two trials."""
    runs = tmp_path_factory.mktemp("tuned") / "runs"
    search = {"training.learning_rate": {"choice": [0.001, 0.01]}}
    space = {"training.epochs": 2, "folds.count": 2, "search": search}
    mmctr_kit.tune(
        "din_demo",
        tiny_root / "data",
        trials=2,
        set=space,
        jobs=1,
        finalists=1,
        final_seeds=2,
        runs=runs,
    )
    return runs


def test_a_real_study_is_exported_with_what_its_finalists_trained(
    place: Place, searched: Path
) -> None:
    assert len(place.put(searched, "din_demo.study", weights=True)) == 4
    stored = place.read()
    for record in records("din_demo.study", searched, True):
        (copy,) = stored[record.name]
        assert_holds(copy, record)
    (finalist,) = [copies[0] for name, copies in stored.items() if "finalist" in name]
    assert finalist.tags["environment.mmctr_kit"] == mmctr_kit.__version__
    assert finalist.metrics["recipe_valid_auc_se"] > 0
    assert len([name for name in finalist.curves if name.startswith("train_loss/")]) == 4


def test_nothing_is_sent_over_a_network(place: Place, exported_runs: Path, tmp_path: Path) -> None:
    """Even if the machine has keys: no socket but those of one machine's processes is connected."""
    log = tmp_path / "calls"
    strace = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(log)]
    if shutil.which("strace") is None or subprocess.run([*strace, "true"], check=False).returncode:
        pytest.skip("strace cannot watch a process here (Debian: apt-get install strace)")
    keys = {"HF_TOKEN": "hf_x", "WANDB_API_KEY": 40 * "0", "TRACKIO_SPACE_ID": "someone/space"}
    command = [sys.executable, "-m", "mmctr_kit", "export", "alpha", "--to", place.tool]
    command += ["--where", place.where, "--runs", str(exported_runs)]
    done = subprocess.run(
        [*strace, *command], capture_output=True, text=True, env=os.environ | keys, check=True
    )
    assert "alpha (cv): written" in done.stdout
    # Where the tool takes a second, how far it is follows.
    assert done.stderr.startswith("reading runs\n")
    assert not re.search("warning|error|Traceback", done.stderr)
    assert "AF_INET" not in log.read_text()


@needs("mlflow")
@pytest.mark.parametrize("where", ["nonsense://x", "sqlite:////proc/none/mlflow.db"])
def test_a_place_that_mlflow_cannot_use_is_one_line(where: str, exported_runs: Path) -> None:
    with pytest.raises(UsageError, match=f"MLflow cannot use --where {where}") as refused:
        mmctr_kit.export_runs(["alpha"], "mlflow", where=where, runs=exported_runs)
    assert "\n" not in str(refused.value)


@needs("mlflow")
@needs("wandb")
def test_the_tools_own_variables_say_where(
    exported_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/of/env.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "offline"))
    assert mmctr_kit.export_runs(["alpha"], "mlflow", runs=exported_runs).place == uri
    made = mmctr_kit.export_runs(["alpha"], "wandb", runs=exported_runs)
    assert made.place == str(tmp_path / "offline" / "wandb")
    assert list(Path(made.place).glob("offline-run-*/*.wandb"))


@needs("trackio")
def test_another_folder_than_trackio_was_imported_with_is_one_line(
    exported_runs: Path, tmp_path: Path, trackio_folder: Path
) -> None:
    mmctr_kit.export_runs(["alpha"], "trackio", where=trackio_folder, runs=exported_runs)
    with pytest.raises(UsageError, match=r"trackio is imported already and writes to .*, not to"):
        mmctr_kit.export_runs(["alpha"], "trackio", where=tmp_path, runs=exported_runs)
    with pytest.raises(UsageError, match="--project 'registry-a': Project name"):
        mmctr_kit.export_runs(["alpha"], "trackio", project="registry-a", runs=exported_runs)


@needs("mlflow")
def test_the_example_of_export_runs_runs(
    exported_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported_runs / "alpha", tmp_path / "runs" / "din_demo")
    examples = doctest.DocTestParser().get_examples(mmctr_kit.export_runs.__doc__ or "")
    names: Mapping[str, Any] = {"mmctr_kit": mmctr_kit}
    test = doctest.DocTest(examples, dict(names), "export_runs", None, None, "")
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)
    assert (tmp_path / "tracked" / "mlartifacts").is_dir()
