"""Runs as an earlier version finished them, whose files a test may change."""

from pathlib import Path


def unsealed(folder: Path) -> Path:
    """Remove the seals of the runs, studies and ablations in a folder; returns it."""
    for seal in folder.rglob("DONE"):
        if seal.parent.parent.name == "folds":
            seal.unlink()
        else:
            seal.write_text("done\n")
    return folder
