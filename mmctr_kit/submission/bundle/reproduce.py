"""Predict again from a bundle's weights, and compare with its predictions."""

import platform
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import DataError
from mmctr_kit.files import load_arrays
from mmctr_kit.items.features import ItemFeatures, content_hashes
from mmctr_kit.metrics.ranks import Floats, midranks
from mmctr_kit.runs.predictions import Predictions, mean_logits, predictions_for
from mmctr_kit.submission.bundle.distribution import installed_version
from mmctr_kit.submission.bundle.read import Bundle
from mmctr_kit.training.build import make_learner

TOLERANCE = 1e-3
"""Predictions are the same if a logit moves by less than this, or than this share of its size.

Between devices and libraries, float32 sums differ by 1e-6 to 1e-4 of a logit's size."""

OUTLIERS = 1e-3
"""This share of the rows may move further: a value beside a tree's threshold may fall on its other
side."""


@dataclass(frozen=True)
class Difference:
    """How far two predictions of the same ``rows`` differ.

    ``changed``: rows whose logit is another number; ``beyond``: rows beyond :data:`TOLERANCE`.
    ``logit`` and ``rank``: the largest difference of a row's logit, and of its rank among all rows.
    """

    rows: int
    changed: int
    beyond: int
    logit: float
    rank: float

    @classmethod
    def between(cls, now: Floats, before: Floats) -> "Difference":
        """The difference of two logits (rows,) of the same rows."""
        moved = np.abs(now - before)
        allowed = TOLERANCE * np.maximum(1.0, np.abs(before))
        return cls(
            rows=len(now),
            changed=int((moved > 0).sum()),
            beyond=int((moved > allowed).sum()),
            logit=float(moved.max()),
            rank=float(np.abs(midranks(now) - midranks(before)).max()),
        )

    @property
    def small(self) -> bool:
        """Whether the difference is what another device or library makes by rounding."""
        return self.beyond <= OUTLIERS * self.rows


def require_data(bundle: Bundle, data: ChallengeData) -> tuple[ItemFeatures, list[str]]:
    """The item features of the bundle's recipe, and notes on the data, if it is the bundle's.

    Raises DataError that names the files that differ. A file may be stored otherwise, with the same
    content. Item features may be rounded otherwise, if no file differs.
    """
    recipe, before = bundle.recipe(), bundle.content["data"]
    files, now = before["files"], content_hashes(recipe, data)
    names = dict.fromkeys((*files, *now)) if files else {}
    differ = [name for name in names if files.get(name) != now.get(name)]
    which = ", ".join(differ) or "the rows of train, valid or test"
    refused = DataError(
        f"{which} {'differs' if len(differ) == 1 else 'differ'} from the data that the bundle was "
        f"made with; {data.folder} is another data set, or was changed: give --data the original"
    )
    if data.rows_fingerprint != before["rows"]:
        raise refused
    items = ItemFeatures.derive(recipe, data)
    if fingerprint(*items.fingerprints) == before["features"]:
        return items, [f"{name} has other bytes than then, but the same content" for name in differ]
    if differ:
        raise refused
    note = "item features are derived with other rounding, by another version, library or CPU"
    return items, [note]


def version_notes(bundle: Bundle, device: str, threads: int) -> list[str]:
    """What differs between the environment that the run was trained in and the present one."""
    environment, packages = bundle.content["environment"], bundle.content["packages"]
    then = {**packages, "python": environment["python"]}
    then |= {"mmctr-kit": environment["mmctr_kit"], "device": environment["device"]}
    then["threads"] = str(bundle.threads or threads)
    now = {name: installed_version(name) for name in packages}
    now["python"] = platform.python_version()
    now |= {"mmctr-kit": __version__, "device": device, "threads": str(threads)}
    return [f"{k}: {then[k]} then, {now[k]} now" for k in then if then[k] != now[k]]


def predict_again(
    bundle: Bundle,
    data: ChallengeData,
    items: ItemFeatures,
    device: str,
    listen: Callable[[str], None],
) -> Predictions:
    """Predict valid and test with each model of the bundle, and average as the run did.

    ``listen`` receives the name of each model's weights before it predicts.
    """
    learner = make_learner(bundle.recipe(), data, items, device)
    valid, test = [], []
    for files in bundle.models.values():
        each = []
        for name in files:
            listen(name)
            learner.load(load_arrays(bundle.path / name))
            each.append((learner.predict("valid"), learner.predict("test")))
        valid.append(mean_logits([v for v, _ in each]))
        test.append(mean_logits([t for _, t in each]))
    return predictions_for(data, None, None, np.stack(valid), np.stack(test))
