"""One fold model's folder in a run folder, which :mod:`mmctr_kit.runs.run` hands out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.hashing import fingerprint, quick_digest
from mmctr_kit.errors import RunError
from mmctr_kit.files import Arrays, load_arrays, remove_leftovers, save_arrays, write_whole
from mmctr_kit.runs.seal import (
    SEAL,
    digests_of,
    holds,
    read_seal,
    read_timings,
    sealed_file,
    write_seal,
    write_timings,
)
from mmctr_kit.runs.stored import epochs_in

_EPOCHS, _WEIGHTS, _LOGITS = "metrics.jsonl", "weights.safetensors", "logits.safetensors"
_IMPORTANCE = "importance.safetensors"
MADE_OF = "made_of"
"""The key of a fold model's timings.json under which is the fingerprint of what it is made of."""
_CHECK = "check"
"""The array of a state that tells whether the others are as they were written."""


@dataclass(frozen=True)
class FoldFolder:
    """``folds/FOLD-SEED``: the training state after the last epoch, then weights and logits.

    Its seal comes last. What reads a file of a finished fold model raises RunError if it was
    changed since.
    """

    path: Path

    @property
    def _state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def finished(self) -> bool:
        """Whether the fold model is fitted and its rows are predicted."""
        # An earlier version wrote no seal; it deleted the state after the logits.
        early = (self.path / _LOGITS).is_file() and not self._state.is_file()
        return early or (self.path / SEAL).is_file()

    def require_intact(self) -> None:
        """Raise RunError if a file of the finished fold model was changed since, or is missing."""
        for name in read_seal(self.path) or ():
            self._file(name)
        read_timings(self.path)

    def require_made_of(self, identity: str) -> None:
        """Raise RunError if the folder was copied here from another fold model or run."""
        # An earlier version noted none; what is in the place of a folder, its writer will name.
        made_of = self.timings().get(MADE_OF) if self.path.is_dir() else None
        if made_of not in (None, identity):
            raise RunError(
                f"{self.path} is of another run or fold model, whose recipe, data, fold or seed "
                "differs; delete it, so that its model is trained here, and repeat the command"
            )

    def epochs(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, one an epoch; none before the first."""
        return epochs_in(self.lines(), self.path / _EPOCHS)

    def lines(self) -> list[str]:
        """The text of each epoch's line."""
        if not self._has(_EPOCHS):
            return []
        path = self._file(_EPOCHS)
        try:
            return path.read_text().splitlines()
        except (OSError, ValueError) as e:
            raise RunError(f"{path} is not readable; delete its folder and run again") from e

    def epochs_done(self) -> int:
        """After how many epochs training would resume; 0 before the first."""
        if not self._state.is_file():
            return 0
        return int(load_arrays(self._state, "epochs_done")["epochs_done"])

    def saved_state(
        self,
    ) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]] | None, dict[str, Any]]:
        """The lines of the finished epochs, the state after them and their seconds by phase.

        Before the first they are empty, None and empty. Deletes what a killed process was writing.
        """
        remove_leftovers(self.path)
        if not self._state.is_file():
            return [], None, {}
        state = load_arrays(self._state)
        # A kill may have come after an epoch's line was written, and before its state was.
        lines = self.lines()[: int(state["epochs_done"])]
        check = state.pop(_CHECK, None)  # an earlier version wrote none
        if check is not None and check.tobytes().hex() != _digest(lines, state):
            raise RunError(
                f"{self._state} or {_EPOCHS} beside it was changed since the last epoch; delete "
                f"{self.path}, so that its model begins again, and repeat the command"
            )
        return epochs_in(lines, self.path / _EPOCHS), state, self.timings()

    def save_epoch(
        self, lines: Sequence[Mapping[str, Any]], state: Arrays, timings: Mapping[str, Any]
    ) -> None:
        """Write the epochs' lines, their timings and, last, the state to resume from.

        The timings are seconds by phase; as ``epochs``, after how many epochs training ends; and,
        as ``made_of``, what :meth:`require_made_of` compares.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        text = [json.dumps(line) for line in lines]
        check = bytes.fromhex(_digest(text[: int(state["epochs_done"])], state))
        write_timings(self.path, timings)
        write_whole(self.path / _EPOCHS, lambda p: p.write_text("".join(f"{t}\n" for t in text)))
        save_arrays(self._state, {**state, _CHECK: np.frombuffer(check, np.uint8)})

    def finish(self, weights: Arrays, logits: Arrays, timings: Mapping[str, Any]) -> None:
        """Write the weights, the logits (oof, valid, test), the timings and, last, the seal.

        The state is deleted then.

        Timings are those of :meth:`save_epoch` and, as ``data_on``, where the rows were; of a
        network also, as ``trained``, how its steps were run.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        write_timings(self.path, timings)
        save_arrays(self.path / _WEIGHTS, weights)
        save_arrays(self.path / _LOGITS, logits)
        files = (path.name for path in self.path.glob("[!.]*") if path != self._state)
        write_seal(self.path, digests_of(self.path, files))
        self._state.unlink(missing_ok=True)

    def save_importance(self, arrays: Arrays) -> None:
        """Write what the assembly of the run makes the features' importance of."""
        self.path.mkdir(parents=True, exist_ok=True)
        save_arrays(self.path / _IMPORTANCE, arrays)

    def importance(self) -> dict[str, NDArray[Any]] | None:
        """The arrays that :meth:`save_importance` wrote; None if there are none."""
        return load_arrays(self._file(_IMPORTANCE)) if self._has(_IMPORTANCE) else None

    def drop_importance(self) -> None:
        """Delete the arrays of :meth:`save_importance`, once the run has its importance."""
        if seal := read_seal(self.path):
            write_seal(self.path, {k: v for k, v in seal.items() if k != _IMPORTANCE})
        (self.path / _IMPORTANCE).unlink(missing_ok=True)

    def logits(self, *names: str) -> dict[str, NDArray[Any]]:
        """``oof`` (rows of the fold,), ``valid`` and ``test`` (rows,) float64, or those named."""
        # A run that was killed between its last two steps leaves the state behind.
        self._state.unlink(missing_ok=True)
        return load_arrays(self._file(_LOGITS), *names)

    def weights(self) -> dict[str, NDArray[Any]]:
        """The weights of the fold model's snapshot."""
        return load_arrays(self.weights_file())

    def weights_file(self) -> Path:
        """The file of the weights."""
        return self._file(_WEIGHTS)

    def timings(self) -> dict[str, Any]:
        """The fold model's seconds by phase, and what else :meth:`finish` was given."""
        return read_timings(self.path)

    def _file(self, name: str) -> Path:
        """A file of the folder, compared with the seal of the run or, before, of the folder."""
        return sealed_file(*self._sealed(name))

    def _has(self, name: str) -> bool:
        return holds(*self._sealed(name))

    def _sealed(self, name: str) -> tuple[Path, str]:
        run = self.path.parent.parent
        if read_seal(run) is None:
            return self.path, name
        return run, f"{self.path.parent.name}/{self.path.name}/{name}"


def _digest(lines: Sequence[str], state: Arrays) -> str:
    """What tells whether a state is as it was written, and the lines of its epochs too."""
    return fingerprint(lines, {name: quick_digest(array) for name, array in state.items()})
