"""What a killed command leaves, without a command to kill."""

import tempfile
from pathlib import Path

from mmctr_kit.files import workplace


def left_behind(folder: Path) -> Path:
    """A workplace in ``folder`` of a process of this machine that is no more."""
    with workplace(folder) as alive:
        prefix = alive.name[:-8]
    return Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
