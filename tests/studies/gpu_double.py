"""The kit's host code on a GPU that executes nothing: what is captured, and how commands end.

    python tests/studies/gpu_double.py capture [RECIPE]... [--how plain compiled] [--precision bf16]
    python tests/studies/gpu_double.py memory [RECIPE]... --data DATA
    python tests/studies/gpu_double.py run doctor
    NULLGPU_GB=16 python tests/studies/gpu_double.py run cv din_demo --data DATA --jobs 1

``gpu_double.c`` and ``gpu_double_blas.c`` stand in for the CUDA runtime, the driver, cuBLAS and
cuDNN as torch and Triton call them. Device memory is host memory and copies are done; kernels are
not, so results mean nothing. All of torch's C++ runs: dispatch, the caching allocator, streams,
events, graph capture, Inductor, Triton with ptxas. CUDA's rules of capture are kept, and each
breach is counted.

``capture`` trains one chunk of a recipe on generated data, which captures its step, and prints what
a second chunk did: replays, and the synchronisations and allocations that there should not be.
``memory`` prints what a step is taken to need, and the batch size ``auto`` on cards of some sizes.
``run`` is the command line, in this process; what the host reads of the device, such as history
lengths, is given to it from the host's own copy. Settings of the card, in the environment:
NULLGPU_CC (90; 75, 60), NULLGPU_COUNT, NULLGPU_GB (80), NULLGPU_DRIVER (13000; 12040), and
NULLGPU_DIES, after how many launches the card fails.

It needs an environment of its own, with a CUDA build of torch and the kit (``pip install
torch==2.13.0 -e .`` from PyPI, several GB), and gcc, for which PATH may be empty afterwards.
"""

import argparse
import ctypes
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

LIBRARY = "MMCTR_KIT_GPU_DOUBLE"
STEPS, BATCH = 6, 256
RECIPES = (
    "din_official",
    "din_mha_se_pca",
    "din_target_encoder",
    "dien",
    "qin",
    "target_transformer",
    "transformer_dcn",
    "transformer_dcn_momo",
)


def with_double() -> None:
    """Begin this process anew with the double before the real libraries, unless it has it."""
    if LIBRARY in os.environ:
        return
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:
        sys.exit("this torch has no triton: it needs a CUDA build (see --help)")
    triton = Path(spec.origin).parent
    headers = [triton.parent / "nvidia/cu13/include", triton / "backends/nvidia/include"]
    folder = Path(tempfile.gettempdir()) / f"mmctr-kit-gpu-double-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    library = folder / "libcuda.so.1"
    sources = [Path(__file__).with_name(f"gpu_double{part}.c") for part in ("", "_blas")]
    if not library.exists() or library.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        made = library.with_suffix(f".{os.getpid()}")
        include = [f"-I{header}" for header in headers]
        flags = ["-w", "-O1", "-shared", "-fPIC", *include]
        libraries = ["-ldl", "-lpthread"]
        subprocess.run(["gcc", *flags, "-o", made, *sources, *libraries], check=True)
        made.rename(library)
    (folder / "libcuda.so").unlink(missing_ok=True)
    (folder / "libcuda.so").symlink_to(library.name)
    places = {"LD_LIBRARY_PATH": folder, "TRITON_LIBCUDA_PATH": folder, LIBRARY: library}
    # What is compiled for it is of no use to a card.
    caches = {"TRITON_CACHE_DIR": "triton", "TORCHINDUCTOR_CACHE_DIR": "inductor"}
    caches |= {"MMCTR_KIT_CACHE": "kit"}
    told = {name: str(folder / part) for name, part in caches.items()} | dict(os.environ)
    told |= {name: str(place) for name, place in places.items()} | {"LD_PRELOAD": str(library)}
    os.execve(sys.executable, [sys.executable, *sys.argv], told)


