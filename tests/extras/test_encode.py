"""Real encoders: what they make of real sentences and of pictures, killed or not."""

import doctest
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

import mmctr_kit
from mmctr_kit.embed.encode.content import read_content
from mmctr_kit.embed.encode.encoders import Item, Reading, load_encoder
from mmctr_kit.embed.encode.libraries import mend_torchvision, quiet_libraries
from mmctr_kit.embed.encode.models import find_model
from mmctr_kit.errors import DataError, UsageError
from tests.cli.conftest import run
from tests.embed.encode.conftest import draw
from tests.extras.conftest import published_lite0


@pytest.fixture(autouse=True)
def torchvision() -> None:
    mend_torchvision()


def vectors(path: Path, column: str) -> np.ndarray:
    """(n_items, d) float32, NaN for NULL."""
    rows = pq.read_table(path).column(column).to_pylist()
    width = len(next(row for row in rows if row is not None))
    return np.array([[np.nan] * width if row is None else row for row in rows], np.float32)


def with_titles(data: Path, folder: Path, titles: list[str]) -> Path:
    """The data folder with other titles of its first items."""
    folder.mkdir()
    for entry in data.iterdir():
        if entry.name != "item_feature.parquet":
            (folder / entry.name).symlink_to(entry)
    ids = list(range(1, len(titles) + 1))
    pq.write_table(
        pa.table({"item_id": ids, "item_title": titles}), folder / "item_feature.parquet"
    )
    return folder


def without_pictures(data: Path, folder: Path) -> Path:
    """The data folder with an empty item_images/."""
    (folder / "item_images").mkdir(parents=True)
    for entry in data.iterdir():
        if entry.name != "item_images":
            (folder / entry.name).symlink_to(entry)
    return folder


SENTENCES = [
    "A cat sleeps on the sofa",
    "The stock market fell sharply today",
    "",
    "A kitten is napping on the couch",
    "Shares dropped a lot this afternoon",
]


def test_real_sentences_lie_where_their_meaning_is(
    models: Path, tiny_root: Path, tmp_path: Path
) -> None:
    folder = with_titles(tiny_root / "data", tmp_path / "d", SENTENCES)
    out = tmp_path / "v.parquet"
    made = mmctr_kit.encode_items(folder, out, text=str(models / "minilm"), device="cpu")
    text = vectors(out, "text")
    assert text.shape == (300, 384)
    cat, stock, nothing, kitten, shares = text[:5]
    assert np.isnan(nothing).all()
    assert cat @ kitten > 0.5 > 0.2 > max(cat @ stock, kitten @ shares, cat @ shares)
    assert stock @ shares > 0.5
    np.testing.assert_allclose(np.linalg.norm(text[:2], axis=1), 1, rtol=1e-5)
    (row,) = made.columns().to_dict("records")
    assert (row["items"], row["missing"]) == (4, 296)
    said = json.loads(pq.read_schema(out).metadata[b"mmctr_kit"])["text"]
    assert said["kind"] == "sentence-transformers"
    assert {"sentence-transformers", "transformers", "torch"} <= set(said["versions"])


def test_clip_s_columns_are_its_own_features_whatever_the_batch(
    models: Path, pictured: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    out, clip = tmp_path / "v.parquet", models / "clip"
    mmctr_kit.encode_items(pictured, out, text=str(clip), image=str(clip), device="cpu")
    net = CLIPModel.from_pretrained(clip).eval()
    content = read_content(pictured, True, True)
    tokens = AutoTokenizer.from_pretrained(clip)(
        [content.title(3)], truncation=True, max_length=32, return_tensors="pt"
    )
    pixels = AutoImageProcessor.from_pretrained(clip, backend="pil")(
        [Image.open(content.pictures[3])], return_tensors="pt"
    )
    with torch.inference_mode():
        text = net.get_text_features(**tokens).pooler_output[0]
        image = net.get_image_features(**pixels).pooler_output[0]
    np.testing.assert_allclose(vectors(out, "text")[2], text, atol=1e-5)
    np.testing.assert_allclose(vectors(out, "image")[2], image, atol=1e-5)


OPTIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("siglip", "text", {}),
    ("siglip", "image", {}),
    ("bert", "text", {"layer": -2, "pooling": "cls"}),
    ("gpt", "text", {"pooling": "last"}),
    ("vit", "image", {"pooling": "cls"}),
    ("qwen", "text", {}),
    ("qwen", "image", {"with_title": True, "image_side": 60}),
    ("qwen", "image", {"pooling": "last", "layer": -1}),
    ("timm", "image", {}),
]


