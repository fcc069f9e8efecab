"""What each tracker holds, read back with the tool's own package into one form."""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX = "mmctr_kit."


@dataclass
class Stored:
    """A copy: ``curves`` are (step, value) by name; ``parent`` is the parent's key or group."""

    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    parent: str | None = None


def tags_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The kit's tags, without their prefix."""
    return {k.removeprefix(PREFIX): v for k, v in config.items() if k.startswith(PREFIX)}


def read_mlflow(where: str, project: str) -> dict[str, list[Stored]]:
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    client = MlflowClient(tracking_uri=where)
    experiment = client.get_experiment_by_name(project)
    runs = client.search_runs([experiment.experiment_id])
    names: dict[str, list[Stored]] = {}
    for run in runs:
        assert run.info.status == "FINISHED"
        one = Stored(dict(run.data.params))
        for name in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, name)
            if len(points) == 1:
                one.metrics[name] = points[0].value
            else:
                one.curves[name] = sorted((p.step, p.value) for p in points)
        folders = [None]
        for folder in folders:
            for file in client.list_artifacts(run.info.run_id, folder):
                if file.is_dir:
                    folders.append(file.path)
                else:
                    uri = f"{run.info.artifact_uri}/{file.path}"
                    one.files[file.path] = Path(download_artifacts(uri)).read_bytes()
        one.tags = tags_of(run.data.tags)
        if parent := run.data.tags.get("mlflow.parentRunId"):
            one.parent = client.get_run(parent).data.tags["mmctr_kit.key"]
        names.setdefault(run.info.run_name, []).append(one)
    return names


def read_wandb(where: str, project: str) -> dict[str, list[Stored]]:
    import wandb

    wandb.teardown()  # its service writes the end of a log after finish() has returned
    names: dict[str, list[Stored]] = {}
    for folder in sorted(Path(where).glob("wandb/offline-run-*")):
        (log,) = folder.glob("*.wandb")
        one, name = Stored(), ""
        for record in _wandb_records(log.read_bytes()):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                name, one.parent = record.run.display_name, record.run.run_group or None
                assert (record.run.project, record.run.run_id) == (project, folder.name[-12:])
                config = {u.key: json.loads(u.value_json) for u in record.run.config.update}
                one.tags = tags_of(config)
                one.params = {k: v for k, v in config.items() if not k.startswith(("_", PREFIX))}
            elif kind == "history":
                items = {".".join(i.nested_key) or i.key: i.value_json for i in record.history.item}
                values = {k: json.loads(v) for k, v in items.items()}
                for key, value in values.items():
                    if key != "epoch" and not key.startswith("_"):
                        one.curves.setdefault(key, []).append((values["epoch"], value))
            elif kind == "summary":
                for update in record.summary.update:
                    key = ".".join(update.nested_key) or update.key
                    if not key.startswith("_"):
                        one.metrics[key] = json.loads(update.value_json)
            elif kind == "files":
                for item in record.files.files:
                    one.files[item.path] = (folder / "files" / item.path).read_bytes()
        names.setdefault(name, []).append(one)
    return names


def _wandb_records(content: bytes) -> Iterator[Any]:
    """The records of a ``.wandb`` file: LevelDB's log format after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, whole = 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
        _, size, kind = struct.unpack("<IHB", content[at : at + 7])
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield Record.FromString(whole)
            whole = b""


def read_trackio(where: str, project: str) -> dict[str, list[Stored]]:
    import trackio
    from trackio import Api
    from trackio.cas import blob_path
    from trackio.sqlite_storage import SQLiteStorage

    assert Path(where) == trackio.TRACKIO_DIR
    names: dict[str, list[Stored]] = {}
    for run in Api().runs(project):
        config = dict(run.config)
        one = Stored(parent=config.pop("_Group"))
        one.tags = tags_of(config)
        one.params = {k: v for k, v in config.items() if not k.startswith(("_", PREFIX))}
        for line in SQLiteStorage.get_logs(project, run.name, run_id=run.id):
            step = line.pop("step")
            del line["timestamp"]
            for key, value in line.items():
                one.curves.setdefault(key, []).append((step, value))
        # A run's scores stand at its last epoch.
        single = [name for name, points in one.curves.items() if len(points) == 1]
        one.metrics = {name: one.curves.pop(name)[0][1] for name in single}
        for made in SQLiteStorage.get_run_artifacts(project, run.name, run_id=run.id)["output"]:
            found = SQLiteStorage.get_artifact_manifest(
                project, made["name"], f"v{made['version']}"
            )
            for entry in found["manifest"]:
                one.files[entry["path"]] = blob_path(project, entry["digest"]).read_bytes()
        names.setdefault(run.name, []).append(one)
    return names


def read_tensorboard(where: str, project: str) -> dict[str, list[Stored]]:
    assert project == ""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.util.tensor_util import make_ndarray

    names: dict[str, list[Stored]] = {}
    for folder in sorted(Path(where).iterdir()):
        one = Stored()
        for logs in [folder, *sorted(folder.glob("folds/*"))]:
            events = EventAccumulator(str(logs), {"tensors": 0})
            events.Reload()
            for tag in events.Tags()["tensors"]:
                plugin = events.SummaryMetadata(tag).plugin_data
                points = [(e.step, make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
                if plugin.plugin_name == "hparams":
                    values = HParamsPluginData.FromString(plugin.content).session_start_info
                    for key, value in values.hparams.items():
                        one.params[key] = getattr(value, value.WhichOneof("kind"))
                elif plugin.plugin_name == "text":
                    text = points[0][1].item().decode().strip("`\n")
                    if tag == "mmctr_kit":
                        one.tags = tags_of(json.loads(text))
                elif logs == folder and len(points) == 1:
                    one.metrics[tag] = points[0][1].item()
                else:
                    name = tag if logs == folder else f"{tag}/{logs.name}"
                    one.curves[name] = [(step, value.item()) for step, value in points]
        kept = folder / "files"
        one.files = {
            str(p.relative_to(kept)): p.read_bytes() for p in kept.rglob("*") if p.is_file()
        }
        one.parent = one.tags.get("study") if one.tags["kind"] != "study" else None
        names.setdefault(folder.name[:-13], []).append(one)
    return names


READERS: Mapping[str, Any] = {
    "mlflow": read_mlflow,
    "wandb": read_wandb,
    "trackio": read_trackio,
    "tensorboard": read_tensorboard,
}
