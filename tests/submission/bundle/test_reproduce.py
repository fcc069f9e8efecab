"""mmctr_kit.submission.bundle.reproduce: predictions come back bit for bit from the weights."""

import json
from pathlib import Path

import numpy as np
import pytest

import mmctr_kit
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import DataError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.bundle.read import Bundle, open_bundle, rendered
from mmctr_kit.submission.bundle.reproduce import (
    Difference,
    predict_again,
    require_data,
    version_notes,
)
from mmctr_kit.training.device import describe_device, prepare
from tests.submission.bundle.conftest import SHORT, bundled

RECIPES: dict[str, tuple[str, dict[str, object]]] = {
    "signals": ("din_demo", {"signals.kinds": "all"}),
    "extra rows": ("din_demo", {"augmentation.per_user": 2}),
    "extra rows with signals": (
        "din_mha_demo",
        {"signals.kinds": ["cosine", "next"], "augmentation.per_user": 1},
    ),
    "users": ("din_target_encoder", {"model.embedding_dim": 8}),
    "qin": ("qin", {"model.embedding_dim": 8, "model.num_layers": 1}),
    "trees": ("gbdt_demo", {}),
}


def reproduced(bundle: Bundle, data: ChallengeData) -> Predictions:
    prepare("cpu", 1)
    items = ItemFeatures.derive(bundle.recipe(), data)
    return predict_again(bundle, data, items, "cpu", lambda _: None)


@pytest.mark.parametrize("name", ["one", "four", "own"])
def test_logits_from_the_weights_are_the_runs_own(
    runs: Path, tiny: ChallengeData, tmp_path: Path, name: str
) -> None:
    bundle = open_bundle(bundled(runs / name, tmp_path / "bundle"))
    made, run = reproduced(bundle, tiny), Run(runs / name).predictions(with_oof=False)
    assert made.digest() == run.digest()
    assert made.valid_keys.same(run.valid_keys)


@pytest.mark.parametrize("name", RECIPES)
def test_whatever_a_recipe_learns_from_its_training_users_comes_back(
    tiny: ChallengeData, tmp_path: Path, name: str
) -> None:
    recipe, settings = RECIPES[name]
    run = mmctr_kit.fit(recipe, tiny, name="run", set=SHORT | settings, runs=tmp_path)
    bundle = open_bundle(bundled(run.path, tmp_path / "bundle"))
    assert reproduced(bundle, tiny).digest() == run.predictions().digest()


def test_a_difference_counts_rows_and_takes_the_largest() -> None:
    before = np.array([0.0, 1.0, 2.0, 100.0])
    small = Difference.between(before + np.array([0.0, 1e-4, 0.0, 0.05]), before)
    assert (small.rows, small.changed, small.beyond, small.rank) == (4, 2, 0, 0.0)
    assert small.logit == pytest.approx(0.05)
    assert small.small
    large = Difference.between(np.array([3.0, 1.0, 2.0, 100.0]), before)
    assert (large.changed, large.beyond, large.rank) == (1, 1, 2.0)
    assert not large.small


def test_one_row_in_a_thousand_may_fall_on_the_other_side_of_a_threshold() -> None:
    before = np.zeros(2_000)
    after = before.copy()
    after[:2] = 1.0
    assert Difference.between(after, before).small
    after[2] = 1.0
    assert not Difference.between(after, before).small


@pytest.fixture(scope="module")
def bundle(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(bundled(runs / "one", tmp_path_factory.mktemp("bundles") / "one"))


def with_content(bundle: Bundle, **changes: object) -> Bundle:
    """The bundle as if bundle.json said something else."""
    content = json.loads(rendered({**bundle.content, **changes}))
    return Bundle(bundle.path, content)


def test_the_right_data_needs_no_note(bundle: Bundle, tiny: ChallengeData) -> None:
    items, notes = require_data(bundle, tiny)
    assert notes == []
    assert items.fingerprints == ItemFeatures.derive(bundle.recipe(), tiny).fingerprints


def test_features_rounded_otherwise_are_noted_and_a_file_stored_otherwise_too(
    bundle: Bundle, tiny: ChallengeData
) -> None:
    data = dict(bundle.content["data"])
    rounded = with_content(bundle, data=data | {"features": "f"})
    assert "with other rounding" in require_data(rounded, tiny)[1][0]
    files = data["files"] | {"item_feature.parquet": "f"}
    stored = with_content(bundle, data=data | {"files": files})
    notes = ["item_feature.parquet has other bytes than then, but the same content"]
    assert require_data(stored, tiny)[1] == notes


def test_a_run_that_noted_no_files_still_knows_its_rows(
    bundle: Bundle, tiny: ChallengeData
) -> None:
    data = dict(bundle.content["data"])
    assert require_data(with_content(bundle, data=data | {"files": {}}), tiny)[1] == []
    other = with_content(bundle, data=data | {"files": {}, "rows": "r"})
    with pytest.raises(DataError, match="the rows of train, valid or test differ from the data"):
        require_data(other, tiny)


def test_other_versions_are_listed(bundle: Bundle) -> None:
    here = describe_device("cpu")
    assert version_notes(bundle, here, 1) == []
    packages = dict(bundle.content["packages"]) | {"numpy": "2.0.0"}
    environment = dict(bundle.content["environment"]) | {"python": "3.11.0"}
    other = with_content(bundle, packages=packages, environment=environment)
    notes = version_notes(other, "a GPU", 2)
    assert [n.split(":")[0] for n in notes] == ["numpy", "python", "device", "threads"]
    assert notes[2:] == [f"device: {here} then, a GPU now", "threads: 1 then, 2 now"]
