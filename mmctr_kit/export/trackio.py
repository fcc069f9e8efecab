"""Runs in Trackio's local database, for ``trackio show``."""

import os
import sys
from pathlib import Path
from typing import Any

from mmctr_kit.errors import UsageError
from mmctr_kit.export.record import Record


class TrackioTracker:
    """A project of Trackio on this machine, in TRACKIO_DIR or Trackio's own folder."""

    def __init__(self, where: str | None, project: str) -> None:
        if where is not None and "trackio" not in sys.modules:
            os.environ["TRACKIO_DIR"] = str(Path(where).resolve())
        from trackio.sqlite_storage import SQLiteStorage
        from trackio.utils import TRACKIO_DIR

        self.place, self.project = str(TRACKIO_DIR), project
        if where is not None and Path(where).resolve() != Path(TRACKIO_DIR).resolve():
            raise UsageError(
                f"trackio is imported already and writes to {TRACKIO_DIR}, not to {where}; export "
                "from a new process"
            )
        try:
            SQLiteStorage.validate_project_name(project)
        except ValueError as e:
            raise UsageError(f"--project {project!r}: {e}") from e
        self.storage: Any = SQLiteStorage

    def digest(self, record: Record) -> str | None:
        runs = self._runs(record)
        return None if not runs else str(runs[0].config["mmctr_kit.digest"])

    def remove(self, record: Record) -> None:
        for run in self._runs(record):
            run.delete()

    def write(self, record: Record) -> None:
        from trackio import Artifact
        from trackio.run import Run

        # Without a URL it is local, whatever TRACKIO_SPACE_ID says.
        run = Run(None, self.project, None, record.name, group=record.tags.get("study"))
        if record.files:
            files = Artifact(f"{record.name}-{record.short}", "mmctr-kit")
            for name, path in record.files.items():
                files.add_file(path, name)
            run.log_artifact(files)
        steps = record.steps()
        last = max(steps, default=0)
        steps[last] = {**steps.get(last, {}), **record.metrics}
        tags = {f"mmctr_kit.{name}": text for name, text in record.tags.items()}
        self.storage.bulk_log(
            self.project,
            record.name,
            list(steps.values()),
            list(steps),
            config={**run.config, **record.params, **tags, **record.identity},
            run_id=run.id,
        )
        run.finish()

    def _runs(self, record: Record) -> list[Any]:
        from trackio import Api

        if not self.storage.get_project_db_path(self.project).exists():
            return []
        runs = [run for run in Api().runs(self.project) if run.config is not None]
        return [run for run in runs if run.config.get("mmctr_kit.key") == record.key]
