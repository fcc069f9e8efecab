"""Feature importance of a run whose models have features with names, as boosted trees have.

*Gain* is the share of a model's whole gain in training loss that splits by the feature brought. It
says what trees use, right or wrong. *Permutation importance* is what the valid AUC of the fold mean
drops by if the feature's values change rows (Breiman, Machine Learning 45, 2001): what the feature
is worth on rows that trained nothing. Features that can replace each other have little of either.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.files import read_json
from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.run import Run

FILE = "importance.json"


@dataclass(frozen=True)
class FeatureImportance:
    """One feature's importance; ``meaning`` explains its name in a sentence.

    ``gain``: its share of a model's gain, the mean over the models; the standard error is from
    their spread, NaN for one model. ``drop``: valid AUC of the fold mean less its AUC with the
    feature permuted, paired, clustered by user; None if valid has no rows of both labels.
    """

    name: str
    meaning: str
    gain: Estimate
    drop: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """The entry in importance.json."""
        return asdict(self) | {
            "gain": self.gain.to_json(),
            "drop": self.drop and self.drop.to_json(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The feature that :meth:`to_json` stored."""
        gain, drop = Estimate.from_json(stored["gain"]), Estimate.find(stored, "drop")
        return cls(str(stored["name"]), str(stored["meaning"]), gain, drop)


def pack_importance(
    meanings: Mapping[str, str], gain: NDArray[Any], rows: NDArray[Any], permuted: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """One model's importance as arrays, for its fold folder.

    ``meanings`` of the features by name; ``gain`` (features,); ``permuted`` (features, k): the
    logits of the valid ``rows`` (k,) with each feature permuted.
    """
    return {
        "features": np.frombuffer(json.dumps(dict(meanings)).encode(), np.uint8),
        "gain": np.asarray(gain, np.float64),
        "rows": np.asarray(rows, np.int64),
        "permuted": np.asarray(permuted, np.float32),
    }


def combine_importance(
    predictions: Predictions, models: Sequence[Mapping[str, NDArray[Any]]]
) -> list[FeatureImportance]:
    """The importance of a run's features, the most important first, from those of its models.

    ``models``: what :func:`pack_importance` made of each, all of the same features and rows.
    """
    meanings: dict[str, str] = json.loads(models[0]["features"].tobytes())
    totals = [max(float(model["gain"].sum()), 1e-300) for model in models]
    gains = np.stack([m["gain"] / total for m, total in zip(models, totals, strict=True)])
    rows = models[0]["rows"]
    permuted = np.mean([model["permuted"].astype(np.float64) for model in models], axis=0)
    drops = _drops(predictions, rows, permuted)
    features = [
        FeatureImportance(name, meaning, _mean(gain), drop)
        for (name, meaning), gain, drop in zip(meanings.items(), gains.T, drops, strict=True)
    ]
    return sorted(features, key=lambda f: (-(f.drop.value if f.drop else 0.0), -f.gain.value))


def feature_importance(run: Run) -> tuple[FeatureImportance, ...]:
    """The features of a finished run, the most important first by their drop of valid AUC.

    None for a run whose models have no named features, such as a network or a blend.
    """
    if not run.has(FILE):
        return ()
    stored = read_json(run.file(FILE))["features"]
    return tuple(FeatureImportance.from_json(entry) for entry in stored)


def _drops(
    predictions: Predictions, rows: NDArray[np.int64], permuted: NDArray[np.float64]
) -> list[Estimate | None]:
    label, user = predictions.valid_label[rows], predictions.valid_keys.user_id[rows]
    if len(np.unique(label)) < 2:
        return [None] * len(permuted)
    sample = AucSample(label, user)
    intact = sample.influence(predictions.valid_mean()[rows])
    return [sample.difference(intact, sample.influence(logits)) for logits in permuted]


def _mean(values: NDArray[np.float64]) -> Estimate:
    """The mean over models, with the standard error of their spread."""
    n = len(values)
    se = float(np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return Estimate(float(values.mean()), se, n)
