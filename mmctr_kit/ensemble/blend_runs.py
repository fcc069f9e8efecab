"""From run folders to a blended run folder: align by row key, blend, score, write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.ensemble.blend import Blend, blend
from mmctr_kit.ensemble.methods import Method
from mmctr_kit.ensemble.stack import Stack
from mmctr_kit.errors import RunError
from mmctr_kit.files import read_json
from mmctr_kit.predictions import Keys, OutOfFold, Predictions
from mmctr_kit.recipe import fingerprint
from mmctr_kit.runs import Manifest, Run, begin_run, is_finished, locked
from mmctr_kit.scores import plain, score_predictions


def blend_runs(
    runs: Sequence[Run], method: Literal["auto"] | Method, path: Path, force: bool, seed: int = 0
) -> tuple[Run, Blend] | None:
    """Blend finished runs into a run at ``path``; None where the same blend is there already.

    Runs must match in rows, labels and folds; their features may differ. A run without OOF
    (imported) makes the whole blend one without; so does one without valid rows. Where a run does
    not know its fold models' valid AUC (imported: each is its fold mean), neither does the blend.
    Raises RunError where they do not match, where the method cannot be had of them, or where
    ``path`` is one of them; nothing is written then.
    """
    manifests = [run.manifest for run in runs]
    _require_same(runs, manifests)
    if path.resolve() in [run.path.resolve() for run in runs]:
        raise RunError(f"run '{path.name}' is part of the blend; choose another --name")
    whole = [run.predictions() for run in runs]
    manifest = _manifest(runs, manifests, whole, method, seed)
    with locked(path):
        if is_finished(path, manifest, force):
            return None
        result = blend(stack_of([run.name for run in runs], whole), method, seed)
        found = _predictions(whole, result)
        scores = score_predictions(found)
        if not all("fold_models_valid" in run.metrics for run in runs):
            scores.pop("fold_models_valid", None)
            scores["alarm"] = None
        writer = begin_run(path, manifest, None, force)
        assert writer is not None
        writer.write_json("blend.json", _report(runs, result))
        return writer.finish(found, scores, {}), result


def blend_report(run: Run) -> dict[str, Any]:
    """What a finished blend tells of itself: ``runs``, ``method``, ``reason``, ``weights`` (or
    null), ``scores`` and ``differences`` of the methods tried, as {value, error, n}."""
    return read_json(run.path / "blend.json")


def stack_of(names: Sequence[str], whole: Sequence[Predictions]) -> Stack:
    """The runs' predictions as arrays; RunError where their rows or folds differ."""
    first = whole[0]
    known = all(p.has_valid for p in whole)
    for name, other in zip(names[1:], whole[1:], strict=True):
        if known:
            _require_keys(f"{names[0]} and {name}: valid", first.valid_keys, other.valid_keys)
        _require_keys(f"{names[0]} and {name}: test", first.test_keys, other.test_keys)
    rows = None if known else 0  # a run without valid rows leaves none to the blend
    ours = [p.oof for p in whole if p.oof is not None]
    if len(ours) < len(whole):
        # Without OOF for all, fold models have no use: each run is its fold mean.
        empty = np.zeros(0, np.int64)
        valid = np.stack([p.valid_mean()[None, :rows] for p in whole])
        test = np.stack([p.test_mean()[None] for p in whole])
        return Stack(tuple(names), None, empty, empty, empty, valid, test)
    for name, other_oof in zip(names[1:], ours[1:], strict=True):
        _require_keys(f"{names[0]} and {name}: OOF", ours[0].keys, other_oof.keys)
        if not np.array_equal(ours[0].fold, other_oof.fold):
            raise RunError(f"runs {names[0]} and {name} have different folds; train one again")
    return Stack(
        tuple(names),
        np.stack([o.logit for o in ours]),
        ours[0].label,
        ours[0].keys.user_id,
        ours[0].fold,
        np.stack([p.valid[:, :rows] for p in whole]),
        np.stack([p.test for p in whole]),
    )


def _predictions(whole: Sequence[Predictions], result: Blend) -> Predictions:
    first = whole[0]
    oof = None
    if result.oof is not None:
        assert first.oof is not None
        oof = OutOfFold(first.oof.keys, first.oof.label, first.oof.fold, result.oof)
    known = all(p.has_valid for p in whole)
    keys = first.valid_keys if known else Keys.none()
    label = first.valid_label if known else np.zeros(0, np.int8)
    return Predictions(oof, keys, label, result.valid, first.test_keys, result.test)


def _manifest(
    runs: Sequence[Run],
    manifests: Sequence[Manifest],
    whole: Sequence[Predictions],
    method: str,
    seed: int,
) -> Manifest:
    partial = any(p.oof is None for p in whole)
    # The logits too: one recipe gives others on another machine or with another version.
    parts = [[m.recipe, m.features, p.digest()] for m, p in zip(manifests, whole, strict=True)]
    return Manifest(
        kind="blend",
        rows=manifests[0].rows,
        features=fingerprint([m.features for m in manifests]),
        folds="" if partial else manifests[0].folds,
        recipe=fingerprint("blend", method, seed, parts),
        seeds=(seed,),
        sources=tuple(run.name for run in runs),
        environment={"mmctr_kit": __version__, "numpy": np.__version__},
    )


def _require_same(runs: Sequence[Run], manifests: Sequence[Manifest]) -> None:
    if len({run.name for run in runs}) != len(runs):
        raise RunError("a run is named twice; name each run once")
    for run, manifest in zip(runs[1:], manifests[1:], strict=True):
        first = manifests[0]
        if manifest.rows != first.rows:
            raise RunError(f"runs {runs[0].name} and {run.name} are of different rows or labels")
        if manifest.folds and first.folds and manifest.folds != first.folds:
            raise RunError(
                f"runs {runs[0].name} and {run.name} have different folds; train one again with "
                "the other's folds.count and folds.seed (imported OOF: with the fold column of its "
                "oof.parquet)"
            )


def _require_keys(what: str, a: Keys, b: Keys) -> None:
    same = (
        np.array_equal(a.user_id, b.user_id)
        and np.array_equal(a.item_id, b.item_id)
        and np.array_equal(a.occurrence, b.occurrence)
    )
    if not same:
        raise RunError(f"{what} rows differ; blend runs of one data set")


def _report(runs: Sequence[Run], result: Blend) -> dict[str, Any]:
    return {
        "runs": [run.name for run in runs],
        "method": result.method,
        "reason": result.reason,
        "weights": result.weights,
        "scores": {k: plain(v) for k, v in result.scores.items()},
        "differences": {k: plain(v) for k, v in result.differences.items()},
    }