class Counters:
    """The counters of the double, by name: ``syncs``, ``mallocs``, ``graph_launches``, ..."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ[LIBRARY])

    def __call__(self) -> dict[str, int]:
        names = ("syncs", "launches", "graph_launches", "violations", "mallocs", "graphs_live")
        return {n: ctypes.c_long.in_dll(self._library, f"ng_{n}").value for n in names}


HOST: dict[str, Any] = {}
"""The host's copy of what a device would be asked: ``data``, on the host."""


def read_from_the_host() -> None:
    """Give the host what it reads of the device from its own copy of the data."""
    from mmctr_kit.training import cuda_graph, device_check, fit, neural
    from mmctr_kit.training.data import source
    from mmctr_kit.training.data.sampler import RowSampler

    made = source.to_device

    def kept(*given: Any) -> Any:
        HOST["data"] = made(*given)
        return HOST["data"]

    class HostSampler(RowSampler):
        """Draws on the host, and sends what it drew to the device."""

        def __init__(self, rows: Tensor, lengths: Tensor, batch_size: int, seed: int) -> None:
            del lengths
            super().__init__(rows.cpu(), lengths_of("train"), batch_size, seed)
            self._device = rows.device

        def batches(self, first: int, steps: int) -> Tensor:
            return super().batches(first, steps).to(self._device)

    def lengths_of(split: str) -> Tensor:
        lengths: Tensor = HOST["data"].rows[split].lengths
        return lengths

    def positions(chunk: Any) -> Sequence[int]:
        if chunk.counted is not None:
            return chunk.counted
        lengths = lengths_of(chunk.split)
        # Rows that were added for augmentation are not in the host's copy.
        index = chunk.index.cpu().clamp(0, len(lengths) - 1)
        return source.batch_positions(lengths[index], chunk.sizes)

    def predict(self: Any, split: str, index: Any = None, epoch: Any = (0, 0)) -> Any:
        """Launch what a prediction launches; the logits are drawn."""
        del epoch
        whole, lengths = self.source.whole, lengths_of(split)
        chosen = torch.arange(len(lengths)) if index is None else torch.from_numpy(index)
        inside = chosen.clamp(max=len(lengths) - 1)
        ordered, order = torch.sort(lengths[inside], stable=True)
        sizes = self._sizes(ordered)
        longest = iter(ordered[torch.tensor(sizes).cumsum(0) - 1].tolist() if sizes else [])
        counts = iter(source.batch_positions(ordered, sizes) if sizes else [])
        self.model.eval()
        with torch.inference_mode():
            for chunk in self.source.chunks(split, chosen[order].to(whole.device), sizes):
                for rows in chunk.batches():
                    batch = fit.make_batch(chunk.data, split, rows, self.known_user, next(counts))
                    self.model(fit.replace(batch, buckets=((len(rows), next(longest)),))).cpu()
        return np.random.default_rng(0).normal(size=len(chosen))

    for module in (cuda_graph, device_check):  # what is computed here is never right
        module.verdict = lambda *_: ""  # type: ignore[attr-defined]
    source.to_device = kept
    source.Chunk.positions = property(positions)  # type: ignore[assignment,method-assign]
    for module in (fit, neural):
        module.RowSampler = HostSampler  # type: ignore[attr-defined]
    fit.Fit.predict = predict  # type: ignore[method-assign,assignment]
    fit.Fit._sizes = on_the_host(fit.Fit._sizes)  # type: ignore[method-assign]


def on_the_host(sizes: Any) -> Any:
    return lambda self, length: sizes(self, length.cpu())


