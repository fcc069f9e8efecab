"""mmctr_kit.ensemble.refit: finished blends as functions of their runs' logits."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.ensemble.blend import blend, fit_again
from mmctr_kit.ensemble.methods.catalogue import METHODS, WITH_CONTEXT, Method
from mmctr_kit.ensemble.refit import open_sources, refit
from mmctr_kit.ensemble.runs import blend_runs
from mmctr_kit.errors import RunError
from mmctr_kit.files import write_table
from mmctr_kit.runs.predictions import logit_columns
from mmctr_kit.runs.run import Run
from tests.ensemble.conftest import make_informative
from tests.ensemble.test_runs import Write, made_up, write
from tests.runs.unsealed import unsealed

__all__ = ["write"]  # a fixture

PLAIN = [method for method in METHODS if method not in WITH_CONTEXT]


@pytest.mark.parametrize("method", PLAIN)
def test_a_method_fitted_again_blends_as_it_did(method: Method) -> None:
    stack, _ = make_informative(3, users=400, valid=200)
    made = blend(stack, method, 5)
    assert np.array_equal(fit_again(stack, method, 5, False)(stack.test, None), made.test)


def blended(write: Write, tmp_path: Path, with_oof: bool) -> Run:
    runs = [write("a", made_up(1)), write("b", made_up(2, oof=with_oof))]
    made = blend_runs(runs, "mean", tmp_path / "mix", False)
    assert made is not None
    return made[0]


@pytest.mark.parametrize("with_oof", [True, False])
def test_a_blend_of_run_folders_is_the_function_that_made_it(
    write: Write, tmp_path: Path, tiny: ChallengeData, with_oof: bool
) -> None:
    run = blended(write, tmp_path, with_oof)
    sources = open_sources(run)
    logits = [source.predictions().test for source in sources]
    again = refit(run, sources, tiny)
    assert np.array_equal(again(logits, tiny), run.predictions().test)
    some = [each[:, ::3] for each in logits]
    assert np.allclose(again(some, tiny), run.predictions().test[:, ::3], rtol=0, atol=1e-12)


def test_a_run_that_is_another_by_now_is_noticed(
    write: Write, tmp_path: Path, tiny: ChallengeData
) -> None:
    run = blended(write, tmp_path, True)
    test = Run(tmp_path / "b").predictions()
    keys = {"ID": np.arange(len(test.test_keys))} | vars(test.test_keys)
    unsealed(tmp_path / "b")
    write_table(tmp_path / "b" / "test.parquet", keys | logit_columns(test.test + 0.01))
    with pytest.raises(RunError, match="'mix' is not what its runs give now"):
        refit(run, open_sources(run), tiny)


def test_a_run_that_is_gone_is_named(write: Write, tmp_path: Path) -> None:
    run = blended(write, tmp_path, True)
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(RunError, match="blend 'mix' needs its run 'a'"):
        open_sources(run)
