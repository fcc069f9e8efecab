"""mmctr_kit.runs.manifest: what identifies a run, through JSON and back."""

import json
from dataclasses import asdict, replace

import pytest

from mmctr_kit.runs.manifest import Manifest

MANIFEST = Manifest("cv", "r", "f", "o", "c", (0, 1), ("a",), {"device": "cpu"}, True)


def test_a_manifest_survives_json() -> None:
    assert Manifest.from_json(json.loads(json.dumps(asdict(MANIFEST)))) == MANIFEST


def test_another_key_is_an_error() -> None:
    with pytest.raises(TypeError):
        Manifest.from_json(asdict(MANIFEST) | {"more": 1})


def test_the_environment_makes_no_difference_and_everything_else_does() -> None:
    elsewhere = replace(MANIFEST, environment={"device": "cuda"})
    assert MANIFEST.differences(elsewhere) == []
    other = replace(elsewhere, recipe="d", seeds=(0,))
    assert MANIFEST.differences(other) == ["recipe", "seeds"]
