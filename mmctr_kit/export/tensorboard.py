"""Runs as a folder of TensorBoard's event files, for ``tensorboard --logdir``."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mmctr_kit.export.folders import digest_in, mark, remove, require_folder
from mmctr_kit.export.record import Curve, Record

DEFAULT = "tensorboard"

Add = Callable[[Any, int], None]
"""Adds a summary at a step."""


class TensorboardTracker:
    """A folder of logs: a folder for each run, and in it one for each fold model's curves.

    The curves of a run's fold models have the same names, so TensorBoard draws them in one chart.
    Standard errors are scalars beside their metrics; params are what the HParams tab compares.
    """

    def __init__(self, where: str | None) -> None:
        self.folder = require_folder(Path(where or DEFAULT))
        self.place = str(self.folder)

    def digest(self, record: Record) -> str | None:
        return digest_in(self._folders(record))

    def remove(self, record: Record) -> None:
        remove(self._folders(record))

    def write(self, record: Record) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb
        from tensorboard.plugins.text.summary_v2 import text_pb

        folder = self.folder / f"{record.name}-{record.short}"
        tags = json.dumps(record.full_tags(), indent=1)
        with _events(folder, record) as add:
            add(hparams_pb(dict(record.params), record.short, record.began), 0)
            add(text_pb("mmctr_kit", _as_code(tags)), 0)
            for name, value in record.metrics.items():
                add(scalar_pb(name, value), 0)
            for name, path in record.files.items():
                if path.suffix == ".yaml":
                    add(text_pb(name, _as_code(path.read_text("utf-8"))), 0)
            _add_curves(add, record.curves.get("", {}))
        for model, curves in record.curves.items():
            if model:
                with _events(folder / "folds" / model, record) as add:
                    _add_curves(add, curves)
        for name, path in record.files.items():
            copy = folder / "files" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        mark(folder, record)

    def _folders(self, record: Record) -> list[Path]:
        return sorted(self.folder.glob(f"*-{record.short}"))


@contextmanager
def _events(folder: Path, record: Record) -> Iterator[Add]:
    """A function that adds a summary at a step to a new event file in ``folder``."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    with closing(EventFileWriter(str(folder))) as writer:

        def add(summary: Any, step: int) -> None:
            writer.add_event(Event(summary=summary, step=step, wall_time=record.ended))

        yield add


def _add_curves(add: Add, curves: Mapping[str, Curve]) -> None:
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    for name, points in curves.items():
        for step, value in points:
            add(scalar_pb(name, value), step)


def _as_code(text: str) -> str:
    """A text as TensorBoard's Markdown leaves it alone."""
    return f"```\n{text}\n```"
