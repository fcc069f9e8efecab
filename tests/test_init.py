"""The public names: each function is documented, and its example runs."""

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmctr_kit

IN_ORDER = (
    "generate_data",
    "load_data",
    "check_data",
    "profile_data",
    "item_quality",
    "load_recipe",
    "recipe_keys",
    "cross_validate",
    "fit",
    "align_items",
    "factor_items",
    "quantise_items",
    "open_run",
    "blend",
    "predict",
    "leaderboard",
    "write_submission",
    "check_rules",
    "check_submission",
    "score",
    "bundle",
    "reproduce",
    "import_predictions",
    "show_run",
    "compare_runs",
    "write_report",
    "write_reports",
    "verify_runs",
    "remove_runs",
    "ablate",
    "tune",
    "register_model",
    "guess_spec",
    "import_data",
    "import_movielens",
)
"""The functions, each after those whose example leaves what its own needs."""
WITH_EXTRAS = ("encode_items", "export_model", "export_runs")
"""Those whose example needs an extra: tests/extras runs it."""
LONG = ("train_family",)
"""Those whose example trains for minutes: tests/api/test_family.py calls it on small recipes."""
FUNCTIONS = [n for n in mmctr_kit.__all__ if inspect.isfunction(getattr(mmctr_kit, n))]


@pytest.fixture(autouse=True, scope="module")
def one_core() -> Iterator[None]:
    """Small models on several threads mostly wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmctr_kit.cv.executors.local.available_cores", lambda: 1)
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
    assert set(FUNCTIONS) == {*IN_ORDER, *WITH_EXTRAS, *LONG}


@pytest.mark.parametrize("name", [*IN_ORDER, *WITH_EXTRAS, *LONG])
def test_a_function_is_documented(name: str) -> None:
    function = getattr(mmctr_kit, name)
    text = inspect.getdoc(function) or ""
    sections = ["Parameters", "Returns", "Raises", "Examples"]
    if inspect.signature(function).return_annotation in (None, "None"):
        sections.remove("Returns")
    for section in sections:
        assert f"\n{section}\n{'-' * len(section)}\n" in text
    for parameter in inspect.signature(function).parameters:
        assert parameter in text.partition("Raises\n")[0]
    assert examples_of(name)


@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
def test_the_examples_of_all_functions_run_one_after_another() -> None:
    """In one test, since parallel workers would share them out, and each needs the ones before."""
    for name in IN_ORDER:
        said: list[str] = []
        example = doctest.DocTest(examples_of(name), {"mmctr_kit": mmctr_kit}, name, None, None, "")
        assert doctest.DocTestRunner().run(example, out=said.append).failed == 0, "".join(said)


def examples_of(name: str) -> list[doctest.Example]:
    text = inspect.getdoc(getattr(mmctr_kit, name)) or ""
    return doctest.DocTestParser().get_examples(text, name)


def test_tune_stays_a_function_whatever_is_imported() -> None:
    import mmctr_kit.tuning.study

    assert callable(mmctr_kit.tune)
    assert set(mmctr_kit.__all__) <= set(dir(mmctr_kit))
