"""A run beside others: stored numbers, paired gaps, and none where the rows are others."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.metrics.auc import auc_difference
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.compare import compare, differ
from mmctr_kit.runs.run import Run
from tests.report.made import make_run


def test_gaps_are_the_other_run_less_the_subject_paired(made_runs: Path) -> None:
    alpha, beta = Run(made_runs / "alpha"), Run(made_runs / "beta")
    own, theirs = alpha.predictions(), beta.predictions()
    first, second = compare(alpha, own, [beta])
    assert (first.name, first.valid_gap, first.oof_gap) == ("alpha", None, None)
    user = own.valid_keys.user_id
    expected = auc_difference(own.valid_label, theirs.valid_mean(), own.valid_mean(), user)
    assert second.valid_gap == expected
    a, b = own.oof, theirs.oof
    assert a is not None
    assert b is not None
    gap = auc_difference(a.label, b.logit, a.logit, a.keys.user_id, a.fold)
    assert second.oof_gap == gap
    assert second.valid == Estimate.from_json(beta.metrics["valid"])


def test_other_rows_or_folds_have_no_gap(made_runs: Path) -> None:
    alpha, beta = Run(made_runs / "alpha"), Run(made_runs / "beta")
    own = alpha.predictions()
    assert own.oof is not None
    moved = replace(own, oof=replace(own.oof, fold=own.oof.fold[::-1].copy()))
    keys = replace(own.valid_keys, item_id=own.valid_keys.item_id + 1)
    assert compare(alpha, moved, [beta])[1].oof_gap is None
    assert compare(alpha, moved, [beta])[1].valid_gap is not None
    assert compare(alpha, replace(own, valid_keys=keys), [beta])[1].valid_gap is None


def test_a_damaged_neighbour_is_left_out(tiny: ChallengeData, tmp_path: Path) -> None:
    good, bad = (make_run(tmp_path, n, tiny, 1.0, i) for i, n in enumerate(("good", "bad")))
    (bad.path / "valid.parquet").write_text("no parquet")
    with pytest.warns(UserWarning, match=r"not compared with bad: .*valid\.parquet was changed"):
        assert [e.name for e in compare(good, good.predictions(), [bad])] == ["good"]


def test_each_score_that_both_runs_have_is_compared_paired(made_runs: Path) -> None:
    alpha, beta = Run(made_runs / "alpha"), Run(made_runs / "beta")
    difference = differ(alpha, beta)
    paired = {"valid", "oof", "fold_models_valid", "valid_logloss", "oof_logloss", "valid_gauc"}
    assert difference.gaps.keys() == paired
    for name, gap in difference.gaps.items():
        one, other = difference.scores[name]
        assert one is not None
        assert other is not None
        assert gap.value == pytest.approx(other.value - one.value, abs=1e-12)
        assert 0 < gap.se < one.se + other.se
    assert all(gap.value == 0 for gap in differ(alpha, alpha).gaps.values())
