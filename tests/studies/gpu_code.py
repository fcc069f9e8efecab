"""The code that torch.compile makes of a training step for an H100, read without one.

    python tests/studies/gpu_code.py din_official [--batch 8192] [--set KEY=VALUE]... [--binaries]

Prints each kernel of the step's forward and backward pass with the bytes that it moves, the FLOPs
of its products and the time that both allow (2.6 TB/s, 600 TFLOP/s, and 2 us a kernel); then what
all take. That is arithmetic and no measurement: the optimizer is left out, gathers are counted as
if they read whole tables, and a cache is not known of. ``--binaries`` has Triton compile each of
the kernels for the card as well.

It needs the environment of gpu_double.py, with torch 2.11. Tensors are torch's fake ones, without
content, and the CUDA runtime is gpu_double.c, so nothing can be run; whatever would wait for the
device is an error.
"""

import argparse
import re
import warnings
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from gpu_double import with_double
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from mmctr_kit.items.signals import row_columns
from mmctr_kit.models.registry import model_class, model_supplies
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.training.data.batches import DeviceData, DeviceRows
from mmctr_kit.training.data.sampler import RowSampler
from mmctr_kit.training.step import Step, compiled, compiled_batches

ITEMS, TAGS, USERS, ROWS, MEAN = 91_717, 11_740, 900_000, 3_600_000, 8
BYTES, FLOPS, LAUNCH = 2.6e12, 600e12, 2e-6
CARD = SimpleNamespace(
    name="NVIDIA H100 80GB HBM3",
    major=9,
    minor=0,
    multi_processor_count=132,
    total_memory=80 << 30,
    warp_size=32,
    regs_per_multiprocessor=65536,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    L2_cache_size=50 << 20,
    shared_memory_per_block=49152,
    shared_memory_per_block_optin=232448,
    shared_memory_per_multiprocessor=233472,
    gcnArchName="",
    is_integrated=False,
    uuid="0",
)
_KERNEL = re.compile(r"async_compile\.triton\('(\w+)', '''(.*?)''', device_str='cuda'\)", re.DOTALL)


def pretend(stack: ExitStack) -> None:
    """Have torch and triton take the double for a card."""
    tensor = torch.tensor

    def nothing() -> Any:
        return lambda *_: None  # one for each name: torch keeps rules by function

    for name, answer in {
        "torch.cuda.is_available": lambda: True,
        "torch.cuda._lazy_init": nothing(),
        "torch.cuda.random._lazy_init": nothing(),
        "torch.cuda.current_device": lambda: 0,
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.get_device_properties": lambda *_: CARD,
        "torch.cuda.get_device_capability": lambda *_: (CARD.major, CARD.minor),
        "torch.cuda.is_bf16_supported": lambda *_, **__: True,
        "torch.cuda.get_rng_state": lambda *_: torch.zeros(16, dtype=torch.uint8),
        "torch.cuda.set_rng_state": nothing(),
        "torch._C._cuda_getCurrentRawStream": lambda *_: 0,
        "torch._C._cuda_getDevice": lambda *_: 0,
        "torch._subclasses.fake_tensor.init_gpu_context": nothing(),
    }.items():
        stack.enter_context(mock.patch(name, answer, create=True))

    def filled(data: Any, *given: Any, device: Any = None, **options: Any) -> Tensor:
        """torch.tensor makes a real tensor first; a number needs none."""
        if device is not None and torch.device(device).type == "cuda":
            return torch.full((), data, device=device, **options)
        return tensor(data, *given, **({} if device is None else {"device": device}), **options)

    stack.enter_context(mock.patch("torch.tensor", filled))
    # Only now, since they keep what torch.cuda says as they are imported.
    import torch._inductor.config as inductor
    import torch._inductor.runtime.triton_helpers as triton_helpers
    from torch._inductor.fx_passes import fuse_attention, misc_patterns, pad_mm

    # Patterns that are looked for by running them, and constants that are folded by it.
    for module, name in (
        (fuse_attention, "_sfdp_init"),
        (misc_patterns, "_misc_patterns_init"),
        (pad_mm, "_pad_mm_init"),
    ):
        stack.enter_context(mock.patch.object(module, name, nothing()))
    settings = {"joint_graph_constant_folding": False, "fx_graph_cache": False}
    stack.enter_context(inductor.patch({**settings, "compile_threads": 1}))
    import triton
    from triton.backends.compiler import GPUTarget

    card = torch.device("cuda", 0)
    driver = SimpleNamespace(
        get_current_target=lambda: GPUTarget("cuda", 90, 32),
        get_current_device=lambda: 0,
        get_active_torch_device=lambda: card,
        get_current_stream=lambda _: 0,
        is_active=lambda: True,
    )
    triton.runtime.driver.set_active(driver)
    stack.enter_context(mock.patch.object(triton_helpers, "set_driver_to_gpu", nothing()))


