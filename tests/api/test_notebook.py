"""recipes/quickstart.ipynb runs from its first cell to its last, and ships without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mmctr_kit.recipe import shipped_recipes

NOTEBOOK = Path(__file__).parents[2] / "recipes" / "quickstart.ipynb"


@pytest.mark.slow
def test_the_notebook_runs_on_tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # else it warns that it will be the default
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    before = 'preset, settings = "demo", {}'
    quick = 'preset, settings = "tiny", {"training.epochs": 1, "folds.count": 2}'
    for cell in notebook.cells:
        cell.source = cell.source.replace(before, quick)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [str(output) for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("text/html" in each and "oracle" in each for each in shown)
    assert (tmp_path / "submissions" / "mix-both.zip").is_file()


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_the_notebook_is_no_recipe() -> None:
    assert NOTEBOOK not in list(shipped_recipes())
