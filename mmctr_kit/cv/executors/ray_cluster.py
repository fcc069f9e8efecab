"""A Ray cluster before anything is submitted to it: what its nodes have, and whether they fit.

Ray itself would wait for ever, without a word, for a GPU that no node has.
"""

import os
import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from mmctr_kit import __version__
from mmctr_kit.cv.executors.settings import Ray
from mmctr_kit.errors import RunError, UsageError, plural

_PACKAGES = ("torch", "numpy", "lightgbm")
"""Packages whose versions must be the same everywhere, beside Python and mmctr-kit itself."""

_ACCELERATOR = "accelerator_type:"
"""What the resource that names a node's GPU begins with."""


@dataclass(frozen=True)
class Node:
    """A node: its host, cores and GPUs, the names of both, and the versions that it has."""

    host: str
    cpus: int
    gpus: float
    cpu: str
    gpu: str
    versions: Mapping[str, str]

    def slots(self, threads: int, gpus: float) -> int:
        """How many workers of so many threads and GPUs have room on the node."""
        slots = self.cpus // threads
        if not gpus:
            return slots
        by_gpu = int(self.gpus) * int(1 / gpus) if gpus < 1 else int(self.gpus / gpus)
        return min(slots, by_gpu)


def connect(address: str) -> Any:
    """Connect this process to the cluster; returns the module ``ray``.

    Raises UsageError if Ray is not installed, and RunError if no cluster answers.
    """
    # If the head dies, so does this process: after seconds, not a minute.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "20")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as e:
        raise UsageError(
            "Ray is not installed; pip install 'mmctr-kit[ray]', here and on the nodes"
        ) from e
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would try for minutes, or end the process
            socket.create_connection((host, int(port)), timeout=10).close()
        elif address != "auto":
            raise ValueError("expected HOST:PORT of the head, or auto")
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as e:
        raise RunError(no_cluster(address, str(e).strip().partition("\n")[0])) from e
    return ray


def no_cluster(address: str, why: str) -> str:
    """The message that there is no cluster at the address."""
    return (
        f"no Ray cluster that this Python can use at '{address}' ({why}); start one with "
        "'ray start --head', or give its address with --ray-address"
    )


def survey(settings: Ray, gpu: bool) -> tuple[Node, ...]:
    """Return the nodes of the cluster. To be called in a process of its own, which says nothing.

    Raises RunError if ``gpu`` and no node has one, before any node is asked anything.
    """
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    ray = connect(settings.address)
    alive = [node for node in ray.nodes() if node["Alive"]]
    has = [node["Resources"] for node in alive]
    cpus, gpus = (int(sum(each.get(kind, 0) for each in has)) for kind in ("CPU", "GPU"))
    if gpu and not any(each.get("GPU", 0) >= settings.gpus for each in has):
        raise RunError(
            f"no node of the Ray cluster at '{settings.address}' has {settings.gpus:g} GPU "
            f"({plural(len(alive), 'node')}, {plural(cpus, 'core')}, {plural(gpus, 'GPU')}); use "
            "--device cpu, or add such a node"
        )
    probe = ray.remote(num_cpus=0, max_retries=1)(_prober(_PACKAGES))
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = [
        probe.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote()
        for node in alive
    ]
    nodes = []
    for node, each, answer in zip(alive, has, asked, strict=True):
        host = node["NodeManagerHostname"]
        try:
            found = ray.get(answer, timeout=120)
        except ray.exceptions.RayError as e:
            why = str(e).strip().rpartition("\n")[2]
            raise RunError(f"node {host} of the Ray cluster does not answer ({why})") from e
        named = [key.removeprefix(_ACCELERATOR) for key in each if key.startswith(_ACCELERATOR)]
        cpu, cores = found.pop("cpu", ""), int(each.get("CPU", 0))
        nodes.append(Node(host, cores, float(each.get("GPU", 0)), cpu, ", ".join(named), found))
    require_versions(nodes)
    return tuple(nodes)


def _prober(packages: Sequence[str]) -> Callable[[], dict[str, str]]:
    """What a node is asked: its versions, and its CPU's name.

    A function within a function travels as code, so that a node without mmctr-kit can say so.
    """

    def probe() -> dict[str, str]:
        import importlib.metadata
        import platform

        found = {"python": platform.python_version()}
        for name in packages:
            try:
                found[name] = importlib.metadata.version(name).partition("+")[0]
            except importlib.metadata.PackageNotFoundError:
                found[name] = "none"
        try:
            from mmctr_kit import __version__
            from mmctr_kit.training.device import describe_device

            found |= {"mmctr-kit": __version__, "cpu": describe_device("cpu")}
        except ImportError:
            found["mmctr-kit"] = "none"
        return found

    return probe


def require_versions(nodes: Sequence[Node]) -> None:
    """Raise RunError, which names the nodes, if versions are not those of this process."""
    here = {"python": platform.python_version(), "mmctr-kit": __version__}
    here |= {name: metadata.version(name).partition("+")[0] for name in _PACKAGES}
    different: dict[str, list[str]] = {}
    for node in nodes:
        for name, version in node.versions.items():
            if here[name] != version:
                text = f"{name} {version}, not {here[name]}"
                different.setdefault(text, []).append(node.host)
    if different:
        listed = "; ".join(f"{', '.join(hosts)}: {what}" for what, hosts in different.items())
        raise RunError(
            f"nodes of the Ray cluster have other versions than this machine ({listed}); install "
            "the same everywhere"
        )
