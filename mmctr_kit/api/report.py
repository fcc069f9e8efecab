"""Write the report pages of runs, studies and ablations from Python."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.activity import doing
from mmctr_kit.api.preflight import AnyPath

if TYPE_CHECKING:
    from mmctr_kit.report.index import Pages
    from mmctr_kit.runs.run import Run


def write_report(
    run: "AnyPath | Run",
    out: AnyPath | None = None,
    *,
    submissions: AnyPath = "submissions",
    runs: AnyPath = "runs",
) -> Path:
    """Write a page about a run: its scores, what explains them, and what to do next.

    It is one HTML file, which needs no network. The page of a study or an ablation begins with it.

    Parameters
    ----------
    run : str, Path or Run
        A finished run, blend, study or ablation: its name under ``runs``, or its folder.
    out : str or Path, optional
        The ``.html`` file; by default ``runs/NAME.html``. Only a report is replaced.
    submissions : str or Path
        Folder of the submissions and their ledger, which the page names.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    Path
        The page's file.

    Raises
    ------
    UsageError
        If there is no such run, or ``out`` is another file than a report.
    RunError
        If the run is unfinished or damaged.

    Examples
    --------
    >>> print(mmctr_kit.write_report("both", "both.html"))
    both.html
    """
    from mmctr_kit.report.context import open_context, require_page, resolve_name
    from mmctr_kit.runs.run import Run

    name = resolve_name(str(run.path if isinstance(run, Run) else run), Path(runs))
    page = Path(runs) / f"{Path(name).name}.html" if out is None else Path(out)
    require_page(page)
    doing(f"reading {name}")
    context = open_context(name, Path(runs), Path(submissions))
    doing(f"drawing {name}")
    from mmctr_kit.report.page import write_report as write

    write(context, page)
    return page


def write_reports(
    out: AnyPath | None = None, *, submissions: AnyPath = "submissions", runs: AnyPath = "runs"
) -> "Pages":
    """Write a page for every finished run, study and ablation of a folder, and an index of them.

    Parameters
    ----------
    out : str or Path, optional
        The folder of the pages; by default ``runs``. Only reports are replaced.
    submissions : str or Path
        Folder of the submissions and their ledger, which the pages name.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    Pages
        ``folder``, ``index`` (the file that links to the pages), ``written``, and ``left_out``:
        why a run has no page, by its name.

    Raises
    ------
    UsageError
        If there is no run, or a file that is no report is in the way.

    Examples
    --------
    >>> pages = mmctr_kit.write_reports("pages")
    >>> print(pages.index, "both" in [page.name for page in pages.written])
    pages/index.html True
    """
    from mmctr_kit.report.index import write_all

    return write_all(Path(runs), Path(submissions), Path(runs if out is None else out))