@pytest.mark.parametrize(("model", "modality", "options"), OPTIONS, ids=str)
def test_a_vector_does_not_depend_on_the_items_beside_it(
    model: str,
    modality: str,
    options: dict[str, Any],
    models: Path,
    pictured: Path,
    tmp_path: Path,
) -> None:
    made = []
    for size in (1, 7):
        out = tmp_path / f"{size}.parquet"
        named = {modality: str(models / model)}
        mmctr_kit.encode_items(pictured, out, batch_size=size, device="cpu", **named, **options)
        made.append(vectors(out, modality))
    np.testing.assert_allclose(made[0], made[1], rtol=1e-3, atol=1e-5)
    present = made[0][~np.isnan(made[0][:, 0])]
    assert len(present) > 280
    assert len(np.unique(present.round(4), axis=0)) > 250  # items differ


@pytest.mark.parametrize(("model", "modality", "options"), OPTIONS, ids=str)
def test_in_bf16_a_vector_is_nearly_the_same(
    model: str, modality: Any, options: dict[str, Any], models: Path, pictured: Path
) -> None:
    """A GPU's mixed precision, here on a CPU."""
    content = read_content(pictured, True, True)
    found = find_model(str(models / model), modality)
    image = None if modality == "text" else Image.open(content.pictures[3])
    item = Item(content.title(3) if image is None else None, image)
    pooling = options.get("pooling", "mean")
    made = []
    for bf16 in (False, True):
        encoder = load_encoder(found, modality, Reading(-1, pooling, 60), "cpu", bf16)
        made.append(encoder.encode(encoder.prepare([item]))[0])
        assert made[-1].dtype == np.float32
    assert not np.array_equal(made[0], made[1])
    assert made[0] @ made[1] > 0.995 * np.linalg.norm(made[0]) * np.linalg.norm(made[1])


def test_layer_pooling_and_the_title_change_what_a_model_says(
    models: Path, pictured: Path, tmp_path: Path
) -> None:
    made = []
    for number, options in enumerate(
        [{}, {"layer": -1}, {"layer": -2}, {"pooling": "last"}, {"with_title": True}]
    ):
        out = tmp_path / f"{number}.parquet"
        qwen = str(models / "qwen")
        mmctr_kit.encode_items(pictured, out, image=qwen, device="cpu", **options)  # type: ignore[arg-type]
        made.append(vectors(out, "image")[0])
    np.testing.assert_array_equal(made[0], made[2])  # the documented default
    others = [made[0], made[1], made[3], made[4]]
    assert len({v.tobytes() for v in others}) == 4
    with pytest.raises(UsageError, match=r"--layer 9 does not exist; expected -4\.\.3"):
        mmctr_kit.encode_items(
            pictured, tmp_path / "x.parquet", text=str(models / "qwen"), layer=9, device="cpu"
        )


def crossword() -> Image.Image:
    image = Image.new("RGB", (300, 300), "white")
    pen, black = ImageDraw.Draw(image), np.random.default_rng(0).random((15, 15)) < 0.2
    for (x, y), filled in np.ndenumerate(black):
        corners = (20 * x, 20 * y, 20 * x + 20, 20 * y + 20)
        pen.rectangle(corners, outline="black", fill="black" if filled else "white")
    return image


def traffic_light() -> Image.Image:
    image = Image.new("RGB", (300, 300), (120, 170, 230))
    pen = ImageDraw.Draw(image)
    pen.rectangle((110, 40, 190, 260), fill=(30, 30, 30))
    for y, colour in ((60, (255, 30, 30)), (125, (60, 50, 10)), (190, (10, 60, 10))):
        pen.ellipse((122, y, 178, y + 56), fill=colour)
    return image


def test_published_imagenet_weights_see_what_a_picture_shows(
    models: Path, pictured: Path, tmp_path: Path
) -> None:
    folder = without_pictures(pictured, tmp_path / "d")
    crossword().save(folder / "item_images" / "1.jpg")
    traffic_light().save(folder / "item_images" / "2.png")
    named = f"timm:tf_efficientnet_lite0={models / 'lite0.pth'}"
    mmctr_kit.encode_items(folder, tmp_path / "v.parquet", image=named, device="cpu")
    made = vectors(tmp_path / "v.parquet", "image")
    assert made.shape == (300, 1280)
    assert np.isnan(made[2:]).all()
    classes = published_lite0()
    logits = made[:2] @ classes["_fc.weight"].numpy().T + classes["_fc.bias"].numpy()
    assert logits.argmax(1).tolist() == [918, 920]  # ImageNet's crossword puzzle, traffic light


