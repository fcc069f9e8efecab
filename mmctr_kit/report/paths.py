"""Paths of a report: where its page may be written, and how its commands name a run."""

from pathlib import Path

from mmctr_kit.files import require_free
from mmctr_kit.runs.run import Run

SUFFIXES = (".html", ".htm")

MARK = "<!-- mmctr-kit report -->"
"""The page's second line; only a file that has it is written over."""


def require_page(out: Path) -> None:
    """Raise UsageError if the page may not be written to ``out``: only a report is replaced."""
    replace = out.is_file() and _is_report(out)
    require_free(out, "a report", SUFFIXES, replace, " and is no report; name another --out")


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(200)


def argument(run: Run, root: Path) -> str:
    """The run as commands with ``--runs root`` take it: its name, or its path if it lies deeper (as
    a study's finalists do) or elsewhere."""
    inside = _inside(run, root)
    if inside is None:
        return str(run.path)
    return run.name if inside == Path(run.name) else str(root / inside)


def recipe_file(run: Run, root: Path) -> str:
    """The path of the run's resolved recipe, which ``cv`` takes."""
    inside = _inside(run, root)
    return str((run.path if inside is None else root / inside) / "recipe.yaml")


def label(run: Run, root: Path) -> str:
    """The name for files and runs made from the run: s-trial-0 for trial-0 of the study s."""
    inside = _inside(run, root)
    parts = (run.name,) if inside is None else inside.parts
    names = (part.removesuffix(".study").removesuffix(".ablate") for part in parts)
    return "-".join(name for name in names if name != "finalists")


def _inside(run: Run, root: Path) -> Path | None:
    """The run's path under ``root``; None if it lies elsewhere."""
    path, top = run.path.resolve(), root.resolve()
    return path.relative_to(top) if path.is_relative_to(top) else None
