"""What an encoding made, what it cost, and which items it left without a vector."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmctr_kit.data.contract import Modality
from mmctr_kit.errors import UsageError

ADVICE = "name another file, or --force to replace it"


def report_path(out: Path) -> Path:
    """The file beside a file of vectors that names every item without one."""
    return out.with_name(f"{out.stem}.report.json")


def part_path(out: Path) -> Path:
    """The folder beside a file of vectors in which finished shards wait."""
    return out.with_name(f"{out.name}.part")


def require_encoded(out: Path) -> None:
    """Raise UsageError if there is a file at ``out`` that no encoding has written."""
    if out.exists() and not report_path(out).is_file():
        raise UsageError(f"'{out}' exists; {ADVICE}")


@dataclass(frozen=True)
class ItemFault:
    """Why an item has no vector: the kind of fault, and one line for people."""

    item_id: int
    kind: str
    text: str


@dataclass(frozen=True)
class ColumnReport:
    """One modality's vectors.

    ``items`` got a vector of ``width`` values, ``faults`` say why each other item got none.
    ``seconds`` are those of all commands that it took, with reading the pictures and without
    loading the model; ``ms_per_item`` is what one new item takes, encoded alone. ``peak_mb`` (2^20
    bytes) is the peak memory of tensors on a GPU, or on a CPU of the whole process.
    """

    modality: Modality
    encoder: str
    kind: str
    revision: str | None
    parameters: int
    width: int
    items: int
    batches: int
    seconds: float
    ms_per_item: float
    peak_mb: float
    faults: tuple[ItemFault, ...]

    @property
    def items_per_second(self) -> float:
        return self.items / self.seconds if self.seconds else 0.0

    def faults_by_kind(self) -> dict[str, list[ItemFault]]:
        """The faults of each kind, in the order of item_ids."""
        kinds: dict[str, list[ItemFault]] = defaultdict(list)
        for fault in self.faults:
            kinds[fault.kind].append(fault)
        return dict(kinds)

    def to_json(self) -> dict[str, Any]:
        counts = {kind: len(faults) for kind, faults in self.faults_by_kind().items()}
        more = {"items_per_second": self.items_per_second, "missing": counts}
        content = asdict(self) | more
        return {key: content[key] for key in content if key != "faults"} | {
            "faults": content["faults"]
        }


@dataclass(frozen=True)
class Report:
    """The vectors in ``path``.

    ``identity`` is all that they depend on. With ``sampled`` nothing was written: costs are
    extrapolated from that many items, and pictures were not looked at but for those. ``already``:
    an earlier command had finished the file.
    """

    path: Path
    n_items: int
    columns: tuple[ColumnReport, ...]
    identity: Mapping[str, Any]
    sampled: int | None = None
    already: bool = False

    def to_json(self) -> dict[str, Any]:
        content = {
            "path": str(self.path),
            "n_items": self.n_items,
            "sampled": self.sampled,
            "columns": [column.to_json() for column in self.columns],
        }
        return content | {"identity": dict(self.identity)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: Path) -> "Report":
        """Read the report of a finished file back."""
        names = ColumnReport.__dataclass_fields__
        columns = []
        for each in content["columns"]:
            faults = tuple(ItemFault(**fault) for fault in each["faults"])
            fields = {name: each[name] for name in names if name != "faults"}
            columns.append(ColumnReport(**fields, faults=faults))
        return cls(path, content["n_items"], tuple(columns), content["identity"], already=True)
