"""From run folders to a blended run folder: align by row key, blend, score, write."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.ensemble.blend import Blend, blend, require_method
from mmctr_kit.ensemble.group import group_softmax, no_oof
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
from mmctr_kit.runs.scores import score_predictions
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
    """Blend finished runs into a run at ``path``; None if the same blend is there already.

    Runs must match in rows, labels and folds; their features may differ. If one run lacks OOF, or
    valid rows (imported), so does the blend. If a run does not know its fold models' valid AUC
    (imported: each is its fold mean), neither does the blend.
    ``data`` is what the runs were made from: with it lightgbm-context and stack are tried too.
    ``groups`` adds the group step (:mod:`mmctr_kit.ensemble.group`), which is transductive.
    Raises RunError if the runs do not match or the method does not fit them, UsageError if one is
    named twice or ``path`` is one of them; nothing is written then.
    """
    require_blend(runs, method, path, force, seed, data is not None, groups)
    manifests = [run.manifest for run in runs]
    whole = read_predictions(runs)
    if data is not None and data.rows_fingerprint != manifests[0].rows:
        raise RunError(
            f"--data {data.folder} has other rows than run {runs[0].name}: name the runs' own data"
        )
    manifest = _manifest(runs, manifests, whole, method, seed, data, groups)
    with locked(path):
        if is_finished(path, manifest, force):
            return None
        stack, first = stack_of([run.name for run in runs], whole, data), whole[0]
        del whole  # the stack holds its arrays
        result = blend(stack, method, seed)
        predictions, grouped = _predictions(first, stack.valid.shape[2] > 0, result), None
        against = None
        if result.mean_valid is not None and predictions.has_valid:
            label, user = predictions.valid_label, predictions.valid_keys.user_id
            mean = result.mean_valid.mean(0)
            against = auc_difference(label, predictions.valid_mean(), mean, user)
        best, over_best = _against_best(runs, stack, predictions)
        if groups:
            predictions, grouped = group_softmax(predictions, seed)
        scores, summary = score_predictions(predictions), _summary(runs, result)
        scores |= {"blend": summary, "transductive": manifest.transductive}
        if grouped is not None:
            scores["group_softmax"] = grouped.to_json()
        if not all("fold_models_valid" in run.metrics for run in runs):
            scores.pop("fold_models_valid", None)
            scores["alarm"] = None
        writer = begin_run(path, manifest, None, force, None if data is None else data.folder)
        assert writer is not None
        writer.write_json(
            "blend.json",
            {
                "runs": [run.name for run in runs],
                "reason": result.reason,
                "note": result.note,
                "left_out": list(result.left_out),
                "scores": {k: v.to_json() for k, v in result.scores.items()},
                "differences": {k: v.to_json() for k, v in result.differences.items()},
                "above_chance": {
                    k: z if math.isfinite(z) else None for k, z in result.above_chance.items()
                },
                **summary,
                "transductive": manifest.transductive,
                "group_softmax": grouped and grouped.to_json(),
                "places": _source_paths(runs, path),
                "seals": {run.name: run.seal_digest for run in runs},
                "on_valid": against and against.to_json(),
                "best_run": best,
                "over_best": over_best and over_best.to_json(),
            },
        )
        return writer.finish(predictions, scores, {}), result


def require_blend(
    runs: Sequence[Run],
    method: Literal["auto"] | Method,
    path: Path,
    force: bool,
    seed: int,
    with_data: bool,
    groups: bool,
) -> None:
    """Raise what :func:`blend_runs` would, reading the runs' manifests alone."""
    manifests = [run.manifest for run in runs]
    _require_same(runs, manifests)
    if path.resolve() in [run.path.resolve() for run in runs]:
        raise UsageError(f"run '{path.name}' is part of the blend; choose another --name")
    without_oof = [run.name for run, m in zip(runs, manifests, strict=True) if not m.folds]
    require_method(method, without_oof, with_data)
    if groups and without_oof:
        raise no_oof(without_oof)
    require_free(path, _fixed_parts(runs, manifests, seed), force)


