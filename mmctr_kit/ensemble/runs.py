"""From run folders to a blended run folder: align by row key, blend, score, write."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.ensemble.blend import Blend, blend, require_method
from mmctr_kit.ensemble.group import GroupReport, group_softmax, no_oof
from mmctr_kit.ensemble.methods.catalogue import Method
from mmctr_kit.ensemble.stack import Context, Stack, context_of
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import locked, read_json
from mmctr_kit.metrics.auc import auc_difference
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.conflict import is_finished, require_free
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions, keys_of
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import plain, score_predictions
from mmctr_kit.runs.writer import begin_run


def blend_runs(
    runs: Sequence[Run],
    method: Literal["auto"] | Method,
    path: Path,
    force: bool,
    seed: int = 0,
    data: ChallengeData | None = None,
    groups: bool = False,
) -> tuple[Run, Blend] | None:
    """Blend finished runs into a run at ``path``; None where the same blend is there already.

    Runs must match in rows, labels and folds; their features may differ. A run without OOF
    (imported) makes the whole blend one without; so does one without valid rows. Where a run does
    not know its fold models' valid AUC (imported: each is its fold mean), neither does the blend.
    ``data`` is the runs' own: with it lightgbm-context is tried too. ``groups`` adds the group
    step (:mod:`mmctr_kit.ensemble.group`), which makes the blend a transductive one.
    Raises RunError where they do not match or the method cannot be had of them, UsageError where
    one is named twice or ``path`` is one of them; nothing is written then.
    """
    require_blend(runs, method, path, force, seed, data is not None, groups)
    manifests = [run.manifest for run in runs]
    whole = _read(runs)
    if data is not None and data.rows_fingerprint != manifests[0].rows:
        raise RunError(
            f"--data {data.folder} has other rows than run {runs[0].name}: name the runs' own data"
        )
    manifest = _manifest(runs, manifests, whole, method, seed, data, groups)
    with locked(path):
        if is_finished(path, manifest, force):
            return None
        stack, first = stack_of([run.name for run in runs], whole, data), whole[0]
        del whole  # what it held stands in the stack
        result = blend(stack, method, seed)
        found, grouped = _predictions(first, stack.valid.shape[2] > 0, result), None
        against = _against_mean(found, result)
        if groups:
            found, grouped = group_softmax(found, seed)
        scores = score_predictions(found)
        scores["blend"] = _relations(runs, result)
        scores["transductive"] = manifest.transductive
        if grouped is not None:
            scores["group_softmax"] = _plain_group(grouped)
        if not all("fold_models_valid" in run.metrics for run in runs):
            scores.pop("fold_models_valid", None)
            scores["alarm"] = None
        writer = begin_run(path, manifest, None, force)
        assert writer is not None
        report = _report(runs, result, grouped, manifest.transductive)
        report["places"] = _places(runs, path)
        writer.write_json("blend.json", report | {"on_valid": against and plain(against)})
        return writer.finish(found, scores, {}), result


def require_blend(
    runs: Sequence[Run],
    method: Literal["auto"] | Method,
    path: Path,
    force: bool,
    seed: int,
    with_data: bool,
    groups: bool,
) -> None:
    """Raise what :func:`blend_runs` would, as far as the runs' manifests tell: neither predictions
    nor data are read. ``with_data``: whether it will be given any."""
    manifests = [run.manifest for run in runs]
    _require_same(runs, manifests)
    if path.resolve() in [run.path.resolve() for run in runs]:
        raise UsageError(f"run '{path.name}' is part of the blend; choose another --name")
    with_oof = all(m.folds for m in manifests)
    require_method(method, with_oof, with_data)
    if groups and not with_oof:
        raise no_oof()
    require_free(path, _known(runs, manifests, seed), force)


def blend_report(run: Run) -> dict[str, Any]:
    """What a finished blend tells of itself: ``runs``, ``method``, ``reason``, ``note``,
    ``weights`` (or null), ``scores`` and ``differences`` of the methods tried, as {value, error,
    n}, how many errors each lies ``above_chance`` (null: not known), ``correlation`` ({runs,
    spearman}) and what each run ``adds``, ``transductive``, ``group_softmax`` (or null), and
    ``on_valid`` (or null), the valid AUC of the method used less that of the mean, without the
    group step. Half of it stands in metrics.json too, for a report."""
    return read_json(run.path / "blend.json")


def stack_of(
    names: Sequence[str], whole: Sequence[Predictions], data: ChallengeData | None = None
) -> Stack:
    """The runs' predictions as arrays, with the context of ``data`` where it is given; RunError
    where their rows or folds differ."""
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
        return Stack(tuple(names), None, empty, empty, empty, empty, valid, test)
    for name, other_oof in zip(names[1:], ours[1:], strict=True):
        _require_keys(f"{names[0]} and {name}: OOF", ours[0].keys, other_oof.keys)
        if not np.array_equal(ours[0].fold, other_oof.fold):
            raise RunError(f"runs {names[0]} and {name} have different folds; train one again")
    return Stack(
        tuple(names),
        np.stack([o.logit for o in ours]),
        ours[0].label,
        ours[0].keys.user_id,
        ours[0].keys.item_id,
        ours[0].fold,
        np.stack([p.valid[:, :rows] for p in whole]),
        np.stack([p.test for p in whole]),
        None if data is None else _context(data, ours[0], whole[0], known),
    )


def _read(runs: Sequence[Run]) -> list[Predictions]:
    """The runs' predictions. Equal rows share their keys, which weigh twice what logits do: a
    hundred runs of 3.6 million rows would not fit otherwise."""
    whole: list[Predictions] = []
    for run in runs:
        found = run.predictions()
        if found.oof is None and run.manifest.folds:
            # Else it would be averaged without a word, as if it had never had any.
            raise RunError(
                f"{run.path} lacks its oof.parquet; copy the whole run, or make it again"
            )
        whole.append(_sharing(whole[0], found) if whole else found)
    return whole


def _sharing(first: Predictions, found: Predictions) -> Predictions:
    """``found`` with the arrays of ``first`` wherever they are equal."""
    if found.test_keys.same(first.test_keys):
        found = replace(found, test_keys=first.test_keys)
    ours, theirs = first.oof, found.oof
    if ours is None or theirs is None or not theirs.keys.same(ours.keys):
        return found
    if not (np.array_equal(ours.fold, theirs.fold) and np.array_equal(ours.label, theirs.label)):
        return found
    return replace(found, oof=replace(ours, logit=theirs.logit))


def _context(data: ChallengeData, oof: OutOfFold, first: Predictions, known: bool) -> Context:
    _require_keys("the runs' and --data's OOF", oof.keys, keys_of(data.train))
    _require_keys("the runs' and --data's test", first.test_keys, keys_of(data.test))
    found = context_of(data, oof.fold)
    return found if known else replace(found, valid=found.valid[:, :, :0])


def _predictions(first: Predictions, known: bool, result: Blend) -> Predictions:
    """The blend's, on the rows of its first run; ``known``: whether all have valid rows."""
    oof = None
    if result.oof is not None:
        assert first.oof is not None
        oof = OutOfFold(first.oof.keys, first.oof.label, first.oof.fold, result.oof)
    keys = first.valid_keys if known else Keys.none()
    label = first.valid_label if known else np.zeros(0, np.int8)
    return Predictions(oof, keys, label, result.valid, first.test_keys, result.test)


