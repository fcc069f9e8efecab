"""Runs in MLflow: a database file beside you, or the server of a tracking URI."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from mmctr_kit.errors import UsageError
from mmctr_kit.export.record import DIGEST, KEY, Record

T = TypeVar("T")

DEFAULT = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
_MOST_METRICS, _MOST_PARAMS = 1000, 100
"""How many MLflow takes at once."""


class MlflowTracker:
    """An experiment of MLflow. A replaced copy is deleted as MLflow deletes: it can be restored."""

    def __init__(self, where: str | None, project: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # A server that is not there is a mistake to tell in seconds, not after minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        for name in ("alembic", "mlflow.store"):  # tables are created, line by line
            logging.getLogger(name).setLevel(logging.ERROR)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        self.place = where or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT
        try:
            self.client: Any = MlflowClient(tracking_uri=self.place)
            known = self.client.get_experiment_by_name(project)
            if known is None:
                files = _artefacts(self.place)
                self.experiment = self.client.create_experiment(project, artifact_location=files)
            else:
                self.experiment = known.experiment_id
        except (MlflowException, OSError) as e:
            why = str(e).splitlines()[0]
            raise UsageError(
                f"MLflow cannot use --where {self.place} with --project {project} ({why}); "
                f"expected a tracking URI such as {DEFAULT}"
            ) from e
        if known is not None and known.lifecycle_stage != "active":
            raise UsageError(
                f"MLflow's experiment {project} is deleted; restore it, or name another --project"
            )

    def digest(self, record: Record) -> str | None:
        run = self._find(record.key)
        return None if run is None else run.data.tags.get(DIGEST, "")

    def remove(self, record: Record) -> None:
        while (run := self._find(record.key)) is not None:
            self.client.delete_run(run.info.run_id)

    def write(self, record: Record) -> None:
        from mlflow.entities import Metric, Param

        began, ended = (int(1000 * seconds) for seconds in (record.began, record.ended))
        tags = record.full_tags()
        del tags[DIGEST]
        if record.parent is not None and (parent := self._find(record.parent)) is not None:
            tags["mlflow.parentRunId"] = parent.info.run_id
        run = self.client.create_run(self.experiment, began, tags, record.name).info.run_id
        for params in _parts(list(record.params.items()), _MOST_PARAMS):
            self.client.log_batch(run, params=[Param(k, str(v)) for k, v in params])
        metrics = [Metric(name, value, ended, 0) for name, value in record.metrics.items()]
        for step, values in record.steps().items():
            metrics += [Metric(name, value, ended, step) for name, value in values.items()]
        for part in _parts(metrics, _MOST_METRICS):
            self.client.log_batch(run, metrics=part)
        for name, path in record.files.items():
            folder = Path(name).parent.as_posix()
            _log_file(self.client, run, path, Path(name).name, None if folder == "." else folder)
        # Last: a copy without it was interrupted, and is made again.
        self.client.set_tag(run, DIGEST, record.digest)
        self.client.set_terminated(run, "FINISHED", ended)

    def _find(self, key: str) -> Any:
        """The copy with this key; None if there is none."""
        runs = self.client.search_runs([self.experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
        return runs[0] if runs else None


def _artefacts(uri: str) -> str | None:
    """The folder of a new experiment's files: beside its database, not where the command runs."""
    if not uri.startswith(_SQLITE):
        return None
    folder = Path(uri.removeprefix(_SQLITE)).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / "mlartifacts").as_uri()


def _parts(items: Sequence[T], most: int) -> list[Sequence[T]]:
    return [items[i : i + most] for i in range(0, len(items), most)]


def _log_file(client: Any, run: str, path: Path, name: str, folder: str | None) -> None:
    """Log a file under ``name``, which may differ from its own."""
    if path.name == name:
        client.log_artifact(run, str(path), folder)
    else:
        client.log_text(run, path.read_text("utf-8"), name)
