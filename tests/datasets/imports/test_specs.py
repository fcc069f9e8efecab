"""The shipped SPECs: each reads its source, and the example names every key."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mmctr_kit.datasets.imports.catalog import read_catalog
from mmctr_kit.datasets.imports.load import load_spec, parse_spec, shipped
from mmctr_kit.datasets.imports.sources import find_sources
from mmctr_kit.datasets.imports.spec import Interactions, Items, Rows, Spec, Split, Vectors
from mmctr_kit.datasets.imports.tables import read_batches
from mmctr_kit.datasets.imports.values import texts_of
from tests.datasets.imports.sources import SOURCES, TAGS, TITLES


def test_every_shipped_spec_but_the_example_has_a_source_here() -> None:
    assert set(shipped()) == {*SOURCES, "example"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_shipped_spec_reads_its_source(name: str, tmp_path: Path) -> None:
    SOURCES[name](tmp_path)
    spec = load_spec(shipped()[name])
    log = spec.interactions
    columns = [log.user, log.item, log.time or log.user, *log.range, spec.split.column or log.user]
    sources = find_sources(log, tmp_path, "interactions")
    (batch,) = read_batches(log, sources, columns)
    ids = texts_of(batch, log.item)
    assert len(set(ids.to_pylist())) == 2
    catalog = read_catalog(spec, tmp_path, pa.array(ids), np.ones(2, np.int64))
    assert catalog.titles.to_pylist() == TITLES.get(name, TITLES["recbole"])
    offsets = catalog.tags.offsets
    tags = [
        [catalog.tag_names[t - 1] for t in catalog.tags.values[a:b]] for a, b in pairwise(offsets)
    ]
    assert tags == TAGS.get(name, [["Adventure", "Animation"], []])
    assert catalog.text is not None
    assert catalog.text.any(axis=1).tolist() == [True, True]
    if name == "mmrec":
        assert catalog.image is not None
        assert catalog.image.shape == (2, 4096)
        assert catalog.text[1, 0] == 1.0
    assert catalog.notes == (["2 items have no title"] if name == "kuairec" else [])


def test_the_example_names_every_key_with_its_default() -> None:
    text = shipped()["example"].read_text()
    spec = load_spec(shipped()["example"])
    blocks = (Spec, Interactions, Items, Vectors, Rows, Split)
    missing = [
        f"{block.__name__}.{name}"
        for block in blocks
        for name in block.model_fields
        if not re.search(rf"^\s*(# )?{name}:", text, re.MULTILINE)
    ]
    assert missing == []
    log = {"files": "x", "user": "u", "item": "i"}
    bare = parse_spec({"interactions": log}, "bare")
    assert (spec.rows, spec.split, spec.seed) == (bare.rows, bare.split, bare.seed)
