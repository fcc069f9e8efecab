"""What a run folder or a study tells an experiment tracker, whichever tracker it is."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmctr_kit.files import file_sha256, read_json
from mmctr_kit.recipe.diff import flat
from mmctr_kit.report.context import is_page, resolve_name
from mmctr_kit.runs.lineage import unfinished
from mmctr_kit.runs.run import Run, open_run
from mmctr_kit.runs.seal import holds, marked, sealed_file
from mmctr_kit.tuning.conflict import STORAGE

Curve = tuple[tuple[int, float], ...]
"""The points of a curve: epoch and value."""

KEY, DIGEST = "mmctr_kit.key", "mmctr_kit.digest"
"""The tags that identify a copy."""

_AUCS = ("valid", "oof", "fold_models_valid", "recipe_valid", "recipe_oof")
"""The estimates of metrics.json that are AUCs and do not say so; a tracker's chart should."""
_FILES = ("recipe.yaml", "metrics.json", "manifest.json", "blend.json")
_STUDY_FILES = ("best.yaml", "study.json", "settings.json")


@dataclass(frozen=True)
class Record:
    """One run, study or trial as a tracker shows it.

    ``key`` identifies it in every tracker: equal keys are the same run, whatever its folder is
    called. ``params`` and ``metrics`` have dotted names; a metric's standard error is beside it,
    with the suffix ``_se``. ``curves`` are by fold model ("fold-seed"; "" for a trial), then by
    name. ``files`` are copied under the names that they are keyed by. ``parent`` is the key of the
    study that a trial or finalist is of. ``began`` and ``ended`` are seconds since 1970.
    """

    name: str
    key: str
    tags: Mapping[str, str]
    params: Mapping[str, str | int | float | bool]
    metrics: Mapping[str, float]
    curves: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    parent: str | None = None
    began: float = 0.0
    ended: float = 0.0

    @property
    def short(self) -> str:
        """Enough of the key for a folder's name or a run id."""
        return self.key[:12]

    def steps(self) -> dict[int, dict[str, float]]:
        """The curves by epoch, in order; a fold model's are named like ``train_loss/0-0``."""
        values: dict[int, dict[str, float]] = {}
        for model, curves in self.curves.items():
            for name, points in curves.items():
                for step, value in points:
                    values.setdefault(step, {})[f"{name}/{model}" if model else name] = value
        return dict(sorted(values.items()))

    @cached_property
    def digest(self) -> str:
        """sha256 of all that is exported: a copy of another digest is out of date."""
        content = {k: v for k, v in asdict(self).items() if k not in ("files", "began", "ended")}
        return _sha256(content, {name: file_sha256(path) for name, path in self.files.items()})

    def full_tags(self) -> dict[str, str]:
        """The tags, and the two that find this copy again and tell whether it is up to date."""
        identity = {KEY: self.key, DIGEST: self.digest}
        return {**{f"mmctr_kit.{name}": text for name, text in self.tags.items()}, **identity}


def records(name: str, root: Path, weights: bool) -> list[Record]:
    """The records of the run, blend or study called ``name`` under ``root``, or at that path.

    A study comes first, then its trials and the runs of its finalists. ``weights`` adds the fold
    models' weights to the files. Raises UsageError if there is no such run, RunError if it is
    unfinished or damaged.
    """
    name = resolve_name(name, root)
    for path in (root / name, Path(name)):
        if marked(path, "settings.json"):
            return _study(path.resolve(), weights)
    return [_run(open_run(name, root), weights)]


def run_key(run: Run) -> str:
    """What identifies a run: its manifest without the environment."""
    return _sha256({k: v for k, v in asdict(run.manifest).items() if k != "environment"})


