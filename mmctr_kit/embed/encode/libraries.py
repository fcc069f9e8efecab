"""The encoders' libraries, imported so that they work beside each other and keep silent."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch

from mmctr_kit.embed.encode.models import PACKAGES, Kind

_kept: list[Any] = []
"""Definitions of operators, which last as long as this list holds them."""


def versions(kind: Kind) -> dict[str, str]:
    """Return the versions of the libraries that a kind of encoder is run by."""
    names = {"torch", "pillow", PACKAGES.get(kind, "transformers")}
    names |= {"sentence-transformers": {"transformers"}, "timm": {"torchvision"}}.get(kind, set())
    found = {}
    for name in sorted(names):
        try:
            found[name.replace("_", "-")] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the libraries' own bars and notes off the terminal while a model is loaded."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from transformers.utils import logging as transformers_logging

    noisy = [logging.getLogger(name) for name in ("timm", "sentence_transformers")]
    levels = [logger.level for logger in noisy]
    level, shown = transformers_logging.get_verbosity(), not are_progress_bars_disabled()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()
        if shown:
            enable_progress_bars()
        for logger, before in zip(noisy, levels, strict=True):
            logger.setLevel(before)


@contextmanager
def missing_weights() -> Iterator[list[str]]:
    """Collect the names of weights that transformers, loading a model, makes up at random.

    It is for a library that calls transformers itself: what is missing is then said in a log alone.
    """
    names: list[str] = []

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            plain = re.sub(r"\x1b\[[\d;]*m", "", record.getMessage())
            names.extend(re.findall(r"^(\S+)\s*\| MISSING", plain, re.M))

    logger, reader = logging.getLogger("transformers.modeling_utils"), Reader()
    level, propagate, logger.propagate = logger.level, logger.propagate, False
    logger.setLevel(logging.WARNING)
    logger.addHandler(reader)
    try:
        yield names
    finally:
        logger.removeHandler(reader)
        logger.setLevel(level)
        logger.propagate = propagate


def mend_torchvision() -> None:
    """Let torchvision be imported beside a torch of another build.

    The package index has torchvision's Linux wheels for CUDA only. Beside a torch for CPUs their
    compiled operators cannot be loaded, and the import then fails at the operators that it
    describes to torch. Encoders use none of them: they need torchvision's transforms. So the names
    are declared, and a call of one still says that it has no implementation.
    """
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None or _kept:
        return
    folder, operators = Path(spec.origin).parent, cast(Any, torch.ops)
    try:
        for compiled in sorted(folder.glob("_C*")):
            operators.load_library(str(compiled))
    except OSError:
        described = (folder / "_meta_registrations.py").read_text("utf-8")
        library = cast(Any, torch.library).Library("torchvision", "DEF")
        for name in re.findall(r'register_fake\("torchvision::(\w+)"\)', described):
            library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        _kept.append(library)
