"""The built-in encoders: what they see, and that nothing but the data set is needed."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmctr_kit.data.contract import Modality
from mmctr_kit.datasets.synth.covers import draw_covers
from mmctr_kit.datasets.synth.titles import make_titles
from mmctr_kit.embed.encode.built_in import WIDTH, load_built_in, look
from mmctr_kit.embed.encode.content import Content, read_content
from mmctr_kit.embed.encode.encoders import Encoder, Item, Reading
from mmctr_kit.embed.encode.file import encoders_of
from mmctr_kit.embed.encode.models import find_model
from mmctr_kit.embed.encode.plan import Column, Plan
from mmctr_kit.embed.encode.run import encode, estimate
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Floats32
from tests.datasets.synth.made import explained_by_ridge
from tests.embed.encode.conftest import pictured

__all__ = ["pictured"]  # a fixture


def silent(_: Column, __: int, ___: int) -> None:
    pass


def words(titles: list[str]) -> Encoder:
    return load_built_in(find_model("words", "text"), Content(tuple(titles), {}))


def vectors(encoder: Encoder, titles: list[str]) -> Floats32:
    return encoder.encode(encoder.prepare([Item(text=title) for title in titles]))


@pytest.fixture(scope="module")
def latent() -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.random.default_rng(0).standard_normal((1500, 12))


def test_words_explain_what_titles_are_about(latent: np.ndarray) -> None:  # type: ignore[type-arg]
    titles = make_titles(latent, np.random.default_rng(1))
    made = vectors(words(titles), titles)
    assert made.shape == (1500, WIDTH)
    assert explained_by_ridge(made, latent).min() > 0.7


@pytest.mark.slow
def test_colours_explain_what_covers_look_like(latent: np.ndarray) -> None:  # type: ignore[type-arg]
    pictures = draw_covers(latent, np.random.default_rng(1))
    made = np.stack([look(Image.fromarray(pixels)) for pixels in pictures])
    assert explained_by_ridge(made, latent).min() > 0.5


def test_a_title_has_the_same_vector_whatever_stands_beside_it() -> None:
    titles = ["red wine", "red wine glass", "blue sky", "blue sky above", "red sky"]
    encoder = words([*titles, "", ""])
    together = vectors(encoder, titles)
    for title, vector in zip(titles, together, strict=True):
        np.testing.assert_array_equal(vectors(encoder, [title])[0], vector)
    np.testing.assert_array_equal(vectors(words([*titles, "", ""]), titles), together)
    wine, glass, sky, *_ = together
    assert wine @ glass > wine @ sky
    assert together.shape[1] == len(titles)  # not more values than titles


def test_titles_in_a_script_without_spaces_are_read_too() -> None:
    one, near, far = vectors(words(["红葡萄酒杯子", "红葡萄酒瓶", "蓝天白云风景", "蓝天白云"]), [
        "红葡萄酒杯子", "红葡萄酒瓶", "蓝天白云风景",
    ])  # fmt: skip
    assert one @ near > one @ far


def test_titles_that_share_nothing_are_one_line() -> None:
    with pytest.raises(DataError, match="no two titles share a word"):
        words(["alone", "zebra"])


def test_a_picture_is_seen_whatever_its_shape_and_its_first_values_are_mean_colours() -> None:
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16, :, 0] = 255
    seen = look(Image.fromarray(pixels))
    fields = seen[:192].reshape(8, 8, 3)
    assert fields[:4, :, 0].min() == 1
    assert fields[4:].max() == fields[:, :, 1:].max() == 0
    assert look(Image.fromarray(pixels.transpose(1, 0, 2))).shape == seen.shape
    stripes = np.indices((64, 64)).sum(0) % 8 < 4
    rising, falling = (
        look(Image.fromarray(np.uint8(255) * s).convert("RGB")) for s in (stripes, stripes[::-1])
    )
    assert np.abs(rising[192:] - falling[192:]).max() > 0.3  # their fields have the same colours


@pytest.fixture
def plan(pictured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Both encoders, where none of the extra's libraries can be imported."""
    for library in ("transformers", "sentence_transformers", "timm", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, library, None)
    given: tuple[tuple[str, Modality], ...] = (("words", "text"), ("colours", "image"))
    columns = [Column(m, find_model(name, m), Reading(-1, "mean", 448)) for name, m in given]
    content = read_content(pictured, True, True)
    return Plan(tmp_path / "out" / "v.parquet", content, tuple(columns), 8, "cpu", False)


def test_without_the_extra_all_is_encoded_and_the_file_says_built_in(plan: Plan) -> None:
    text, image = encode(plan, False, silent).columns
    assert (image.items, image.width) == (291, 368)
    assert text.items + len(text.faults) == 300
    for column in pq.read_table(plan.out).columns[1:]:
        assert all(vector is None or any(vector) for vector in column.to_pylist())
    said = encoders_of(plan.out)
    assert {e["kind"] for e in said.values()} == {"built-in"}
    assert said["text"]["versions"].keys() == {"numpy", "pillow", "scikit-learn"}
    elsewhere = replace(plan, device="cuda:0", bf16=True)
    assert elsewhere.identity() == plan.identity()


@pytest.mark.slow
def test_killed_and_resumed_is_byte_for_byte_the_same(plan: Plan, tmp_path: Path) -> None:
    whole = replace(plan, out=tmp_path / "whole.parquet")
    encode(whole, False, silent)

    def kill(_: Column, done: int, __: int) -> None:
        if done > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(plan, False, kill)
    assert list(plan.part.glob("text-*"))
    encode(plan, False, silent)
    assert plan.out.read_bytes() == whole.out.read_bytes()


def test_a_title_of_which_nothing_is_known_is_missing_and_named(plan: Plan) -> None:
    titles = ("zq", *(f"red wine {n % 7}{n % 7}" for n in range(20)))
    content = Content(titles, {})
    text = replace(plan, content=content, columns=plan.columns[:1])
    (column,) = encode(text, False, silent).columns
    assert [(f.item_id, f.kind) for f in column.faults] == [(1, "unknown")]
    assert pq.read_table(plan.out).column("text")[0].as_py() is None
    assert column.items == 20


def test_an_estimate_needs_no_model_either(plan: Plan) -> None:
    text, image = estimate(plan, silent).columns
    assert (text.width, image.width) == (min(WIDTH, text.width), 368)
    assert image.seconds > 0
    assert not plan.out.parent.exists()