def capture(name: str, how: str, precision: str, root: Path) -> None:
    """Train two chunks of a recipe and print what the double counted during the second."""
    from mmctr_kit.data.load import load
    from mmctr_kit.items.features import ItemFeatures
    from mmctr_kit.recipe import load_recipe
    from mmctr_kit.training import fit as module
    from mmctr_kit.training.data.source import Chunk
    from mmctr_kit.training.device import prepare
    from mmctr_kit.training.neural import NeuralLearner

    counters, began = Counters(), time.perf_counter()
    steps = {"plain": "captured", "compiled": "compiled"}[how]
    settings = [f"training.precision={precision}", f"training.steps={steps}"]
    recipe, data = load_recipe(name, settings), load(root / "data")
    prepare("cuda:0", 1)
    learner = NeuralLearner(recipe, data, ItemFeatures.derive(recipe, data), "cuda:0")
    fit, rows = learner.begin(np.arange(len(data.train)), 0)
    fit.model.train()
    device, start = fit.source.device, counters()
    sampler = module.RowSampler(torch.from_numpy(rows).to(device), torch.empty(0), BATCH, 0)
    paces = torch.tensor([[1e-3, 1.0]] * STEPS, device=device)
    total, counted, said = torch.zeros((), device=device), list[dict[str, int]](), set[str]()
    for number in range(2):
        index = sampler.batches(number * STEPS, STEPS).flatten()
        found = Chunk(fit.source.data, "train", index, [BATCH] * STEPS)
        sizes = found.positions
        chunk = Chunk(fit.source.data, "train", index, [BATCH] * STEPS, sizes)
        counted.append(counters())
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            fit.steps.run(chunk, paces, total, sampler.shapes)
        said |= {f"{w.category.__name__}: {str(w.message)[:150]}" for w in warned}
    end, second = counters(), counted[1]
    did = {k: end[k] - second[k] for k in ("graph_launches", "launches", "syncs", "mallocs")}
    print(
        f"{name:21s} {how:8s} {precision:8s} violations {end['violations'] - start['violations']}, "
        f"second chunk of {STEPS} steps: {did['graph_launches']} replays, {did['launches']} other "
        f"launches, {did['syncs']} synchronisations, {did['mallocs']} allocations "
        f"({time.perf_counter() - began:.0f} s)",
        flush=True,
    )
    for line in sorted(said):
        print(f"    {line}", flush=True)


def memory(name: str, precision: str, data: Path) -> None:
    """Print what a step of 8,192 rows takes by :mod:`mmctr_kit.training.memory`, and what fits."""
    from mmctr_kit.data.load import load
    from mmctr_kit.items.features import ItemFeatures
    from mmctr_kit.recipe import load_recipe
    from mmctr_kit.training.device import prepare
    from mmctr_kit.training.memory import SHARE
    from mmctr_kit.training.neural import NeuralLearner

    settings = [f"training.precision={precision}", "training.batch_size=8192"]
    recipe, content = load_recipe(name, settings), load(data)
    prepare("cuda:0", 1)
    learner = NeuralLearner(recipe, content, ItemFeatures.derive(recipe, content), "cuda:0")
    fit, rows = learner.begin(np.arange(len(content.train)), 0)
    fit.find_batch_size(rows)
    assert fit.memory is not None
    sizes = {gb: min(8192, fit.memory.most_rows(SHARE * gb * 1e9)) for gb in (3, 16, 24, 40, 80)}
    print(
        f"{name:21s} {precision:8s} {fit.memory.per_row / 1e6:.2f} MB a row, "
        f"{fit.memory.of(8192) / 1e9:.1f} GB for 8,192; auto on "
        + ", ".join(f"{gb} GB: {rows:,}" for gb, rows in sizes.items()),
        flush=True,
    )


def main() -> None:
    with_double()
    if sys.argv[1:2] == ["run"]:
        read_from_the_host()
        sys.argv[1:2] = []
        from mmctr_kit.cli.app import main as command

        command()
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["capture", "memory"])
    parser.add_argument("--data", type=Path, help="for memory: at least 8,192 train rows")
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--how", nargs="+", default=["plain"], choices=["plain", "compiled"])
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=["bf16", "float32"])
    told = parser.parse_args()
    read_from_the_host()
    if told.what == "memory":
        for name in told.recipes or RECIPES:
            for precision in told.precision:
                memory(name, precision, told.data)
        return
    from mmctr_kit.datasets.synth import PRESETS, generate

    with tempfile.TemporaryDirectory() as root:
        generate(Path(root) / "world", PRESETS["tiny"], seed=0)
        for name in told.recipes or RECIPES:
            for how in told.how:
                for precision in told.precision:
                    capture(name, how, precision, Path(root) / "world")


if __name__ == "__main__":
    main()