def remarks(runs: Sequence[Run]) -> list[str]:
    """What is odd about the choice of runs: a single one, or one that is in the blend twice."""
    if len(runs) == 1:
        return [f"{runs[0].name} alone is no blend, but a copy of it: name two runs or more"]
    lines = []
    for run in runs:
        inside = _contains(run)
        held = [other.name for other in runs if other.path.resolve() in inside]
        if held:
            twice = f"{run.name} contains {' and '.join(held)} already, which then counts twice"
            lines.append(f"{twice}; leave one out")
    return lines


def _against_best(
    runs: Sequence[Run], stack: Stack, predictions: Predictions
) -> tuple[str | None, Estimate | None]:
    """The run with the best OOF AUC, and the blend's valid AUC less that run's; None if unknown."""
    aucs = [auc.value for run in runs if (auc := run.oof_auc) is not None]
    if len(runs) < 2 or not predictions.has_valid or len(aucs) < len(runs):
        return None, None
    best = int(np.argmax(aucs))
    label, user = predictions.valid_label, predictions.valid_keys.user_id
    alone = stack.valid[best].mean(0)
    return runs[best].name, auc_difference(label, predictions.valid_mean(), alone, user)


def _contains(run: Run) -> set[Path]:
    """The folders of the runs that a blend is made of, and of those that they are made of."""
    folders = [folder for folder in run.source_places.values() if folder.is_dir()]
    return {f.resolve() for f in folders}.union(*(_contains(Run(folder)) for folder in folders))


def blend_report(run: Run) -> dict[str, Any]:
    """The blend.json of a finished blend.

    Keys: ``runs``, ``method``, ``reason``, ``note``, the runs ``left_out`` since they do harm
    (absent in blends made before it), ``weights`` (or null), ``scores`` and
    ``differences`` of the methods tried, as {value, error, n}, how many standard errors each lies
    ``above_chance`` (null: unknown), ``correlation`` ({runs, spearman}), what each run ``adds``,
    ``transductive``, ``group_softmax`` (or null), ``on_valid`` (or null): the valid AUC of the
    method used less the mean's, without the group step; and ``over_best`` (or null): the same less
    that of ``best_run``, the run with the best OOF AUC. metrics.json repeats half of it.
    """
    return read_json(run.file("blend.json"))


def stack_of(
    names: Sequence[str], whole: Sequence[Predictions], data: ChallengeData | None = None
) -> Stack:
    """The runs' arrays, with the context of ``data`` if given; RunError if rows or folds differ."""
    first = whole[0]
    with_valid = all(p.has_valid for p in whole)
    for name, other in zip(names[1:], whole[1:], strict=True):
        if with_valid:
            _require_keys(f"{names[0]} and {name}: valid", first.valid_keys, other.valid_keys)
        _require_keys(f"{names[0]} and {name}: test", first.test_keys, other.test_keys)
    rows = None if with_valid else 0  # if a run has no valid rows, the blend has none
    ours = [p.oof for p in whole if p.oof is not None]
    if len(ours) < len(whole):
        # Without OOF for all, fold models have no use: each run is its fold mean.
        empty = np.zeros(0, np.int64)
        valid = np.stack([p.valid_mean()[None, :rows] for p in whole])
        test = np.stack([p.test_mean()[None] for p in whole])
        lacking = tuple(n for n, p in zip(names, whole, strict=True) if p.oof is None)
        none = (empty, empty, empty, empty)
        return Stack(tuple(names), None, *none, valid, test, without_oof=lacking)
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
        None if data is None else _context(data, ours[0], whole[0], with_valid),
    )


def read_predictions(runs: Sequence[Run]) -> list[Predictions]:
    """The runs' predictions; equal rows share their keys.

    Keys take twice the memory of logits, too much for a hundred runs of 3.6 million rows.
    """
    whole: list[Predictions] = []
    for run in runs:
        predictions = run.predictions()
        if predictions.oof is None and run.manifest.folds:
            # It would silently be averaged like a run that never had any.
            raise RunError(
                f"{run.path} lacks its oof.parquet; copy the whole run, or make it again"
            )
        whole.append(_sharing(whole[0], predictions) if whole else predictions)
    return whole


def _sharing(first: Predictions, other: Predictions) -> Predictions:
    """``other`` with the arrays of ``first`` wherever they are equal."""
    if other.test_keys.same(first.test_keys):
        other = replace(other, test_keys=first.test_keys)
    a, b = first.oof, other.oof
    if not a or not b or not b.keys.same(a.keys):
        return other
    same = np.array_equal(a.fold, b.fold) and np.array_equal(a.label, b.label)
    return replace(other, oof=replace(a, logit=b.logit)) if same else other


