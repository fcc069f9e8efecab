"""``mmctr-kit report`` as typed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError, UsageError
from tests.cli.conftest import run
from tests.report.made import make_run, make_study


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny: ChallengeData) -> Path:
    root = tmp_path_factory.mktemp("cli-report") / "runs"
    make_run(root, "alpha", tiny, 1.0, 0)
    return root


@pytest.mark.slow
def test_the_page_lies_beside_the_runs_or_where_it_is_wanted(runs: Path, tmp_path: Path) -> None:
    done = run("report", "alpha", "--runs", str(runs))
    assert done.exit_code == 0, done.output
    made = runs / "alpha.html"
    size = f"{made.stat().st_size / 1e6:.2f} MB"
    assert done.output in (f"wrote {made}: {size}\n", f"wrote {made}\n  {size}\n")
    out = tmp_path / "page.html"
    told = run("report", "alpha", "--runs", str(runs), "--out", str(out), "--json")
    assert json.loads(told.stdout) == {"path": str(out), "bytes": out.stat().st_size}
    assert out.read_text() == made.read_text()


def test_a_page_goes_into_a_new_folder_and_under_no_name_but_a_pages(
    runs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "deep" / "x.html"
    assert run("report", "alpha", "--runs", str(runs), "--out", str(out)).exit_code == 0
    assert out.is_file()
    for name in ("x.txt", "x", "html"):
        done = run("report", "alpha", "--runs", str(runs), "--out", str(tmp_path / name))
        assert isinstance(done.exception, UsageError)
        assert "end it in .html" in str(done.exception)
        assert not (tmp_path / name).exists()


@pytest.mark.slow
def test_all_writes_a_page_for_each_run_and_an_index(runs: Path, tmp_path: Path) -> None:
    done = run("report", "--all", "--runs", str(runs), "--out", str(tmp_path / "pages"))
    assert done.exit_code == 0, done.output
    assert "index.html" in done.output
    assert done.output.rstrip().endswith("1 page")
    assert (tmp_path / "pages" / "alpha.html").is_file()
    told = run("report", "--all", "--runs", str(runs), "--out", str(tmp_path / "pages"), "--json")
    content = json.loads(told.output)
    assert content["pages"] == {"alpha": str(tmp_path / "pages" / "alpha.html")}
    assert content["left_out"] == {}


@pytest.mark.parametrize("words", [(), ("alpha", "--all")])
def test_one_name_or_all_but_not_both(runs: Path, words: tuple[str, ...]) -> None:
    done = run("report", *words, "--runs", str(runs))
    assert isinstance(done.exception, UsageError)
    assert "one name, or --all" in str(done.exception)


def test_all_of_a_folder_without_runs_is_one_line(tmp_path: Path) -> None:
    done = run("report", "--all", "--runs", str(tmp_path))
    assert isinstance(done.exception, UsageError)
    assert "no run, study or ablation" in str(done.exception)


@pytest.mark.slow
def test_a_run_is_found_by_its_folder_too(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.html"
    done = run("report", str(runs / "alpha"), "--runs", str(tmp_path), "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "<h1>alpha</h1>" in out.read_text()


def test_no_run_of_that_name_is_a_mistake_that_lists_them(runs: Path) -> None:
    done = run("report", "beta", "--runs", str(runs))
    assert isinstance(done.exception, UsageError)
    assert "runs there: alpha" in str(done.exception)


@pytest.mark.slow
def test_a_study_or_an_ablation_is_found_by_the_name_it_was_given(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    make_study(root, "tuned", tiny)
    done = run("report", "tuned", "--runs", str(root))
    assert done.exit_code == 0, done.output
    assert "<h1>tuned.study</h1>" in (root / "tuned.study.html").read_text()
    wanted = run("slices", "tuned", "--runs", str(root))
    assert "but tuned.study/finalists/trial-2, tuned.study/finalists/trial-7" in str(
        wanted.exception
    )
    (root / "tuned.ablate").mkdir()
    both = run("report", "tuned", "--runs", str(root))
    assert isinstance(both.exception, UsageError)
    assert "name tuned.study or tuned.ablate" in str(both.exception)


@pytest.mark.slow
def test_a_study_of_an_earlier_version_is_one_line(tiny: ChallengeData, tmp_path: Path) -> None:
    make_study(tmp_path, "old", tiny)
    path = tmp_path / "old.study" / "study.json"
    study = json.loads(path.read_text())
    for final in study["finalists"]:
        del final["changes"]
    path.write_text(json.dumps(study))
    done = run("report", "old", "--runs", str(tmp_path))
    assert isinstance(done.exception, RunError)
    assert "run its tune command again" in str(done.exception)
    make_run(tmp_path, "old", tiny, 1.0, 0)
    assert run("report", "old", "--runs", str(tmp_path)).exit_code == 0


@pytest.mark.slow
def test_reporting_loads_no_training_library(runs: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from mmctr_kit.cli.app import main\n"
        f"sys.argv = ['mmctr-kit', 'report', 'alpha', '--runs', {str(runs)!r}, "
        f"'--out', {str(tmp_path / 'x.html')!r}]\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
        "print([m for m in ('torch', 'lightgbm', 'optuna', 'matplotlib.pyplot')"
        " if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
