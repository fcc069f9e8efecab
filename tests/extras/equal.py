"""What makes two runs equal, wherever they were trained."""

from mmctr_kit.runs.run import Run


def contents(run: Run) -> dict[str, bytes]:
    """All files of a run but its timings."""
    files = (path for path in run.path.rglob("*") if path.is_file())
    return {
        str(path.relative_to(run.path)): path.read_bytes()
        for path in files
        if path.name != "timings.json"
    }