def _sha256(*parts: Any) -> str:
    """A digest that another version of this package gives too, unlike a fingerprint."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _run(
    run: Run,
    weights: bool,
    name: str | None = None,
    parent: str | None = None,
    also: Mapping[str, str] | None = None,
) -> Record:
    """The record of a finished run; ``also`` are tags that its study gives it."""
    manifest, params = run.manifest, {}
    if run.recipe_text is not None:
        params = dict(_params(run.recipe_content()))
    tags = {
        "kind": manifest.kind,
        "seeds": ", ".join(map(str, manifest.seeds)),
        "transductive": str(manifest.transductive).lower(),
        **{f"fingerprint.{k}": getattr(manifest, k) for k in ("recipe", "features", "folds")},
        "fingerprint.data": manifest.rows,
        **{f"environment.{k}": str(v) for k, v in manifest.environment.items()},
        **(also or {}),
    }
    if manifest.kind == "blend":
        params["blend.method"] = read_json(run.file("blend.json"))["method"]
        for member, place in run.source_places.items():
            there = Run(place)
            tags[f"member.{member}"] = run_key(there) if there.finished else "not there any more"
    if alarm := run.metrics["alarm"]:
        tags["alarm"] = alarm
    files = {name: run.file(name) for name in _FILES if run.has(name)} | _page(run.path)
    if weights:
        found = run.files("folds/*/weights.safetensors")
        files |= {str(path.relative_to(run.path)): path for path in found}
    return Record(
        name=run.name if name is None else name,
        key=run_key(run),
        tags=tags,
        params=params,
        metrics=dict(_metrics(run.metrics)),
        curves={fold: _curves(lines) for fold, lines in run.epochs().items()},
        files=files,
        parent=parent,
        began=(run.path / "manifest.json").stat().st_mtime,
        ended=(run.path / "DONE").stat().st_mtime,
    )


def _study(path: Path, weights: bool) -> list[Record]:
    if not marked(path, "study.json"):
        raise unfinished(path, f"study '{path.name}'")
    settings, study = (read_json(sealed_file(path, f"{n}.json")) for n in ("settings", "study"))
    # Not by where its trials are: a database may be reached by several names.
    key = _sha256("study", {k: v for k, v in settings.items() if k != STORAGE})
    began, ended = ((path / f"{name}.json").stat().st_mtime for name in ("settings", "study"))
    of_study = {"study": study["name"]}
    common = {"fingerprint.data": settings["data"], **of_study}
    common["environment.mmctr_kit"] = settings["version"]
    own = {k: study[k] for k in ("objective", "folds", "chosen_trial")}
    finalist = study["finalists"][0]
    whole = Record(
        name=study["name"],
        key=key,
        tags={"kind": "study", **common},
        params=dict(_params({**settings["recipe"], "study": own, "best": finalist["changes"]})),
        metrics=dict(
            _metrics(
                {
                    "chosen": {k: finalist[k] for k in ("valid", "oof", "oof_one_seed")},
                    "search_best": {"auc": study["search"]["auc"]},
                    "importance": study["importance"],
                    "optimism": study["optimism"],
                }
            )
        ),
        files={n: sealed_file(path, n) for n in _STUDY_FILES if holds(path, n)} | _page(path),
        began=began,
        ended=ended,
    )
    trials = [
        Record(
            name=f"{study['name']}-trial-{trial['number']}",
            key=_sha256(key, trial["number"]),
            tags={"kind": "trial", "state": trial["state"], **common},
            params=dict(_params(trial["params"])),
            metrics=dict(_metrics({k: trial[k] for k in ("auc", "value")})),
            curves={"": _curves(_steps(trial))},
            parent=key,
            began=began,
            ended=ended,
        )
        for trial in study["trials"]
    ]
    finalists = [
        _run(run, weights, f"{study['name']}-finalist-{final['trial']}", key, of_study)
        for final in study["finalists"]
        if (run := Run(path / "finalists" / final["run"])).finished
    ]
    return [whole, *trials, *finalists]


def _steps(trial: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A trial's values as a search sees them, after each epoch or fold."""
    between = trial["intermediate"]
    return [{"epoch": int(step), "intermediate_auc": value} for step, value in between.items()]


def _page(path: Path) -> dict[str, Path]:
    """The page that ``mmctr-kit report`` wrote beside the folder, if there is one."""
    page = path.with_name(f"{path.name}.html")
    return {"report.html": page} if is_page(page) else {}


def _params(content: Mapping[str, Any]) -> Iterator[tuple[str, str | int | float | bool]]:
    """Settings by dotted key; a list is JSON, and a key without a value is the text null."""
    for key, value in flat(content):
        plain = isinstance(value, str | int | float)
        yield key, value if plain else json.dumps(value, sort_keys=True)


def _metrics(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a file of scores by dotted key, an estimate's standard error beside it."""
    for key, value in content.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and {"value", "error", "n"} == set(value):
            name = f"{name}_auc" if key in _AUCS else name
            parts = {name: value["value"], f"{name}_se": value["error"]}
            yield from ((k, float(v)) for k, v in parts.items() if v is not None)
        elif isinstance(value, Mapping):
            yield from _metrics(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)


def _curves(lines: list[dict[str, Any]]) -> dict[str, Curve]:
    """The curve of each number that the epochs of one fold model tell."""
    names = dict.fromkeys(name for line in lines for name in line if name != "epoch")
    return {
        name: points
        for name in names
        if (points := tuple((line["epoch"], line[name]) for line in lines if _number(line, name)))
    }


def _number(line: Mapping[str, Any], name: str) -> bool:
    value = line.get(name)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
