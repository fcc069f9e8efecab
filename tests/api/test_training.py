"""Cross-validation from Python: paths are str or Path, data may be loaded, progress is heard."""

from pathlib import Path

import mmctr_kit
from mmctr_kit import ProgressEvent
from tests.api.conftest import SHORT


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
    assert shares[-1] == max(event.total or 0 for event in events) == 2
