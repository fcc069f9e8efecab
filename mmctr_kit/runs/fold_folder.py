"""One fold model's folder in a run folder, which :mod:`mmctr_kit.runs.run` hands out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmctr_kit.files import (
    Arrays,
    load_arrays,
    read_json,
    remove_leftovers,
    save_arrays,
    write_json,
    write_whole,
)


@dataclass(frozen=True)
class FoldFolder:
    """``folds/FOLD-SEED``: the training state after the last epoch, then weights and logits."""

    path: Path

    @property
    def _state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def _importance(self) -> Path:
        return self.path / "importance.safetensors"

    @property
    def finished(self) -> bool:
        """Whether the fold model is fitted and its rows are predicted."""
        return (self.path / "logits.safetensors").is_file()

    def lines(self) -> list[str]:
        """The lines of metrics.jsonl, one an epoch; none before the first."""
        path = self.path / "metrics.jsonl"
        return path.read_text().splitlines() if path.is_file() else []

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
        lines = [json.loads(line) for line in self.lines()]
        return lines[: int(state["epochs_done"])], state, self.timings()

    def save_epoch(
        self, lines: Sequence[Mapping[str, Any]], state: Arrays, timings: Mapping[str, float]
    ) -> None:
        """Write the epochs' lines, their timings and, last, the state to resume from.

        The timings are seconds by phase and, as ``epochs``, after how many epochs training ends.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_json(self.path / "timings.json", timings)
        write_whole(self.path / "metrics.jsonl", lambda p: p.write_text(text))
        save_arrays(self._state, state)

    def save_fallbacks(self, texts: Sequence[str]) -> None:
        """Write to fallback.txt what training went without, and all that is known of why."""
        if texts:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / "fallback.txt", lambda p: p.write_text("\n\n".join(texts)))

    def finish(self, weights: Arrays, logits: Arrays, timings: Mapping[str, Any]) -> None:
        """Write the weights, the logits (oof, valid, test) and the timings; delete the state.

        Timings are seconds by phase and, as ``data_on``, where the rows were; of a network also, as
        ``trained``, how its steps were run.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "timings.json", timings)
        save_arrays(self.path / "weights.safetensors", weights)
        save_arrays(self.path / "logits.safetensors", logits)
        self._state.unlink(missing_ok=True)

    def save_importance(self, arrays: Arrays) -> None:
        """Write what the assembly of the run makes the features' importance of."""
        self.path.mkdir(parents=True, exist_ok=True)
        save_arrays(self._importance, arrays)

    def importance(self) -> dict[str, NDArray[Any]] | None:
        """The arrays that :meth:`save_importance` wrote; None if there are none."""
        return load_arrays(self._importance) if self._importance.is_file() else None

    def drop_importance(self) -> None:
        """Delete the arrays of :meth:`save_importance`, once the run has its importance."""
        self._importance.unlink(missing_ok=True)

    def logits(self, *names: str) -> dict[str, NDArray[Any]]:
        """``oof`` (rows of the fold,), ``valid`` and ``test`` (rows,) float64, or those named."""
        # A run that was killed between its last two steps leaves the state behind.
        self._state.unlink(missing_ok=True)
        return load_arrays(self.path / "logits.safetensors", *names)

    def weights(self) -> dict[str, NDArray[Any]]:
        """The weights of the fold model's snapshot."""
        return load_arrays(self.path / "weights.safetensors")

    def timings(self) -> dict[str, Any]:
        """The fold model's seconds by phase, and what else :meth:`finish` was given."""
        return read_json(self.path / "timings.json")
