"""Weights as a run: those of a published checkpoint, or those of a fold model of the kit."""

import hashlib
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.data.parquet import first_line
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.files import regular
from mmctr_kit.importers.predictions import write_import
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.models.registry import MODELS, NEURAL
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.predictions import predictions_for
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.seal import require_as_sealed
from mmctr_kit.training.build import make_learner
from mmctr_kit.training.device import prepare
from mmctr_kit.training.learner import Learner
from mmctr_kit.training.neural import KNOWN_USER, TRAINED_ROWS, NeuralLearner

State = dict[str, NDArray[Any]]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts store a state dict beside other things."""
_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Prefixes that DataParallel, torch.compile and Lightning add to every name."""


def import_checkpoint(
    file: Path, recipe: Recipe, data: ChallengeData, device: str, path: Path, force: bool
) -> Run | None:
    """Load ``file`` into the recipe's model, predict valid and test, write the run at ``path``.

    The file is a published checkpoint, or a ``weights.safetensors`` of a run's ``folds/``. None if
    the same run is there already. The run has no OOF, since a published checkpoint does not tell
    which rows it was trained on: it can be averaged and ranked, not stacked. Raises DataError that
    names a parameter which the model lacks, does not know or has in another shape, and RunError for
    weights of a run that were changed since.
    """
    require_as_sealed(file)
    state = read_checkpoint(file)
    prepare(device, torch.get_num_threads())
    items = ItemFeatures.derive(recipe, data)
    learner = _loaded(recipe, data, items, device, state)
    valid, test = learner.predict("valid"), learner.predict("test")
    rows = predictions_for(data, None, None, valid[None], test[None])
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    return write_import(
        data,
        rows,
        score_predictions(rows),
        path,
        force,
        recipe=fingerprint("checkpoint", recipe.content(), content, items.fingerprints),
        features=fingerprint(*items.fingerprints),
        recipe_yaml=recipe.to_yaml(),
    )


def _loaded(
    recipe: Recipe, data: ChallengeData, items: ItemFeatures, device: str, state: State
) -> Learner:
    """The recipe's learner with these weights, the kit's own or published ones."""
    neural = MODELS[recipe.model_name].learner == NEURAL
    if TRAINED_ROWS in state or KNOWN_USER in state:
        _require_own(recipe, data, state, neural)
        learner = make_learner(recipe, data, items, device)
        learner.load(state)
        return learner
    if not neural:
        raise UsageError(f"{recipe.model_name} is no neural model; it has no checkpoints")
    network = NeuralLearner(recipe, data, items, device)
    network.load_published(state)
    return network


def _require_own(recipe: Recipe, data: ChallengeData, state: State, neural: bool) -> None:
    """Raise DataError unless the kit's weights are of a model of this kind, and of these rows."""
    if neural != (KNOWN_USER in state):
        of, other = ("trees", "a network") if neural else ("a network", "trees")
        raise DataError(
            f"the weights are of {of}, and {recipe.model_name} is {other}; give the --recipe that "
            "they were trained with"
        )
    train = data.train
    sizes = {
        TRAINED_ROWS: (len(np.packbits(np.zeros(len(train), np.bool_))), "train rows"),
        KNOWN_USER: (len(np.unique(train.user_id)) + 1, "users"),
    }
    for name, (expected, what) in sizes.items():
        if name in state and len(state[name]) != expected:
            raise DataError(
                f"the weights are of other data: the number of {what} differs; give --data the "
                "folder that they were trained on"
            )


def read_checkpoint(path: Path) -> State:
    """Name -> array of a torch state dict, a .npz or a .safetensors file.

    A .npz that holds more than the parameters has them under names that begin with ``param/``.
    Nothing but tensors is unpickled: DataError if the file would need it or holds no state dict,
    UsageError if there is none.
    """
    if not path.is_file():
        raise UsageError(f"no checkpoint at '{path}'")
    state = _reader(path)(path)
    if not state:
        raise DataError(f"{path} holds no parameters; expected a state dict")
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in state)), None):
        state = {name.removeprefix(prefix): v for name, v in state.items()}
    return state


def _reader(path: Path) -> Callable[[Path], State]:
    """The reader of a file, by its content, since files get renamed; else by its suffix."""
    try:
        with regular(path).open("rb") as handle:
            start = handle.read(9)
    except OSError as e:
        raise DataError(f"{path} cannot be read ({e.strerror}); check its permissions") from e
    if start.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                arrays = any(name.endswith(".npy") for name in archive.namelist())
            return _read_npz if arrays else _read_torch
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            pass  # the reader that its suffix names says what is wrong with it
    elif start[8:] == b"{":
        return _read_safetensors
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    return readers.get(path.suffix.lower(), _read_torch)


def _read_npz(path: Path) -> State:
    try:
        with path.open("rb") as handle:
            archive = np.load(handle, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError(f"{path} holds one array without a name; expected a .npz")
            inside = [n for n in archive.files if n.startswith("param/")]
            return {n.removeprefix("param/"): archive[n] for n in inside or archive.files}
    except DataError:
        raise
    except Exception as e:  # NumPy, zipfile and zlib leak errors of many kinds on broken input
        raise DataError(f"{path} is not a readable .npz of arrays ({first_line(e)[:120]})") from e


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as e:
        # The last three: of shapes that no array has, even if they hold nothing.
        raise DataError(
            f"{path} is not a readable .safetensors file ({first_line(e)[:120]})"
        ) from e
    return _arrays(state, path)


def _read_torch(path: Path) -> State:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that torch.save didn't write
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # its unpickler leaks errors of every kind on what is no checkpoint
        raise DataError(f"{path} {_fault(e)}") from e
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(f"{path} holds no state dict: expected names and tensors")
    return _arrays(content, path)


def _arrays(state: Mapping[Any, Tensor], path: Path) -> State:
    arrays: State = {}
    for name, value in state.items():
        try:
            arrays[str(name)] = _array(value)
        except (RuntimeError, TypeError, ValueError) as e:  # NotImplementedError is a RuntimeError
            raise DataError(
                f"{path}: {name} holds {value.dtype} of the shape {tuple(value.shape)}, which "
                "cannot be read as an array; save the weights as float32"
            ) from e
    return arrays


def _array(value: Tensor) -> NDArray[Any]:
    """The tensor's values; NumPy has no bfloat16, float8, sparse or quantized arrays."""
    whole = value.detach()
    whole = whole.dequantize() if whole.is_quantized else whole.to_dense()
    exact = whole.dtype == torch.float64 or not whole.is_floating_point()
    return (whole if exact else whole.float()).numpy()


def _fault(error: Exception) -> str:
    """What is wrong and what to do, without torch's advice to unpickle the file anyway."""
    if named := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return (
            f"holds a {named[1]}, which would have to be unpickled; expected tensors alone, as "
            "torch.save(model.state_dict(), FILE) writes them"
        )
    if "Weights only load failed" in str(error):
        return (
            "is no torch file: its bytes are no pickled tensors; look whether a page or a "
            "Git LFS pointer was downloaded in its place"
        )
    return (
        f"is not a plain torch state dict ({first_line(error)[:120]}); if it was cut short, copy "
        "it again, else save model.state_dict() again"
    )