def test_weights_that_do_not_fit_their_architecture_name_the_keys(
    pictured: Path, tmp_path: Path
) -> None:
    import torch

    torch.save(published_lite0(), tmp_path / "theirs.pth")
    named = f"timm:tf_efficientnet_lite0={tmp_path / 'theirs.pth'}"
    said = r"does not fit timm's tf_efficientnet_lite0: missing conv_stem.weight, .* and \d+ more; "
    with pytest.raises(DataError, match=said + "unexpected _conv_stem.weight"):
        mmctr_kit.encode_items(pictured, tmp_path / "v.parquet", image=named, device="cpu")
    with pytest.raises(UsageError, match=r"no architecture 'resnet5O' \(did you mean resnet50"):
        mmctr_kit.encode_items(
            pictured,
            tmp_path / "v.parquet",
            image=named.replace("tf_efficientnet_lite0", "resnet5O"),
            device="cpu",
        )


def test_missing_weights_are_never_random_ones(
    models: Path, pictured: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    for name, modality, prefix in (
        ("minilm", "text", "encoder.layer.1.output"),
        ("bert", "text", "encoder.layer.1."),
        ("clip", "image", "visual_projection"),
        ("qwen", "image", "visual.merger"),
        ("timm", "image", "blocks.1"),
    ):
        folder = shutil.copytree(models / name, tmp_path / name)
        state = load_file(folder / "model.safetensors")
        part = {key: value for key, value in state.items() if prefix not in key}
        assert len(part) < len(state)
        save_file(part, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(DataError, match=r"lacks weights: |does not fit timm"):
            mmctr_kit.encode_items(
                pictured, tmp_path / "v.parquet", device="cpu", **{modality: str(folder)}
            )


def test_a_sentence_transformer_reads_images_if_its_modules_do(
    models: Path, pictured: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    with quiet_libraries():
        net = SentenceTransformer(str(models / "clip"), device="cpu", local_files_only=True)
        net.save(str(tmp_path / "wrapped"))
    made = []
    for name in (models / "clip", tmp_path / "wrapped"):
        out = tmp_path / f"{name.name}.parquet"
        mmctr_kit.encode_items(pictured, out, image=str(name), device="cpu")
        made.append(vectors(out, "image"))
    correlation = np.corrcoef(made[0][:6].ravel(), made[1][:6].ravel())[0, 1]
    assert correlation > 0.99  # another image processor resizes
    with pytest.raises(UsageError, match="minilm reads text alone"):
        mmctr_kit.encode_items(
            pictured, tmp_path / "v.parquet", image=str(models / "minilm"), device="cpu"
        )


def test_damaged_weights_are_one_line(models: Path, pictured: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models / "clip", tmp_path / "clip")
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not a header at all")
    with pytest.raises(DataError, match="clip cannot be loaded: "):
        mmctr_kit.encode_items(pictured, tmp_path / "v.parquet", text=str(folder), device="cpu")


def test_a_name_that_is_not_in_the_cache_is_refused_without_a_hub(
    pictured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a hub was asked"))
    with pytest.raises(UsageError, match=r"neither a folder nor in the local Hugging Face cache"):
        mmctr_kit.encode_items(pictured, tmp_path / "v.parquet", text="no-one/no-model")


def test_a_name_in_the_cache_is_found_with_its_revision(
    models: Path, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "hub" / "models--me--bert"
    shutil.copytree(models / "bert", repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = with_titles(tiny_root / "data", tmp_path / "d", SENTENCES)
    made = mmctr_kit.encode_items(folder, tmp_path / "v.parquet", text="me/bert", device="cpu")
    (column,) = made.report.columns
    assert (column.encoder, column.revision) == ("me/bert", commit)


def many(tiny_root: Path, folder: Path, items: int) -> Path:
    """A data folder of that many items, each with a title and a picture."""
    folder.mkdir()
    (folder / "MicroLens_1M_x1").mkdir()
    for entry in (tiny_root / "data" / "MicroLens_1M_x1").iterdir():
        if entry.name != "item_info.parquet":
            (folder / "MicroLens_1M_x1" / entry.name).symlink_to(entry)
    ids = list(range(items + 1))
    pq.write_table(pa.table({"item_id": ids}), folder / "MicroLens_1M_x1" / "item_info.parquet")
    titles = [f"item {i} of {items}" if i % 40 else "" for i in ids[1:]]
    table = pa.table({"item_id": ids[1:], "item_title": titles})
    pq.write_table(table, folder / "item_feature.parquet")
    (folder / "item_images").mkdir()
    for item in ids[1:]:
        draw(folder / "item_images" / f"{item}.jpg", item)
    return folder


def test_a_thousand_items_killed_with_kill_9_and_resumed_are_byte_for_byte_the_same(
    models: Path, tiny_root: Path, tmp_path: Path
) -> None:
    folder, clip = many(tiny_root, tmp_path / "d", 1000), str(models / "clip")
    command = ["items", "encode", str(folder), "--text", clip, "--image", clip]
    command += ["--batch-size", "8", "--device", "cpu", "--out"]
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    done = run(*command, str(whole))
    assert done.exit_code == 0, done.output
    part, kills = tmp_path / "killed.parquet.part", 0
    for shards in (3, 20):  # of 16: once in the titles, once in the pictures
        program = [sys.executable, "-m", "mmctr_kit", *command, str(killed)]
        with subprocess.Popen(program, stdout=subprocess.DEVNULL) as running:
            while running.poll() is None and len(list(part.glob("*-*.parquet"))) < shards:
                time.sleep(0.002)
            running.send_signal(signal.SIGKILL)
        kills += running.returncode == -signal.SIGKILL
        assert not killed.exists()
    assert kills == 2
    done = run(*command, str(killed))
    assert done.exit_code == 0, done.output
    assert "image: clip goes on after " in done.stderr
    assert killed.read_bytes() == whole.read_bytes()
    assert not part.exists()
    assert (vectors(whole, "text").shape, vectors(whole, "image").shape) == ((1000, 8), (1000, 8))


def test_bad_pictures_are_one_line_each_and_none_is_lost(
    models: Path, pictured: Path, tmp_path: Path
) -> None:
    images = without_pictures(pictured, tmp_path / "d") / "item_images"
    for item in range(1, 21):
        draw(images / f"{item}.jpg", item)
    (images / "1.jpg").write_bytes((images / "1.jpg").read_bytes()[:700])
    Image.open(images / "2.jpg").convert("CMYK").save(images / "2.jpg")
    Image.new("RGB", (1, 1)).save(images / "3.jpg")
    (images / "4.jpg").write_text("<html>")
    Image.new("L", (20_000, 20_000)).save(images / "5.jpg", "png", compress_level=1)
    out = tmp_path / "v.parquet"
    command = [sys.executable, "-m", "mmctr_kit", "items", "encode", str(images.parent), "--json"]
    command += ["--image", str(models / "clip"), "--out", str(out), "--device", "cpu"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    # Nothing but how far it is, which is told once it has taken a second: no library's warning.
    assert all(re.fullmatch(r"image: clip: .* items/s", line) for line in done.stderr.splitlines())
    (column,) = json.loads(done.stdout)["columns"]
    faults = {fault["item_id"]: fault["kind"] for fault in column["faults"]}
    assert {i: faults.get(i) for i in range(1, 6)} == {
        1: "broken",
        2: None,
        3: "too_small",
        4: "not_an_image",
        5: "too_large",
    }
    assert column["items"] == 16
    assert column["items"] + len(faults) == 300
    assert column["peak_mb"] < 1500


def test_the_plan_of_a_dry_run_has_time_memory_and_size(
    models: Path, pictured: Path, tmp_path: Path
) -> None:
    made = mmctr_kit.encode_items(
        pictured, tmp_path / "v.parquet", text=str(models / "minilm"), device="cpu", dry_run=True
    )
    (column,) = made.report.columns
    assert column.parameters == 22_713_216
    assert (column.width, column.batches) == (384, 5)
    assert column.seconds > 0
    assert column.peak_mb > 90


def test_the_example_of_encode_items_runs(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mmctr_kit.generate_data("world", "tiny")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "all-MiniLM-L6-v2").symlink_to(models / "minilm")
    examples = doctest.DocTestParser().get_examples(mmctr_kit.encode_items.__doc__ or "")
    test = doctest.DocTest(examples, {"mmctr_kit": mmctr_kit}, "encode_items", None, None, "")
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)
