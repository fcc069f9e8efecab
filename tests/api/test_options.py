"""Options of training: which executor they make."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit.api.options import Options
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.executors.settings import AnyExecutor, Slurm
from mmctr_kit.errors import UsageError


def options(executor: AnyExecutor = "local", device: str = "cpu") -> Options:
    return Options(None, (), device, 2, False, "runs", executor=executor, threads=3)


def test_the_executor_is_made_once_and_has_what_was_asked_for() -> None:
    local = options()
    assert local.made_executor == LocalExecutor("cpu", 2, 3)
    assert local.made_executor is local.made_executor
    slurm = options("slurm").made_executor
    assert (slurm.name, vars(slurm)["jobs"], vars(slurm)["settings"]) == ("slurm", 2, Slurm())


def test_more_threads_than_any_machine_has_are_wrong_usage() -> None:
    with pytest.raises(UsageError, match="threads: expected at most 4,096, found 1,000,000,000"):
        replace(options(), threads=10**9)


def test_a_wrong_executor_is_one_line_before_the_data_is_loaded() -> None:
    options().require()
    with pytest.raises(UsageError, match="executor 'cloud': expected one of local, ray, slurm"):
        options("cloud").require()
    with pytest.raises(UsageError, match="a GPU is called cuda"):
        options("slurm", "cuda:1").require()
    with pytest.raises(UsageError, match=r"slurm.gpus is 0"):
        options(Slurm(gpus=0), "cuda").require()


def test_a_gpu_that_this_machine_lacks_is_no_matter_where_others_train(tiny_root: Path) -> None:
    path = options("slurm", "cuda").path("run", tiny_root / "data")
    assert path == Path("runs") / "run"


def test_the_name_of_a_run_says_what_it_is_and_where_its_recipe_is(tmp_path: Path) -> None:
    files = ("net/recipe.yaml", "net/manifest.json", "mix/manifest.json", "mix/blend.json")
    files += ("s.study/best.yaml", "a.ablate/base/recipe.yaml", "their/manifest.json")
    for file in (*files, "new.study/study.json", "gbdt_demo/recipe.yaml"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    given = Options(None, (), "cpu", None, False, tmp_path)
    here = f"in {tmp_path},"
    for name, text in {
        "net": f"'net' is a run {here} not a recipe; its recipe is {tmp_path}/net/recipe.yaml",
        "s": f"'s' is a study {here} not a recipe; its recipe is {tmp_path}/s.study/best.yaml",
        "s.study": f"'s.study' is a study {here} not a recipe",
        "a": f"'a' is an ablation {here} not a recipe; its recipe is {tmp_path}/a.ablate/base",
        "new": f"'new' is a study {here} which has no recipe; name a shipped recipe",
        "their": f"'their' is a run {here} which has no recipe; name a shipped recipe",
        "mix": f"'mix' is a blend {here} which has no recipe; name the recipe.yaml in the folder",
        "nothing": "no recipe 'nothing'; shipped:",
        str(tmp_path / "net"): f"net' is a run {here} not a recipe",
    }.items():
        with pytest.raises(UsageError, match=re.escape(text)):
            given.load(name)
    assert given.load("gbdt_demo").name == "gbdt_demo"
    with pytest.raises(UsageError, match="epoch"):
        Options(None, ("epochz=1",), "cpu", None, False, tmp_path).load("gbdt_demo")