class Reader:
    """Takes each graph's code instead of loading it."""

    def __init__(self) -> None:
        self.graphs: list[list[tuple[float, int, int, str]]] = []
        self.code: list[str] = []

    def take(self, graph: Any) -> Any:
        self.code.append(graph.codegen()[0].value)
        kernels = []
        for node in graph.scheduler.nodes:
            if type(node).__name__ == "NopKernelSchedulerNode":
                continue
            moved, flops = node.get_read_write_buffers_sizes(), node.estimate_flops() or 0
            seconds = max(moved / BYTES, flops / FLOPS) + LAUNCH
            kernels.append((seconds, moved, flops, described(node)))
        self.graphs.append(kernels)
        made = [laid_out(output) for output in graph.graph_outputs]

        def call(_arguments: Any) -> list[Tensor | None]:
            return [None if m is None else torch.empty_strided(*m[:2], **m[2]) for m in made]

        return SimpleNamespace(__file__="", call=call)


def laid_out(output: Any) -> tuple[Any, Any, dict[str, Any]] | None:
    """Size, stride, and type and device; None for no tensor."""
    try:
        size, stride = (tuple(map(int, f())) for f in (output.get_size, output.get_stride))
        return size, stride, {"dtype": output.get_dtype(), "device": output.get_device()}
    except (AttributeError, NotImplementedError):
        return None


def described(node: Any) -> str:
    inner = getattr(node, "node", None)
    nodes = getattr(node, "snodes", [node])
    shapes = []
    for buffer in node.get_outputs():
        layout = getattr(buffer.node, "layout", None)
        if hasattr(layout, "dtype"):  # an operation of several results has none of its own
            dtype = str(layout.dtype).removeprefix("torch.")
            shapes.append(f"{dtype}{[int(n) for n in layout.size]}")
    name = getattr(inner, "python_kernel_name", None)
    if name is None:
        origins = {o.name for n in nodes if n.node is not None for o in n.node.get_origins()}
        name = ",".join(sorted(origins))
    return f"{' '.join(shapes)} | {name}"


def model_of(recipe: Recipe) -> nn.Module:
    """Of the challenge's sizes; its weights are not looked at."""
    signals, row_signals = recipe.signals.kinds, row_columns(recipe.signals.kinds)
    width = {"item_info": (128,), "none": ()}.get(recipe.items.embedding, (64, 64))
    supplies = {
        "item_tags": torch.zeros(ITEMS + 1, 5, dtype=torch.long),
        "item_emb": torch.zeros(ITEMS + 1, sum(width)),
        "item_emb_widths": width,
        "item_present": torch.ones(ITEMS + 1, len(width), dtype=torch.bool),
        "item_likes_level": torch.zeros(ITEMS + 1, dtype=torch.long),
        "item_views_level": torch.zeros(ITEMS + 1, dtype=torch.long),
        "item_codes": torch.zeros(ITEMS + 1, 0, dtype=torch.long),
        "n_codes": 1,
        "n_tags": TAGS,
        "n_users": USERS,
        "n_signals": len(signals),
        "n_row_signals": len(row_signals),
    }
    name = recipe.model_name
    supplied = {k: supplies[k] for k in model_supplies(name)}
    model: nn.Module = model_class(name)(**supplied, **recipe.model_arguments)
    return model


