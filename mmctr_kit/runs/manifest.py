"""The manifest that identifies a run: two runs of equal manifests hold the same predictions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

KINDS = {"cv": "a cv run", "fit": "a single fit", "blend": "a blend", "imported": "an import"}
"""The kinds of runs, as a sentence names them."""


@dataclass(frozen=True)
class Manifest:
    """The ingredients of a run.

    ``rows``, ``features``, ``folds`` and ``recipe`` are fingerprints, ``folds`` being empty if
    there are no OOF predictions; ``sources`` names the runs of
    a blend; ``environment`` holds versions, device and threads. ``transductive``: a row's
    prediction depends on the rows beside it in valid or test.
    """

    kind: Literal["cv", "fit", "blend", "imported"]
    rows: str
    features: str
    folds: str
    recipe: str
    seeds: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    transductive: bool = False

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Manifest":
        """The manifest that manifest.json holds; raises TypeError if ``content`` has other keys."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v  # JSON has no tuples
            for k, v in content.items()
        }
        return cls(**fields)

    def differences(self, other: "Manifest") -> list[str]:
        """The names of the parts, environment apart, in which two manifests differ."""
        mine, theirs = asdict(self), asdict(other)
        return [k for k in mine if k != "environment" and mine[k] != theirs[k]]
