"""One fold model's folder in a run folder, which :mod:`mmctr_kit.runs.run` hands out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmctr_kit.files import (
    Arrays,
    load_array,
    load_arrays,
    read_json,
    save_arrays,
    write_json,
    write_whole,
)


@dataclass(frozen=True)
class FoldFolder:
    """``folds/FOLD-SEED``: the state after the last epoch, then weights and logits."""

    path: Path

    @property
    def finished(self) -> bool:
        return (self.path / "logits.safetensors").is_file()

    def epochs_done(self) -> int:
        """The epochs that an unfinished fold model would go on after; 0 before the first."""
        path = self.path / "state.safetensors"
        return int(load_array(path, "epochs_done")) if path.is_file() else 0

    def left_off(
        self,
    ) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]] | None, dict[str, Any]]:
        """The epochs that are finished, the state after them, and the seconds they took by phase;
        no epochs, None and no seconds before the first. Half a file, which a kill can leave under a
        hidden name, goes."""
        for part in self.path.glob(".*"):
            part.unlink()
        path = self.path / "state.safetensors"
        if not path.is_file():
            return [], None, {}
        state = load_arrays(path)
        # A kill may have come after an epoch's line was written, and before its state was.
        text = (self.path / "metrics.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        return lines[: int(state["epochs_done"])], state, self.timings()

    def save_epoch(
        self, lines: Sequence[Mapping[str, Any]], state: Arrays, seconds: Mapping[str, float]
    ) -> None:
        """Record the epochs so far, the seconds they took and, last, the state to go on from."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_json(self.path / "timings.json", seconds)
        write_whole(self.path / "metrics.jsonl", lambda p: p.write_text(text))
        save_arrays(self.path / "state.safetensors", state)

    def finish(self, weights: Arrays, logits: Arrays, timings: Mapping[str, float | str]) -> None:
        """Keep the weights, the logits (oof, valid, test) and the timings: seconds by phase and,
        as ``data_on``, where the rows lay. Drop the state."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "timings.json", timings)
        save_arrays(self.path / "weights.safetensors", weights)
        save_arrays(self.path / "logits.safetensors", logits)
        (self.path / "state.safetensors").unlink(missing_ok=True)

    def logits(self) -> dict[str, NDArray[Any]]:
        """``oof`` (rows of the fold,), ``valid`` and ``test`` (rows,) float64."""
        # A run that was killed between its last two steps leaves the state behind.
        (self.path / "state.safetensors").unlink(missing_ok=True)
        return load_arrays(self.path / "logits.safetensors")

    def weights(self) -> dict[str, NDArray[Any]]:
        return load_arrays(self.path / "weights.safetensors")

    def timings(self) -> dict[str, Any]:
        """What the fold model took, by phase, and once it is finished ``data_on``."""
        return read_json(self.path / "timings.json")
