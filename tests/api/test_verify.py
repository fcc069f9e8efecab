"""mmctr_kit.api.verify: every file of runs, studies and ablations is compared with its seal."""

import shutil
from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.runs.lineage import begin_lineage, note_begun, note_finished
from mmctr_kit.runs.run import Run
from mmctr_kit.tuning.journal_sum import sum_file, sum_up
from tests.report.made import make_run
from tests.runs.unsealed import unsealed


@pytest.fixture(scope="module")
def root(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, an ablation and a study of a finalist each. Read only."""
    root = tmp_path_factory.mktemp("verify")
    make_run(root, "a", tiny, 1.0, 0)
    for folder, inside, mark in (
        ("a.ablate", "base", "ablation.json"),
        ("s.study", "finalists/trial-0", "settings.json"),
    ):
        shutil.copytree(root / "a", root / folder / inside)
        (root / folder / mark).write_text("{}")
        note_begun(root / folder, begin_lineage(None, None))
        note_finished(root / folder, (mark,), [root / folder / inside])
    (root / "s.study" / "study.journal").write_text('{"op": 1}\n')
    sum_up(root / "s.study" / "study.journal")
    return root


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root, tmp_path / "runs"))


def test_what_is_as_it_was_says_how_many_files_were_compared(root: Path) -> None:
    result = mmctr_kit.verify_runs(runs=root)
    assert result.ok
    assert [(x.name, x.kind, x.state) for x in result] == [
        ("a", "run", "as written"),
        ("a.ablate", "ablation", "as written"),
        ("s.study", "study", "as written"),
    ]
    files = len([p for p in (root / "a").rglob("*") if p.is_file()]) - 1
    assert [x.compared for x in result] == [files, files + 3, files + 4]
    assert list(result.table().columns) == ["name", "kind", "state", "compared", "faults"]
    # Nothing is deleted here, so a study's ending may be left out.
    assert [x.name for x in mmctr_kit.verify_runs(["s"], runs=root)] == ["s.study"]


@pytest.mark.parametrize(
    "file",
    [
        "a/recipe.yaml",
        "a/timings.json",
        "a/DONE",
        "a.ablate/ablation.json",
        "a.ablate/timings.json",
        "a.ablate/base/test.parquet",
        "a.ablate/base/DONE",
        "s.study/settings.json",
        "s.study/study.journal",
        "s.study/finalists/trial-0/metrics.json",
    ],
)
def test_each_file_that_differs_is_named(copy: Path, file: str) -> None:
    whole, _, inside = file.partition("/")
    path = copy / file
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    result = mmctr_kit.verify_runs(runs=copy)
    bad = {x.name: x.faults for x in result if not x.ok}
    assert bad == {whole: (f"{inside} was changed",)}
    assert not result.ok
    assert not mmctr_kit.verify_runs([whole], runs=copy).ok


def test_another_run_in_the_place_of_a_studys_or_an_ablations_is_named(
    copy: Path, tiny: ChallengeData
) -> None:
    make_run(copy, "other", tiny, 0.5, 1)
    for inside in ("a.ablate/base", "s.study/finalists/trial-0"):
        shutil.rmtree(copy / inside)
        shutil.copytree(copy / "other", copy / inside)
    bad = {x.name: x.faults for x in mmctr_kit.verify_runs(runs=copy) if not x.ok}
    assert bad == {
        "a.ablate": ("base/DONE was changed",),
        "s.study": ("finalists/trial-0/DONE was changed",),
    }


def test_a_lost_file_is_named_and_a_seal_that_never_was_is_no_fault(copy: Path) -> None:
    (copy / "a" / "valid.parquet").unlink()
    (first,) = mmctr_kit.verify_runs(["a"], runs=copy)
    assert str(first) == "a: valid.parquet is missing"
    sum_file(copy / "s.study" / "study.journal").unlink()
    (study,) = mmctr_kit.verify_runs(["s.study"], runs=copy)
    assert study.faults == ("study.journal.sum is missing",)
    unsealed(copy)
    result = mmctr_kit.verify_runs(runs=copy)
    assert result.ok
    assert {x.state for x in result} == {"not sealed"}
    assert str(next(iter(result))) == "a: has no seal: finished by an earlier mmctr-kit"
    (copy / "a" / "DONE").unlink()
    (first,) = mmctr_kit.verify_runs([Run(copy / "a")], runs=copy)
    assert first.state == "unfinished"
