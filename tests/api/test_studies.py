"""Studies from Python: refused before the data are loaded, searched only, gone on with."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mmctr_kit
from mmctr_kit.api.plans import Options
from mmctr_kit.api.studies import PlannedStudy, plan_tuning
from mmctr_kit.errors import MmctrKitError, RunError, UsageError
from mmctr_kit.tuning.address import parse_address
from mmctr_kit.tuning.database import Database

SPACE: dict[str, Any] = {
    "training.epochs": 1,
    "folds.count": 2,
    "search": {"training.learning_rate": {"choice": [0.001, 0.01]}},
}


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models on several threads mostly wait."""
    monkeypatch.setattr("mmctr_kit.cv.executors.local.available_cores", lambda: 1)


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("the data was loaded")

    monkeypatch.setattr("mmctr_kit.api.studies.load_to_train", loaded)


def plan(root: Path, runs: Path, storage: str, force: bool = False, dry: bool = False) -> None:
    options = Options("small", SPACE, "cpu", 1, force, runs)
    plan_tuning("din_demo", root / "data", options, lambda _: None, storage=storage, dry=dry)


@pytest.mark.usefixtures("no_loading")
def test_what_a_database_is_refused_for_is_told_without_loading(
    tiny_root: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/tuning.db"
    other = {"version": "0.0.1", "recipe": {}, "search": {}, "data": ""}
    with closing(Database(parse_address(url), "small")) as database:
        database.connect()
        database.exclusively(lambda: database.create(other, lambda _: None))
    for storage, told in (
        ("sqlite:////nowhere/x.db", "there is no folder /nowhere for x.db"),
        (url, r"study 'small' exists in sqlite:.* but differs in version \(0.0.1 there, "),
    ):
        for dry in (False, True):
            with pytest.raises(MmctrKitError, match=told):
                plan(tiny_root, tmp_path / "runs", storage, dry=dry)
    with pytest.raises(AssertionError, match="the data was loaded"):
        plan(tiny_root, tmp_path / "runs", url, force=True)


@pytest.mark.usefixtures("no_loading")
def test_a_dry_run_creates_neither_a_database_nor_its_tables(
    tiny_root: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/tuning.db"
    database = Database(parse_address(url), "small")
    for content in (None, b""):
        if content is not None:
            (tmp_path / "tuning.db").write_bytes(content)
        with pytest.raises(AssertionError, match="the data was loaded"):
            plan(tiny_root, tmp_path / "runs", url, dry=True)
        unused: Any = None
        assert PlannedStudy(tmp_path / "x.study", unused, False, database).left(5, 2) == (5, 2)
        assert [p.name for p in tmp_path.rglob("*")] == ["tuning.db"] * (content is not None)
    (tmp_path / "tuning.db").write_bytes(b"no database")
    with pytest.raises(UsageError, match="cannot be used: file is not a database"):
        plan(tiny_root, tmp_path / "runs", url, dry=True)


@pytest.mark.usefixtures("no_loading")
def test_a_password_is_kept_out_of_the_files_of_slurm_jobs(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Options, "made_executor", SimpleNamespace(name="slurm", require=bool))
    options = Options("small", SPACE, "auto", 1, False, tmp_path, executor="slurm")
    url, data = f"sqlite:///{tmp_path}/tuning.db", tiny_root / "data"
    for storage, told in (
        (f"{url}?password=s3cret", r"--storage has a password, and SLURM keeps .* ~/.pgpass"),
        (url, r"tuning.db is a file of one machine; where others train give a database server"),
    ):
        with pytest.raises(UsageError, match=told) as refused:
            plan_tuning("din_demo", data, options, lambda _: None, storage=storage)
        assert "s3cret" not in str(refused.value)


def test_a_study_is_searched_on_one_machine_and_concluded_on_another(
    tiny_root: Path, tmp_path: Path
) -> None:
    def tune(runs: str, finalists: int) -> Any:
        return mmctr_kit.tune(
            "din_demo",
            tiny_root / "data",
            set=SPACE,
            trials=2,
            device="cpu",
            jobs=1,
            finalists=finalists,
            final_seeds=1,
            storage=f"sqlite:///{tmp_path}/tuning.db",
            runs=tmp_path / runs,
        )

    searched = tune("here", 0)
    assert not searched.best_recipe.exists()
    assert not (searched.path / "study.json").exists()
    assert len(searched.finalists()) == 0
    assert "only searched" in searched._repr_html_()
    with pytest.raises(RunError, match="was only searched; tune it with finalists=1 or more"):
        _ = searched.valid_auc
    concluded = tune("there", 1)
    assert concluded.best_recipe.is_file()
    assert concluded.run.finished
    assert concluded.trials().equals(searched.trials())
