"""mmctr_kit.report.context: what a page is about."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import read_json, write_json
from mmctr_kit.report.context import (
    MARK,
    MOST_OTHERS,
    ReportContext,
    open_context,
    require_page,
    resolve_name,
)
from mmctr_kit.runs.run import Run
from tests.report.made import make_run, make_study


def opened(name: str, root: Path) -> ReportContext:
    return open_context(name, root, root / "submissions")


def test_a_name_stands_for_the_study_or_ablation_unless_there_are_both(tmp_path: Path) -> None:
    (tmp_path / "x.study").mkdir()
    assert resolve_name("x", tmp_path) == "x.study"
    (tmp_path / "x.ablate").mkdir()
    with pytest.raises(UsageError, match=r"x\.study or x\.ablate"):
        resolve_name("x", tmp_path)
    (tmp_path / "x").mkdir()
    assert resolve_name("x", tmp_path) == "x"


def test_a_blend_is_compared_with_its_sources_and_a_run_with_its_neighbours(
    made_runs: Path,
) -> None:
    mix = opened("mix", made_runs)
    assert mix.sources == mix.others == mix.trained
    assert [e.name for e in mix.leaderboard] == ["mix", *mix.run.manifest.sources]
    alpha = opened("alpha", made_runs)
    assert alpha.sources == ()
    assert alpha.trained == (alpha.run,)
    assert "mix" in [run.name for run in alpha.others]
    assert len(alpha.others) <= MOST_OTHERS
    assert list(alpha.ablations) == ["alpha"]


def test_a_study_is_about_its_chosen_finalist(tiny: ChallengeData, tmp_path: Path) -> None:
    make_study(tmp_path, "tuned", tiny)
    context = opened("tuned.study", tmp_path)
    assert (context.name, context.run.name) == ("tuned.study", "trial-7")
    assert context.study_path == tmp_path / "tuned.study"


def test_a_study_of_an_earlier_version_is_refused_and_left_out_of_its_runs_page(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    make_study(tmp_path, "tuned", tiny)
    make_run(tmp_path, "tuned", tiny, 1.0, 0)
    path = tmp_path / "tuned.study" / "study.json"
    content = read_json(path)
    for final in content["finalists"]:
        del final["changes"]
    write_json(path, content)
    with pytest.raises(RunError, match=r"rewrites study\.json"):
        opened("tuned.study", tmp_path)
    assert opened("tuned", tmp_path).study is None


@pytest.mark.parametrize(
    ("path", "named", "called"),
    [
        ("runs/x", "x", "x"),
        ("runs/s.study/finalists/trial-0", "runs/s.study/finalists/trial-0", "s-trial-0"),
        ("runs/x.ablate/base", "runs/x.ablate/base", "x-base"),
    ],
)
def test_a_run_under_the_root_is_named_from_there(
    path: str, named: str, called: str, made_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = replace(opened("alpha", made_runs), root=Path("runs"))
    monkeypatch.chdir(made_runs)
    run = Run(Path(path))
    assert context.argument(run) == named
    assert context.label(run) == called
    assert context.path(run) == Path(path)


def test_a_run_elsewhere_is_named_by_its_path(made_runs: Path, tmp_path: Path) -> None:
    run, context = Run(tmp_path / "other" / "x"), opened("alpha", made_runs)
    assert context.argument(run) == str(run.path)
    assert context.label(run) == "x"
    below = replace(context, root=Path("."))  # of which any relative path seems to be a part
    assert below.label(Run(Path("../other/x"))) == "x"


def test_only_a_report_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    require_page(page)
    page.write_text(f"<!doctype html>\n{MARK}\n")
    require_page(page)
    page.write_text("<!doctype html>\n")
    with pytest.raises(UsageError, match="is no report"):
        require_page(page)
    with pytest.raises(UsageError, match=r"end it in \.html"):
        require_page(tmp_path / "page.pdf")
