"""The public functions: their examples run, paths are str or Path, progress is heard, mistakes are
one line."""

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit import ProgressEvent

SHORT = {"training.epochs": 1, "training.min_steps": 0, "folds.count": 2}
IN_ORDER = (
    "generate_data",
    "load_data",
    "check_data",
    "profile_data",
    "load_recipe",
    "cross_validate",
    "open_run",
    "blend",
    "leaderboard",
    "write_submission",
    "check_submission",
    "score",
    "import_predictions",
    "ablate",
    "tune",
    "register_model",
)
"""The functions, each after those whose example leaves what its own needs."""
FUNCTIONS = [n for n in mmctr_kit.__all__ if inspect.isfunction(getattr(mmctr_kit, n))]


@pytest.fixture(autouse=True, scope="module")
def one_core() -> Iterator[None]:
    """Small models on several threads mostly wait."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("cv.plan", "tuning.study"):
            patch.setattr(f"mmctr_kit.{module}.available_cores", lambda: 1)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, where the examples leave their data, runs and submissions."""
    folder = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture
def in_one_process(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Costs are measured here, not in processes that would each import torch, on few requests."""
    monkeypatch.setattr("mmctr_kit.cv.model_cost._REQUESTS", 4)
    monkeypatch.setattr("mmctr_kit.cv.model_cost._LEAST", 4)
    monkeypatch.setattr("mmctr_kit.cv.model_cost.run_isolated", lambda work, told, _: work(told))
    return place


def test_every_public_function_has_an_example() -> None:
    assert set(FUNCTIONS) == set(IN_ORDER)


@pytest.mark.parametrize("name", IN_ORDER)
@pytest.mark.usefixtures("in_one_process")
def test_a_function_is_documented_and_its_example_runs(name: str) -> None:
    function = getattr(mmctr_kit, name)
    text = inspect.getdoc(function) or ""
    sections = ["Parameters", "Returns", "Raises", "Examples"]
    if inspect.signature(function).return_annotation in (None, "None"):
        sections.remove("Returns")
    for section in sections:
        assert f"\n{section}\n{'-' * len(section)}\n" in text
    for parameter in inspect.signature(function).parameters:
        assert parameter in text.partition("Raises\n")[0]
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert example.examples
    said: list[str] = []
    assert doctest.DocTestRunner().run(example, out=said.append).failed == 0, "".join(said)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """A folder with the runs first and second, and the blend both."""
    folder = tmp_path_factory.mktemp("runs")
    for name, recipe in (("first", "din_demo"), ("second", "history_length_only")):
        mmctr_kit.cross_validate(
            recipe, tiny_root / "data", name=name, set=SHORT, jobs=1, runs=folder
        )
    mmctr_kit.blend(["first", "second"], "both", method="mean", runs=folder)
    return folder


def test_a_path_may_be_a_str_and_data_may_be_loaded(tiny_root: Path, runs: Path) -> None:
    data = mmctr_kit.load_data(str(tiny_root / "data"))
    recipe = mmctr_kit.load_recipe("din_demo")
    again = mmctr_kit.cross_validate(
        recipe, data, name="first", set=[f"{k}={v}" for k, v in SHORT.items()], runs=str(runs)
    )
    assert again.path == runs / "first"
    assert mmctr_kit.open_run(str(runs / "first")).name == "first"
    assert mmctr_kit.open_run(again) is again


def test_a_finished_run_is_returned_and_a_listener_hears_so(tiny_root: Path, runs: Path) -> None:
    events: list[ProgressEvent] = []
    again = mmctr_kit.cross_validate(
        "din_demo", tiny_root / "data", name="first", set=SHORT, runs=runs, progress=events.append
    )
    assert again.finished
    assert events[-1].kind == "finished"
    both = mmctr_kit.blend(
        ["first", "second"], "both", method="mean", runs=runs, progress=events.append
    )
    assert both.finished
    assert events[-1].text.endswith("nothing to do (--force makes it again)")


def test_a_callable_hears_every_epoch_and_a_share_that_grows_to_all(
    tiny_root: Path, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    short = SHORT | {"training.epochs": 2}
    mmctr_kit.cross_validate(
        "history_length_only",
        tiny_root / "data",
        set=short,
        jobs=1,
        runs=tmp_path,
        progress=events.append,
    )
    kinds = [event.kind for event in events]
    assert (kinds.count("epoch"), kinds.count("fold")) == (4, 2)
    shares = [event.done for event in events if event.kind in ("epoch", "fold")]
    assert shares == sorted(shares)
    assert shares[-1] == events[-1].total == 2


def test_progress_true_prints_lines_if_there_is_no_terminal_and_none_prints_nothing(
    tiny_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, progress in (("silent", None), ("shown", True)):
        mmctr_kit.cross_validate(
            "history_length_only",
            tiny_root / "data",
            name=name,
            set=SHORT,
            jobs=1,
            runs=tmp_path,
            progress=progress,
        )
        lines = capsys.readouterr().out.splitlines()
        assert sum("done in" in line for line in lines) == (2 if progress else 0)


def test_a_warning_is_pythons_own_unless_a_callable_hears_it() -> None:
    from mmctr_kit.api.progress import listening

    warning = ProgressEvent("warning", "histories are empty")
    heard: list[ProgressEvent] = []
    with listening(heard.append) as listen:
        listen(warning)
    assert heard == [warning]
    with listening(None) as listen, pytest.warns(UserWarning, match="histories are empty"):
        listen(warning)


def test_a_runs_tables_are_pandas_with_the_row_key(runs: Path) -> None:
    run = mmctr_kit.open_run("first", runs)
    key = ["user_id", "item_id", "occurrence"]
    assert run.oof().columns.tolist() == [*key, "label", "fold", "logit"]
    assert run.valid().columns.tolist() == [*key, "label", "logit", "logit_0", "logit_1"]
    assert run.test().ID.tolist() == list(range(400))
    assert run.valid_auc is not None
    assert run.oof_auc is not None
    assert run.metrics["valid"]["value"] == run.valid_auc.value


def test_the_leaderboard_sorts_by_any_column(runs: Path, tiny_root: Path) -> None:
    board = mmctr_kit.leaderboard(runs, truth=tiny_root / "truth")
    assert set(board.run) == {"first", "second", "both", "oracle"}
    by_oof = board[board.kind == "cv"].sort_values("oof_auc", ascending=False)
    assert by_oof.oof_auc.is_monotonic_decreasing
    assert board.valid_auc_se.notna().all()
    assert mmctr_kit.leaderboard(runs / "none").empty


def test_a_notebook_shows_results_as_html(runs: Path, tiny_root: Path) -> None:
    both = mmctr_kit.open_run("both", runs)
    assert isinstance(both, mmctr_kit.BlendResult)
    shown = both._repr_html_()
    assert "valid AUC" in shown
    assert "<table" in shown
    assert "first" in both.members().to_string()
    checked = mmctr_kit.check_data(str(tiny_root / "data"))
    assert "PASS" in checked._repr_html_()
    assert [finding.id for finding in checked][:1] == ["files-needed"]


def test_mistakes_are_the_kits_own_errors(runs: Path, tiny_root: Path) -> None:
    data = tiny_root / "data"
    with pytest.raises(mmctr_kit.UsageError, match=r"unknown key training\.epoch "):
        mmctr_kit.load_recipe("din_demo", set={"training.epoch": 3})
    with pytest.raises(mmctr_kit.UsageError, match="no data folder at 'nowhere'"):
        mmctr_kit.cross_validate("din_demo", "nowhere")
    with pytest.raises(mmctr_kit.RunError, match="'first' exists but differs in recipe"):
        mmctr_kit.cross_validate("din_demo", data, name="first", runs=runs)
    with pytest.raises(mmctr_kit.UsageError, match=r"no run 'frist' .did you mean first"):
        mmctr_kit.open_run("frist", runs)
    with pytest.raises(mmctr_kit.UsageError, match="no task 'Task3'"):
        mmctr_kit.write_submission("first", "Task3", runs=runs)
    with pytest.raises(mmctr_kit.MmctrKitError, match="no variant 'see-off'"):
        mmctr_kit.ablate("din_demo", data, only=["see-off"], runs=runs)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        mmctr_kit.trian  # type: ignore[attr-defined]  # noqa: B018


def test_a_recipe_with_settings_is_the_recipe_of_the_command_line() -> None:
    loaded = mmctr_kit.load_recipe("din_demo")
    changed = {"training.epochs": 3, "model.mlp_hidden": [32], "items.embedding": "v3"}
    by_name = mmctr_kit.load_recipe("din_demo", set=changed)
    assert mmctr_kit.load_recipe(loaded, set=changed) == by_name
    assert by_name.training.epochs == 3


def test_tune_stays_a_function_whatever_is_imported() -> None:
    import mmctr_kit.tuning.study

    assert callable(mmctr_kit.tune)
    assert set(mmctr_kit.__all__) <= set(dir(mmctr_kit))
