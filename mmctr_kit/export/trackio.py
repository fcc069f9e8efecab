"""Runs in Trackio's local database, for ``trackio show``."""

import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmctr_kit.errors import UsageError
from mmctr_kit.export.folders import require_folder
from mmctr_kit.export.record import DIGEST, KEY, Record


class TrackioTracker:
    """A project of Trackio on this machine, in TRACKIO_DIR or Trackio's own folder."""

    def __init__(self, where: str | None, project: str) -> None:
        if where is not None and "trackio" not in sys.modules:
            os.environ["TRACKIO_DIR"] = str(require_folder(Path(where)).resolve())
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
        return None if not runs else str(runs[0].config[DIGEST])

    def remove(self, record: Record) -> None:
        for run in self._runs(record):
            run.delete()

    def write(self, record: Record) -> None:
        # By the storage that Trackio's own importers use: its Run asks the Hugging Face hub for the
        # user's name if there is a token, and may log to TRACKIO_SPACE_ID.
        key = uuid.uuid4().hex
        if record.files:
            self._keep_files(record, key)
        steps = record.steps()
        last = max(steps, default=0)
        steps[last] = {**steps.get(last, {}), **record.metrics}
        moments = {
            name: datetime.fromtimestamp(seconds, UTC).isoformat()
            for name, seconds in (("began", record.began), ("ended", record.ended))
        }
        of_trackio = {
            "_Username": None,
            "_Created": moments["began"],
            "_Group": record.tags.get("study"),
        }
        # Metrics and config in one transaction: there is no half a copy.
        self.storage.bulk_log(
            self.project,
            record.name,
            list(steps.values()),
            list(steps),
            [moments["ended"]] * len(steps),
            {**of_trackio, **record.params, **record.full_tags()},
            run_id=key,
        )

    def _keep_files(self, record: Record, run_id: str) -> None:
        from trackio import Artifact

        files = Artifact(f"{record.name}-{record.short}", "mmctr-kit")
        for name, path in record.files.items():
            files.add_file(path, name)
        self.storage.commit_artifact_version(
            self.project,
            files.name,
            files.type,
            None,
            files._build_manifest(self.project),
            None,
            None,
            record.name,
            run_id,
            overwrite=True,
        )

    def _runs(self, record: Record) -> list[Any]:
        from trackio import Api

        if not self.storage.get_project_db_path(self.project).exists():
            return []
        runs = [run for run in Api().runs(self.project) if run.config is not None]
        return [run for run in runs if run.config.get(KEY) == record.key]
