"""Runs and the leaderboard from Python are pandas tables."""

from pathlib import Path

import pytest

import mmctr_kit


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
    assert (board.valid_auc_se.notna() == (board.run != "oracle")).all()
    assert mmctr_kit.leaderboard(runs / "none").empty


def test_a_blend_of_an_unknown_method_or_seed_or_of_one_name_is_refused() -> None:
    with pytest.raises(mmctr_kit.UsageError, match=r"method: expected one of auto, .*'grady'"):
        mmctr_kit.blend(["a", "b"], "m", method="grady")  # type: ignore[arg-type]
    with pytest.raises(mmctr_kit.UsageError, match="seed: expected 0 or more, found -5"):
        mmctr_kit.blend(["a", "b"], "m", seed=-5)
    with pytest.raises(mmctr_kit.UsageError, match="sources: expected a list, found 'a'"):
        mmctr_kit.blend("a", "m")
