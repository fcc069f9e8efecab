"""The settings of executors beyond this machine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mmctr_kit.errors import UsageError, did_you_mean

EXECUTORS = ("local", "ray", "slurm")
"""The names of the executors."""


@dataclass(frozen=True)
class Ray:
    """A Ray cluster that trains fold models: ``cross_validate(..., executor=Ray("head:6379"))``.

    Attributes
    ----------
    address : str
        Of the cluster's head, such as ``"10.0.0.1:6379"``; ``"auto"`` is the cluster that this
        machine belongs to.
    gpus : float
        How much of a GPU one fold model takes; with 0.5 two of them share one.
    ship : bool
        Send data and fold folders as bytes, even to nodes that see these folders. Nodes that do
        not see them get bytes in any case.
    retries : int
        How many workers may die, for each worker at work, without a fold model finished between.

    Raises
    ------
    UsageError
        For a value that is out of range.

    Examples
    --------
    >>> mmctr_kit.Ray("10.0.0.1:6379", gpus=0.5).address
    '10.0.0.1:6379'
    """

    address: str = "auto"
    gpus: float = 1.0
    ship: bool = False
    retries: int = 3

    def __post_init__(self) -> None:
        if not self.address or "://" in self.address:
            raise UsageError(
                f"ray.address: expected HOST:PORT of the head, or auto, got {self.address!r}"
            )
        if not (0 < self.gpus < 1 or (self.gpus >= 1 and self.gpus == math.floor(self.gpus))):
            raise UsageError(
                f"ray.gpus: expected a part of one GPU, like 0.5, or whole ones; got {self.gpus}"
            )
        if self.retries < 0:
            raise UsageError(f"ray.retries: expected 0 or more, got {self.retries}")


@dataclass(frozen=True)
class Slurm:
    """Jobs of a SLURM cluster that train fold models: ``cross_validate(..., executor=Slurm())``.

    The runs folder and the data must lie on a disk that the compute nodes see under the same path,
    and the nodes need this Python environment.

    Attributes
    ----------
    partition, account, qos, constraint : str
        As ``sbatch`` takes them; empty for the cluster's default.
    minutes : int
        The time limit of a job. A job that reaches it is queued again and goes on from its last
        epoch.
    cpus : int
        Cores, and so threads, of one fold model.
    gpus : int
        GPUs of one fold model if it uses one: 0 or 1.
    memory : int
        GiB of memory of one fold model.
    setup : tuple of str
        Shell lines that run before each job, such as ``"module load cuda"``.
    requeues : int
        How often a job may reach its time limit.
    cluster : str
        ``"slurm"``; ``"local"`` runs the same jobs as processes here, to try them.

    Raises
    ------
    UsageError
        For a value that is out of range.

    Examples
    --------
    >>> mmctr_kit.Slurm(partition="gpu", minutes=120, gpus=1).partition
    'gpu'
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    minutes: int = 240
    cpus: int = 4
    gpus: int = 1
    memory: int = 16
    setup: tuple[str, ...] = ()
    requeues: int = 20
    cluster: str = "slurm"

    def __post_init__(self) -> None:
        object.__setattr__(self, "setup", tuple(self.setup))
        least = {"minutes": 1, "cpus": 1, "gpus": 0, "memory": 1, "requeues": 0}
        for name, low in least.items():
            if (value := getattr(self, name)) < low:
                raise UsageError(f"slurm.{name}: expected {low} or more, got {value}")
        if self.gpus > 1:
            raise UsageError(f"slurm.gpus: a fold model uses 0 or 1 GPU, got {self.gpus}")
        if self.cluster not in ("slurm", "local"):
            raise UsageError(f"slurm.cluster: expected slurm or local, got {self.cluster!r}")


AnyExecutor = str | Ray | Slurm
"""``"local"``, ``"ray"`` or ``"slurm"``, or the settings of one."""


def settings_of(name: str, values: Mapping[str, Any]) -> AnyExecutor:
    """The executor ``name`` with these settings. Raises UsageError for unknown ones, or values."""
    kind = {"ray": Ray, "slurm": Slurm}.get(name)
    if name not in EXECUTORS:
        hint = did_you_mean(name, EXECUTORS)
        raise UsageError(f"executor {name!r}: expected one of {', '.join(EXECUTORS)}{hint}")
    if kind is None:
        return name
    known = {field.name: field for field in fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{name}.{key}: no such setting{did_you_mean(key, known)}")
        default = known[key].default
        expected = (int, float) if isinstance(default, float) else type(default)
        listed = isinstance(default, tuple) and isinstance(value, list)
        if not (listed or isinstance(value, expected)) or (
            isinstance(value, bool) and not isinstance(default, bool)
        ):
            names = {str: "a text", bool: "true or false", int: "a whole number", tuple: "a list"}
            what = names.get(type(default), "a number")
            raise UsageError(f"{name}.{key}: expected {what}, got {value!r}")
    made: AnyExecutor = kind(**dict(values))
    return made