def _context(data: ChallengeData, oof: OutOfFold, first: Predictions, with_valid: bool) -> Context:
    _require_keys("the runs' and --data's test", first.test_keys, keys_of(data.test))
    context = context_of(data, oof.folds_of(data.train))
    return context if with_valid else replace(context, valid=context.valid[:, :, :0])


def _predictions(first: Predictions, with_valid: bool, result: Blend) -> Predictions:
    """The blend's logits on the rows of its first run; ``with_valid``: if all runs have valid."""
    oof = None
    if result.oof is not None:
        assert first.oof is not None
        oof = replace(first.oof, logit=result.oof)
    keys = first.valid_keys if with_valid else Keys.none()
    label = first.valid_label if with_valid else np.zeros(0, np.int8)
    return Predictions(oof, keys, label, result.valid, first.test_keys, result.test)


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
    # The logits too: the same recipe gives others on another machine or version.
    parts = [[m.recipe, m.features, p.digest()] for m, p in zip(manifests, whole, strict=True)]
    options = (data.context_fingerprint if data else "", groups)
    # Without OOF a row is ranked among the other rows of its split.
    transductive = groups or (partial and method == "rank")
    return Manifest(
        **_fixed_parts(runs, manifests, seed),
        folds="" if partial else manifests[0].folds,
        recipe=fingerprint("blend", method, seed, parts, *options),
        environment={"mmctr_kit": __version__, "numpy": np.__version__},
        transductive=transductive or any(m.transductive for m in manifests),
    )


def _fixed_parts(runs: Sequence[Run], manifests: Sequence[Manifest], seed: int) -> dict[str, Any]:
    """The parts of a blend's manifest that do not depend on its runs' predictions."""
    return {
        "kind": "blend",
        "rows": manifests[0].rows,
        "features": fingerprint([m.features for m in manifests]),
        "seeds": (seed,),
        "sources": tuple(run.name for run in runs),
    }


def _require_same(runs: Sequence[Run], manifests: Sequence[Manifest]) -> None:
    if not runs:
        raise UsageError("a blend needs one run or more")
    names = [run.name for run in runs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{twice[0]} is named twice; name each run once")
    for run, manifest in zip(runs[1:], manifests[1:], strict=True):
        first = manifests[0]
        if manifest.rows != first.rows:
            raise RunError(
                f"runs {_with_places(runs[0], run)} have different rows or labels; blend runs of "
                "one data set"
            )
        if manifest.folds and first.folds and manifest.folds != first.folds:
            raise RunError(
                f"runs {runs[0].name} and {run.name} have different folds; train one again with "
                "the other's folds.by, folds.count and folds.seed (imported OOF: with the fold "
                "column of its oof.parquet)"
            )


def _with_places(one: Run, other: Run) -> str:
    """Two runs, each with its path if their folders differ, and its data folder if recorded."""
    apart, shown = one.path.parent.resolve() != other.path.parent.resolve(), []
    for run in (one, other):
        lineage = None
        with suppress(RunError):  # damaged: then it is not known
            lineage = run.lineage
        data = f" (of {lineage.data})" if lineage and lineage.data else ""
        shown.append(f"{run.path if apart else run.name}{data}")
    return " and ".join(shown)


def _require_keys(what: str, a: Keys, b: Keys) -> None:
    if not a.same(b):
        raise RunError(f"{what} rows differ; blend runs of one data set")


def _source_paths(runs: Sequence[Run], path: Path) -> dict[str, str]:
    """Relative paths to the runs that are not in the blend's own parent folder."""
    parent = path.parent.resolve()
    elsewhere = [run for run in runs if run.path.parent.resolve() != parent]
    return {run.name: os.path.relpath(run.path.resolve(), parent) for run in elsewhere}


def _summary(runs: Sequence[Run], result: Blend) -> dict[str, Any]:
    """The part of blend.json that metrics.json repeats."""
    return {
        "method": result.method,
        "weights": result.weights,
        "correlation": {
            "runs": [run.name for run in runs],
            "spearman": [[round(float(x), 6) for x in row] for row in result.correlation],
        },
        "adds": {name: gain.to_json() for name, gain in result.adds.items()},
    }
