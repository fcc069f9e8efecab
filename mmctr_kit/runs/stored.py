"""The JSON files of a run folder, checked as they are read: they may be damaged or old."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from mmctr_kit.errors import RunError
from mmctr_kit.files import read_json

_MORE = ConfigDict(extra="allow", arbitrary_types_allowed=True)


class StoredScore(TypedDict):
    """An estimate as JSON: its ``value``, its standard ``error`` and its number of rows."""

    value: float | None
    error: float | None
    n: int


class _Aucs(TypedDict):
    oof: StoredScore | None
    valid: StoredScore | None


class _Slice(TypedDict):
    __pydantic_config__ = _MORE  # type: ignore[misc]
    split: str
    by: str
    slice: str
    rows: int
    auc: StoredScore | None
    errors: float | None
    mean_prediction: float
    mean_label: float
    ece: float
    worse: bool
    note: str | None


class _Metrics(TypedDict):
    __pydantic_config__ = _MORE  # type: ignore[misc]
    valid: StoredScore | None
    test_tied_share: float
    alarm: str | None
    oof: NotRequired[StoredScore | None]
    valid_logloss: NotRequired[StoredScore | None]
    valid_gauc: NotRequired[StoredScore | None]
    oof_logloss: NotRequired[StoredScore | None]
    oof_gauc: NotRequired[StoredScore | None]
    fold_models_valid: NotRequired[StoredScore | None]
    recipe_oof: NotRequired[StoredScore | None]
    recipe_valid: NotRequired[StoredScore | None]
    seeds: NotRequired[Mapping[str, _Aucs]]
    transductive: NotRequired[bool]
    slices: NotRequired[Sequence[_Slice]]


class _Timings(TypedDict):
    __pydantic_config__ = _MORE  # type: ignore[misc]
    phase_seconds: NotRequired[Mapping[str, float]]
    fold_seconds: NotRequired[Mapping[str, Mapping[str, float]]]
    data_files: NotRequired[Mapping[str, str]]


class _Epoch(TypedDict):
    __pydantic_config__ = _MORE  # type: ignore[misc]
    epoch: int
    holdout_auc: float | None


def read_metrics(path: Path) -> dict[str, Any]:
    """What a metrics.json holds; RunError that names a score which is missing or is none."""
    return _checked(_Metrics, read_json(path), path)


def checked_timings(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """What a timings.json of a run holds; RunError if its seconds are no numbers."""
    return _checked(_Timings, content, path)


def epochs_in(lines: Sequence[str], path: Path) -> list[dict[str, Any]]:
    """The epochs in the lines of the metrics.jsonl at ``path``; RunError if one is odd."""
    try:
        epochs = [json.loads(line) for line in lines]
    except (ValueError, RecursionError) as e:
        raise RunError(f"{path} is not readable; delete its folder and run again") from e
    return [_checked(_Epoch, epoch, path) for epoch in epochs]


def checked(kind: type, content: Any, path: Path) -> Any:
    """``content`` as the dataclass ``kind``; RunError names what is odd in the file ``path``."""
    try:
        return _adapter(kind).validate_python(content)
    except ValidationError as e:
        raise _odd(e, path) from e


def _checked(kind: Any, content: Any, path: Path) -> dict[str, Any]:
    """``content`` as it is, if it has the keys and values of ``kind``."""
    checked(kind, content, path)
    result: dict[str, Any] = content
    return result


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _odd(error: ValidationError, path: Path) -> RunError:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "it"
    if first["type"] == "missing":
        what = f"{where} is missing"
    else:
        what = f"{where} is {first['input']!r:.60}"
    return RunError(f"{path} is damaged, or of another version ({what}); make the run again")
