"""Everything under a folder of runs, from Python: listed, shown, compared and removed."""

import json
import shutil
from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit.api.overview import find, overview
from mmctr_kit.api.removal import needed
from mmctr_kit.files import locked, write_json
from mmctr_kit.submission.ledger import read_ledger


@pytest.fixture
def copy(runs: Path, tmp_path: Path) -> Path:
    """A copy of the folder of runs, to change."""
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def test_a_run_shows_where_it_comes_from(runs: Path, tiny_root: Path) -> None:
    details = mmctr_kit.show_run("first", runs)
    assert (details.kind, details.state, details.alive, details.again) == (
        "cv",
        "finished",
        False,
        None,
    )
    assert details.lineage is not None
    assert details.lineage.data == str(tiny_root / "data")
    call = f"mmctr_kit.cross_validate('din_demo', '{tiny_root / 'data'}', name='first'"
    assert str(details.lineage.command).startswith(call)
    run = mmctr_kit.open_run("first", runs)
    assert details.scores["valid"] == run.valid_auc
    assert details.scores["oof"] == run.oof_auc
    assert [state.name for state in details.folds] == ["0-0", "1-0"]
    assert all(state.finished and state.seconds for state in details.folds)
    assert json.dumps(details.to_json(), allow_nan=True)
    assert details.table().columns.tolist() == ["score", "value", "value_se"]
    assert "first (cv, finished)" in details._repr_html_()


def test_a_blend_shows_its_sources(runs: Path) -> None:
    details = mmctr_kit.show_run("both", runs)
    assert dict(details.sources) == {name: runs / name for name in ("first", "second")}
    assert details.folds == ()
    assert str(details.lineage and details.lineage.command).startswith("mmctr_kit.blend(")


def test_an_unfinished_run_shows_the_call_that_goes_on_with_it(copy: Path) -> None:
    (copy / "first" / "DONE").unlink()
    for name in ("DONE", "logits.safetensors"):
        (copy / "first" / "folds" / "1-0" / name).unlink()
    details = mmctr_kit.show_run("first", copy)
    assert details.state == "unfinished"
    assert details.progress.startswith("fold 2/2, epoch 1")
    assert details.again is not None
    assert details.again.startswith("mmctr_kit.cross_validate(")
    with locked(copy / "first"):
        assert mmctr_kit.show_run("first", copy).alive
    with pytest.raises(mmctr_kit.RunError, match=r"to go on with it: mmctr_kit.cross_validate\("):
        mmctr_kit.open_run("first", copy)


def test_a_name_is_found_without_its_suffix_and_a_wrong_one_hinted_at(copy: Path) -> None:
    (copy / "s.study").mkdir()
    write_json(copy / "s.study" / "settings.json", {})
    assert find("s", copy) == copy / "s.study"
    assert find(str(copy / "first"), Path(copy.parent)) == copy / "first"
    with pytest.raises(mmctr_kit.UsageError, match=r"no run, study or ablation 'frist' \(did you"):
        find("frist", copy)
    with pytest.raises(mmctr_kit.UsageError, match=r"there is no folder '.*nowhere' \(--runs\)"):
        find("first", copy / "nowhere")


def test_two_runs_are_compared_paired(runs: Path) -> None:
    change = mmctr_kit.compare_runs("first", "second", runs=runs)
    assert change.recipe is not None
    assert change.recipe["model.name"] == ("din", "history_length_only")
    a, b = change.scores["valid"]
    gap = change.gaps["valid"]
    assert a is not None
    assert b is not None
    assert gap.value == pytest.approx(b.value - a.value)
    # The second ranks no row of a user above another: its AUC is 0.5 whoever is drawn.
    assert (b.value, b.se) == (0.5, 0.0)
    assert 0 < gap.se == pytest.approx(a.se)
    assert mmctr_kit.compare_runs("first", "both", runs=runs).recipe is None
    assert json.dumps(change.to_json())


def test_a_needed_run_is_not_removed_unless_it_must_be(copy: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    mmctr_kit.write_submission(
        "second",
        "both",
        out=tmp_path / "s.zip",
        ledger=ledger,
        runs=copy,
        progress=lambda _: None,
    )
    assert [entry.run for entry in read_ledger(ledger).submitted] == ["second"]
    for names in (["first"], ["both", "second"]):
        with pytest.raises(mmctr_kit.RunError) as refused:
            mmctr_kit.remove_runs(names, ledger=ledger, runs=copy)
        said = str(refused.value)
        assert said.endswith("; force=True deletes it all the same")
        assert ("first is part of the blend both" in said) == (names == ["first"])
        assert ("1 submission was written from second" in said) == ("second" in names)
    assert len(list(copy.glob("*/DONE"))) == 3
    assert needed([copy / "both", copy / "first"], copy, ledger) == []
    mmctr_kit.remove_runs(["second"], force=True, ledger=ledger, runs=copy)
    assert not (copy / "second").exists()


def test_if_one_of_several_is_at_work_none_is_removed(copy: Path, tmp_path: Path) -> None:
    with locked(copy / "both"), pytest.raises(mmctr_kit.RunError, match="'both' is in use"):
        mmctr_kit.remove_runs(["first", "both"], ledger=tmp_path / "none", runs=copy)
    assert len(list(copy.glob("*/DONE"))) == 3


def test_a_folder_that_may_not_be_entered_is_told_of_and_the_others_are_listed(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = copy / "second"

    def access(path: Path, _: int) -> bool:
        return Path(path) != shut

    monkeypatch.setattr("os.access", access)
    with pytest.warns(UserWarning, match=r"1 folder in '.*' may not be entered.*: second"):
        mmctr_kit.verify_runs(runs=copy)
    shut = copy
    with pytest.raises(mmctr_kit.UsageError, match=r"may not be entered; mend its permissions"):
        mmctr_kit.verify_runs(runs=copy)


def test_the_list_has_ablations_and_studies_after_the_runs(copy: Path) -> None:
    shutil.copytree(copy / "first", copy / "a.ablate" / "base")
    (copy / "s.study").mkdir()
    write_json(copy / "s.study" / "settings.json", {"storage": "postgresql://host/t"})
    rows = overview(copy)
    assert {row.name for row in rows[:3]} == {"first", "second", "both"}
    assert [(row.name, row.kind, row.state) for row in rows[3:]] == [
        ("a.ablate", "ablation", "unfinished"),
        ("s.study", "study", "unfinished"),
    ]
    assert rows[3].valid == mmctr_kit.open_run("first", copy).valid_auc
    assert rows[4].progress == "trials in a database"
    board = mmctr_kit.leaderboard(copy)
    assert board.run.tolist() == [row.name for row in rows]
    assert mmctr_kit.show_run("s", copy).storage == "postgresql://host/t"
