"""Run folders made up in no time: what a report is made of, without training anything."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.ablation.table import Row, Table
from mmctr_kit.cv.fold import PHASES
from mmctr_kit.cv.model_cost import Latency, Measured
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import user_folds
from mmctr_kit.ensemble.runs import blend_runs
from mmctr_kit.files import write_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.fold_models import FoldModel, score_model
from mmctr_kit.runs.importance import FILE, combine_importance, pack_importance
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Predictions, predictions_for
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.slices import slice_metrics
from mmctr_kit.runs.writer import begin_run
from mmctr_kit.tuning.finalists import Finalist
from mmctr_kit.tuning.summary import Summary
from tests.runs.unsealed import unsealed

FOLDS = 3
FEATURES = 20
TRIALS = 18
NAMES = ("alpha", "beta", "gamma", "delta", "a-run_with.a-rather-long-name")
MANIFEST = Manifest(
    "cv", "rows", "features", "folds", "recipe", (0,), (), {"python": "3.11", "device": "CPU"}
)


def predicted(data: ChallengeData, signal: float, seed: int) -> Predictions:
    """Logits with so much of the label in them, a little of it shared by all seeds."""
    shared, own = np.random.default_rng(0), np.random.default_rng(seed + 1)

    def logits(rows: int, labels: np.ndarray | float) -> np.ndarray:
        noise = shared.normal(size=rows) + own.normal(size=rows)
        return signal * (np.asarray(labels) - 0.5) + noise - 1.0

    oof = logits(len(data.train), data.train.labels())
    valid = np.stack([logits(len(data.valid), data.valid.labels()) for _ in range(FOLDS)])
    test = np.stack([logits(len(data.test), 0.25) for _ in range(FOLDS)])
    return predictions_for(data, oof, user_folds(data.train.user_id, FOLDS, 0), valid, test)


def make_run(root: Path, name: str, data: ChallengeData, signal: float, seed: int) -> Run:
    """A finished cv run: recipe, epochs, slices and timings."""
    found = predicted(data, signal, seed)
    recipe = load_recipe("din_demo", [f"training.learning_rate={0.001 * (seed + 1)}"])
    manifest = replace(MANIFEST, recipe=f"recipe {name}", features=f"features {name}")
    writer = begin_run(root / name, manifest, recipe.to_yaml(), False)
    assert writer is not None
    spent = {f"{f}-0": dict.fromkeys(PHASES, 1.5 + f) for f in range(FOLDS)}
    for fold in range(FOLDS):
        lines = [
            {
                "epoch": e,
                "train_loss": 0.6 - 0.05 * e,
                "holdout_auc": 0.6 + 0.03 * e - 0.01 * fold,
                "holdout_logloss": 0.5,
                "best": True,
            }
            for e in (1, 2, 3)
        ]
        writer.fold(fold, 0).save_epoch(lines, {"epochs_done": np.array(3)}, spent[f"{fold}-0"])
    timings = {
        "last_command_seconds": 9.0,
        "phase_seconds": {p: sum(s[p] for s in spent.values()) for p in PHASES},
        "fold_seconds": spent,
    }
    metrics = score_predictions(found) | slice_metrics(data, found)
    models = [model.to_json() for model in scored_models(found, lines)]
    metrics |= {"fold_models": models}
    return writer.finish(found, metrics, timings)


def scored_models(found: Predictions, lines: list[dict[str, Any]]) -> Iterator[FoldModel]:
    """The scores of the made-up fold models, as a cv run writes them."""
    assert found.oof is not None
    of_valid = found.valid_label, found.valid_keys.user_id
    for fold in range(FOLDS):
        rows = found.oof.fold == fold
        logits = {"oof": found.oof.logit[rows], "valid": found.valid[fold]}
        of_oof = found.oof.label[rows], found.oof.keys.user_id[rows]
        yield score_model(f"{fold}-0", logits, of_oof, of_valid, lines)


def make_importance(run: Run) -> None:
    """The importance of made-up features: the first is worth most, the last nothing."""
    found, random = run.predictions(), np.random.default_rng(0)
    rows, noise = np.arange(len(found.valid_label)), np.linspace(2.0, 0.0, FEATURES)
    meanings = {f"feature_{i}": f"made-up feature number {i}" for i in range(FEATURES)}
    drawn = random.normal(size=(FEATURES, len(rows)))
    models = [
        pack_importance(meanings, noise + random.random(), rows, logits + noise[:, None] * drawn)
        for logits in found.valid
    ]
    features = [feature.to_json() for feature in combine_importance(found, models)]
    write_json(unsealed(run.path) / FILE, {"rows": len(rows), "features": features})


def make_ablation(root: Path, name: str) -> None:
    """An ablation of the run ``name``, as its table is written."""
    cost = Measured(1234, 1e4, (Latency(1, 0.5, 0.9, 200), Latency(64, 0.6, 1.0, 9)), 300.0, "gpu")

    def row(variant: str, change: float) -> Row:
        oof, valid = Estimate(change, 0.001, 1600), Estimate(change, 0.004, 400)
        return Row(
            variant, f"model.{variant}: a -> <b>", "a", (), oof, valid, valid, None, None, cost
        )

    rows = (row("base", 0.7), row("se-off", 0.01), row("history-off", -0.05))
    made = Table("din_demo", (0,), FOLDS, "cpu", 1, 2.2, rows, {})
    folder = root / f"{name}.ablate"
    folder.mkdir()
    write_json(folder / "ablation.json", made.as_json())


def make_study(
    root: Path, name: str, data: ChallengeData, changes: dict[str, Any] | None = None
) -> None:
    """A study called ``name`` with two finalists that was told of the first, as its command leaves
    it."""
    trials = [
        {
            "number": i,
            "state": "pruned" if i == 3 else "complete",
            "params": {
                "items.embedding": "separate_pca",
                "items.text_dim": 8 * 2 ** (i % 3),
                "items.image_dim": 8 * 2 ** (i % 4),
                "training.learning_rate": 0.001 * (1 + i % 5),
            },
            "value": None if i == 3 else 0.7 + 0.01 * (i % 8),
            "auc": None if i == 3 else Estimate(0.702 + 0.01 * (i % 8), 0.002, 1600).to_json(),
            "intermediate": {"0": 0.7, "1": 0.69 + 0.01 * (i % 8)},
        }
        for i in range(TRIALS)
    ]
    best = Estimate(0.772, 0.002, 1600)
    seen = Estimate(0.76, 0.002, 1600)
    point = {"items.embedding": "separate_pca", "items.text_dim": 16}
    changes = {"items.text_dim": 16} if changes is None else changes
    valid = Estimate(0.75, 0.01, 400)
    finalist = Finalist(7, point, changes, best, seen, seen, valid)
    importance = {"items.text_dim": 0.7, "items.image_dim": 0.3}
    summary = Summary(name, "din_demo", FOLDS, {}, {}, tuple(trials), importance, (finalist,), (1,))
    folder = root / f"{name}.study"
    make_run(folder / "finalists", "trial-7", data, 1.0, 7)
    make_run(folder / "finalists", "trial-2", data, 1.0, 2)
    settings = {"recipe": load_recipe("din_demo").resolved(), "search": {}, "data": "rows"}
    write_json(folder / "settings.json", settings | {"version": "0.1.0"})
    write_json(folder / "study.json", summary.as_json())


def make_all(root: Path, data: ChallengeData) -> Path:
    """Five runs, their blend ``mix``, and an ablation of the first; returns ``root``."""
    runs = [make_run(root, n, data, 0.6 + 0.3 * i, i) for i, n in enumerate(NAMES)]
    make_importance(runs[0])
    assert blend_runs(runs, "greedy", root / "mix", False) is not None
    make_ablation(root, NAMES[0])
    return root