def _against_mean(found: Predictions, result: Blend) -> Estimate | None:
    """Valid AUC of the method used less that of the mean, each with its fold models averaged."""
    if result.mean_valid is None or not found.has_valid:
        return None
    ours, mean = found.valid_mean(), result.mean_valid.mean(0)
    return auc_difference(found.valid_label, ours, mean, found.valid_keys.user_id)


def _manifest(
    runs: Sequence[Run],
    manifests: Sequence[Manifest],
    whole: Sequence[Predictions],
    method: str,
    seed: int,
    data: ChallengeData | None,
    groups: bool,
) -> Manifest:
    partial = any(p.oof is None for p in whole)
    # The logits too: one recipe gives others on another machine or with another version.
    parts = [[m.recipe, m.features, p.digest()] for m, p in zip(manifests, whole, strict=True)]
    options = (data.context_fingerprint if data else "", groups)
    # Without OOF a rank is one among the rows that stand beside it.
    transductive = groups or (partial and method == "rank")
    return Manifest(
        **_known(runs, manifests, seed),
        folds="" if partial else manifests[0].folds,
        recipe=fingerprint("blend", method, seed, parts, *options),
        environment={"mmctr_kit": __version__, "numpy": np.__version__},
        transductive=transductive or any(m.transductive for m in manifests),
    )


def _known(runs: Sequence[Run], manifests: Sequence[Manifest], seed: int) -> dict[str, Any]:
    """The parts of a blend's manifest that its runs' predictions do not change."""
    return {
        "kind": "blend",
        "rows": manifests[0].rows,
        "features": fingerprint([m.features for m in manifests]),
        "seeds": (seed,),
        "sources": tuple(run.name for run in runs),
    }


def _require_same(runs: Sequence[Run], manifests: Sequence[Manifest]) -> None:
    if len({run.name for run in runs}) != len(runs):
        raise UsageError("a run is named twice; name each run once")
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
    if not a.same(b):
        raise RunError(f"{what} rows differ; blend runs of one data set")


def _report(
    runs: Sequence[Run], result: Blend, grouped: GroupReport | None, transductive: bool
) -> dict[str, Any]:
    return {
        "runs": [run.name for run in runs],
        "reason": result.reason,
        "note": result.note,
        "scores": {k: plain(v) for k, v in result.scores.items()},
        "differences": {k: plain(v) for k, v in result.differences.items()},
        "above_chance": {
            k: v if math.isfinite(v) else None for k, v in result.above_chance.items()
        },
        **_relations(runs, result),
        "transductive": transductive,
        "group_softmax": None if grouped is None else _plain_group(grouped),
    }


def _places(runs: Sequence[Run], path: Path) -> dict[str, str]:
    """Of runs that do not lie beside the blend, the way from there to them."""
    beside = path.parent.resolve()
    deeper = [run for run in runs if run.path.parent.resolve() != beside]
    return {run.name: os.path.relpath(run.path.resolve(), beside) for run in deeper}


def _relations(runs: Sequence[Run], result: Blend) -> dict[str, Any]:
    return {
        "method": result.method,
        "weights": result.weights,
        "correlation": {
            "runs": [run.name for run in runs],
            "spearman": [[round(float(x), 6) for x in row] for row in result.correlation],
        },
        "adds": {name: plain(gain) for name, gain in result.adds.items()},
    }


def _plain_group(grouped: GroupReport) -> dict[str, Any]:
    return {k: plain(v) if isinstance(v, Estimate) else v for k, v in vars(grouped).items()}
