"""Where a report may be written: in place of a report, and of nothing else."""

from pathlib import Path

from mmctr_kit.errors import UsageError

SUFFIXES = (".html", ".htm")

MARK = "<!-- mmctr-kit report -->"
"""The page's second line: what has it may be written over."""


def require_free(out: Path) -> None:
    """Raises UsageError where ``out`` is anything but a report, or nothing, or no page's name."""
    if out.is_dir():
        raise UsageError(f"'{out}' is a folder; --out names the page, like {out / 'report.html'}")
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a report is a page of HTML; found the name '{out}'; end it in .html")
    if not out.exists():
        return
    with out.open("rb") as file:
        if MARK.encode() not in file.read(200):
            raise UsageError(f"'{out}' exists and is no report; name another --out")
