"""What is to be encoded by which models, and whether work that exists belongs to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmctr_kit.data.contract import Modality
from mmctr_kit.embed.encode.content import Content
from mmctr_kit.embed.encode.encoders import Reading
from mmctr_kit.embed.encode.libraries import versions
from mmctr_kit.embed.encode.models import BUILT_IN, POOLED, Model
from mmctr_kit.embed.encode.report import part_path

SHARD_BATCHES = 8
"""How many batches of items are written as one shard: what a kill may lose."""


@dataclass(frozen=True)
class Column:
    """A column of the result: a modality, the model that encodes it, and how it is read.

    ``titled``: a picture's prompt holds the title too.
    """

    modality: Modality
    model: Model
    reading: Reading
    titled: bool = False

    @cached_property
    def digest(self) -> str:
        return self.model.digest()


@dataclass(frozen=True)
class Plan:
    """All that the file of vectors depends on; ``tagged``: titles have the names of tags."""

    out: Path
    content: Content
    columns: tuple[Column, ...]
    batch_size: int
    device: str
    bf16: bool
    tagged: bool = False

    @property
    def part(self) -> Path:
        return part_path(self.out)

    @property
    def begun(self) -> Path:
        """The file in that folder that says which plan the shards are of."""
        return self.part / "plan.json"

    def shards(self) -> Iterator[range]:
        """The item_ids of each shard: a function of the item order and the batch size alone."""
        step = SHARD_BATCHES * self.batch_size
        for start in range(1, self.content.n_items + 1, step):
            yield range(start, min(start + step, self.content.n_items + 1))

    def metadata(self) -> dict[str, dict[str, Any]]:
        """How each column was encoded: the file's metadata."""
        made: dict[str, dict[str, Any]] = {}
        for column in self.columns:
            model = column.model
            options: dict[str, Any] = {"batch_size": self.batch_size}
            if model.kind != BUILT_IN:  # which is the same on any device
                options["device"] = self.device.partition(":")[0]
                options["precision"] = "bf16" if self.bf16 else "float32"
            if column.modality == "text" or column.titled:
                options["tag_names"] = self.tagged
            if model.kind in POOLED:
                options |= {"layer": column.reading.layer, "pooling": column.reading.pooling}
            if model.kind == "vision-language" and column.modality == "image":
                options |= {"image_side": column.reading.side, "with_title": column.titled}
            made[column.modality] = {
                "encoder": model.name,
                "kind": model.kind,
                "revision": model.revision,
                "digest": column.digest,
                "options": options,
                "versions": versions(model.kind),
            }
        return made

    def identity(self) -> dict[str, Any]:
        """Everything that must be the same for work to be resumed."""
        return {"data": self.content.digests(), **self.metadata()}


def differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the first entries in which two identities differ; empty if they agree."""
    before, after = dict(_flat(there)), dict(_flat(now))
    names = [n for n in dict.fromkeys([*before, *after]) if before.get(n) != after.get(n)]
    parts = [f"{n}: {_say(before.get(n))} there, {_say(after.get(n))} now" for n in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(parts) + more


def _flat(entries: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in entries.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _say(value: Any) -> str:
    text = "none" if value is None else str(value)
    return f"{text[:8]}..." if len(text) == 64 else text