def step_of(model: nn.Module, recipe: Recipe) -> Step:
    """On fake tensors, within their mode."""

    def like(old: Tensor) -> Tensor:
        return torch.empty(old.shape, dtype=old.dtype, device="cuda")

    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(like(old)))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, like(buffer))
    known = torch.ones(USERS + 1, dtype=torch.bool, device="cuda")
    kinds = recipe.signals.kinds
    data = data_of(len(kinds), len(row_columns(kinds)))
    return Step(model.train(), data, recipe.training, known, compiled(), compiled_batches())


def data_of(signals: int, row_signals: int) -> DeviceData:
    def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
        return torch.zeros(*shape, dtype=dtype, device="cuda")

    rows = DeviceRows(
        item=zeros(ROWS, dtype=torch.int32),
        likes_level=zeros(ROWS, dtype=torch.int32),
        views_level=zeros(ROWS, dtype=torch.int32),
        user=zeros(ROWS),
        begin=zeros(ROWS),
        end=zeros(ROWS),
        signals=zeros(ROWS * MEAN, signals, dtype=torch.float16),
        signal_begin=zeros(ROWS),
        row_signals=zeros(ROWS, row_signals, dtype=torch.float16),
        label=zeros(ROWS, dtype=torch.float32),
    )
    history = zeros(ROWS * MEAN // 4, dtype=torch.int32)
    return DeviceData(np.arange(1, USERS + 1), USERS, {"train": rows}, history)


def compile_binaries(code: list[str]) -> int:
    from torch._inductor.codecache import PyCodeCache

    kernels = [found for text in code for found in _KERNEL.findall(text)]
    for name, source in kernels:
        getattr(PyCodeCache.load(source), name).precompile(warm_cache_only=True)
    return len(kernels)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--binaries", action="store_true")
    told = parser.parse_args()
    with_double()
    warnings.filterwarnings("ignore", "Accessing the data pointer", UserWarning)
    reader = Reader()
    lengths = torch.from_numpy(np.minimum(2 + np.random.default_rng(0).geometric(1 / 6, ROWS), 64))
    sizes = RowSampler(torch.arange(ROWS), lengths, told.batch, 0).shapes
    with ExitStack() as stack:
        pretend(stack)
        from torch._inductor.graph import GraphLowering

        def read(graph: Any) -> Any:
            return reader.take(graph)

        stack.enter_context(mock.patch.object(GraphLowering, "compile_to_module", read))
        recipe = load_recipe(told.recipe, told.set)
        model = model_of(recipe)
        stack.enter_context(FakeTensorMode())
        step = step_of(model, recipe)
        index = torch.zeros(told.batch, dtype=torch.int64, device="cuda")
        step.loss(step.batch(index, sizes.positions, sizes.buckets), index).backward()
        for part, kernels in zip(("batch", "forward", "backward"), reader.graphs, strict=True):
            seconds, moved, flops = (sum(k[i] for k in kernels) for i in range(3))
            print(
                f"{part}: {len(kernels)} kernels, {seconds * 1e3:.3f} ms, {moved / 1e6:,.0f} MB, "
                f"{flops / 1e9:,.1f} GFLOP"
            )
            for s, b, f, what in kernels:
                print(f"{s * 1e6:9.1f} us {b / 1e6:9.1f} MB {f / 1e9:9.2f} GFLOP  {what[:140]}")
        total = sum(k[0] for kernels in reader.graphs[1:] for k in kernels)
        print(f"forward and backward: {total * 1e3:.3f} ms, in {step.precision}")
    if told.binaries:
        with ExitStack() as stack:
            pretend(stack)
            print(f"{compile_binaries(reader.code)} kernels compiled for sm_90")


if __name__ == "__main__":
    main()
