"""Copy runs and studies to a tracker: once, and again only if something changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, get_args

from mmctr_kit.errors import UsageError
from mmctr_kit.export.record import Record, records

Tool = Literal["mlflow", "wandb", "trackio", "tensorboard"]
PROJECT = "mmctr-kit"
"""The experiment of MLflow, and the project of W&B and Trackio, that runs go to by default."""

NEEDED = {
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "tensorboard": ("tensorboard",),
}
"""What each tool needs of its extra, by the name that is imported."""


class Tracker(Protocol):
    """One place of one tool. ``place`` is what the user may open."""

    place: str

    def digest(self, record: Record) -> str | None:
        """The digest of the copy with the record's key: None without one, "" if it is not whole."""

    def remove(self, record: Record) -> None:
        """Delete every copy with the record's key."""

    def write(self, record: Record) -> None:
        """Write a copy; what tells that it is whole comes last."""


@dataclass(frozen=True)
class Exported:
    """What became of one run, study or trial: written, replaced (it had changed) or unchanged."""

    name: str
    kind: str
    key: str
    state: Literal["written", "replaced", "unchanged"]


def require_tool(to: str, project: str | None) -> None:
    """Raise UsageError if the tool is unknown, not installed or has no projects."""
    if to not in get_args(Tool):
        raise UsageError(f"to: expected one of {', '.join(get_args(Tool))}; found {to!r}")
    if absent := [name for name in NEEDED[to] if find_spec(name) is None]:
        raise UsageError(
            f"--to {to} needs {', '.join(absent)}, not installed here; "
            f"pip install 'mmctr-kit[{to}]'"
        )
    if to == "tensorboard" and project is not None:
        raise UsageError("TensorBoard has no projects; leave out --project, or name a --where")


def open_tracker(to: Tool, where: str | None, project: str | None) -> Tracker:
    """Import the tool and open its place. Raises UsageError if that place cannot be used."""
    require_tool(to, project)
    module = import_module(f"mmctr_kit.export.{to}")
    if to == "tensorboard":
        tracker: Tracker = module.TensorboardTracker(where)
    else:
        tracker = getattr(module, f"{to.title()}Tracker")(where, project or PROJECT)
    return tracker


def gather(names: Sequence[str], root: Path, weights: bool) -> list[Record]:
    """The records of all names, each once; UsageError if a name is no run, blend or study."""
    found: dict[str, Record] = {}
    for name in names:
        for record in records(name, root, weights):
            # A finalist that is named itself too keeps its study.
            if record.parent is not None or record.key not in found:
                found[record.key] = record
    return list(found.values())


def export(
    each: Sequence[Record], tracker: Tracker, listen: Callable[[int, Exported], None]
) -> list[Exported]:
    """Write what is not there yet, and again what has changed; ``listen`` hears of each in turn.

    A study's trials and finalists are written anew with it, since they refer to its copy.
    """
    done: list[Exported] = []
    renewed = set()
    for number, record in enumerate(each, 1):
        there = tracker.digest(record)
        state: Literal["written", "replaced", "unchanged"] = "unchanged"
        if there != record.digest or record.parent in renewed:
            state = "written" if there is None else "replaced"
            if there is not None:
                tracker.remove(record)
            tracker.write(record)
            renewed.add(record.key)
        done.append(Exported(record.name, record.tags["kind"], record.key, state))
        listen(number, done[-1])
    return done
