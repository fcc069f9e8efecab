"""Reading checkpoints of the published code, without ever unpickling arbitrary objects."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmctr_kit.errors import DataError, UsageError

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put a state dict beside other things."""


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Name -> array of a torch state dict, a .npz or a .safetensors file.

    A .npz may hold more beside the parameters: then theirs are the names after ``param/``. A
    ``module.`` in front of every name (DataParallel) is taken off. Raises UsageError where there
    is no FILE, DataError where it holds no state dict or would have to be unpickled.
    """
    if not path.is_file():
        raise UsageError(f"no checkpoint at '{path}'")
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    state = readers.get(path.suffix, _read_torch)(path)
    if not state:
        raise DataError(f"{path} holds no parameters; expected a state dict")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): v for name, v in state.items()}
    return state


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            inside = [n for n in archive.files if n.startswith("param/")]
            return {n.removeprefix("param/"): archive[n] for n in inside or archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
        raise DataError(f"{path} is not a readable .npz of arrays ({_line(e)})") from e


def _read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {k: _array(v) for k, v in load_file(path).items()}
    except (SafetensorError, OSError) as e:
        raise DataError(f"{path} is not a readable .safetensors file ({_line(e)})") from e


def _read_torch(path: Path) -> dict[str, NDArray[Any]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as e:
        raise DataError(
            f"{path} is not a plain torch state dict ({_line(e)}); save model.state_dict() again"
        ) from e
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(f"{path} holds no state dict: expected names and tensors")
    return {str(k): _array(v) for k, v in content.items()}


def _array(value: Tensor) -> NDArray[Any]:
    whole = value.detach()
    converted: NDArray[Any] = (whole.float() if whole.dtype == torch.bfloat16 else whole).numpy()
    return converted


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
