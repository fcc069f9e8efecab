"""What a model is, read off its folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit.embed.encode.models import find_model, require_installed, require_options
from mmctr_kit.errors import DataError, UsageError
from tests.embed.encode.conftest import model_folder


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were installed: nothing is loaded here."""
    monkeypatch.setattr("mmctr_kit.embed.encode.models.require_installed", lambda _: None)


KINDS = [
    ({"model_type": "clip", "vision_config": {}, "text_config": {}}, "dual", "image"),
    ({"model_type": "siglip", "vision_config": {}}, "dual", "text"),
    (
        {
            "model_type": "qwen2_5_vl",
            "vision_config": {},
            "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        },
        "vision-language",
        "image",
    ),
    ({"model_type": "bert", "vocab_size": 9}, "text", "text"),
    ({"model_type": "qwen3", "vocab_size": 9}, "text", "text"),
    ({"model_type": "dinov2", "image_size": 224}, "vision", "image"),
    ({"architecture": "resnet50", "num_classes": 9}, "timm", "image"),
]


@pytest.mark.parametrize(("config", "kind", "modality"), KINDS, ids=lambda v: str(v)[:20])
def test_a_configuration_says_the_kind(
    config: dict[str, object], kind: str, modality: str, tmp_path: Path
) -> None:
    model = find_model(str(model_folder(tmp_path / "mine", **config)), modality)  # type: ignore[arg-type]
    assert (model.name, model.kind, model.revision) == ("mine", kind, None)


def test_modules_make_a_sentence_transformer_whatever_lies_below(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, model_type="bert", vocab_size=9)
    (folder / "modules.json").write_text("[]")
    assert find_model(str(folder), "text").kind == "sentence-transformers"


def test_a_snapshot_of_the_cache_and_a_configuration_say_the_revision(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "snapshots" / "abc123", model_type="bert", vocab_size=9)
    assert find_model(str(folder), "text").revision == "abc123"
    other = model_folder(tmp_path / "m", model_type="bert", vocab_size=9, _commit_hash="def")
    assert find_model(str(other), "text").revision == "def"


def test_timm_takes_an_architecture_and_a_file_of_weights(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"weights")
    model = find_model(f"timm:resnet50={tmp_path / 'w.pth'}", "image")
    assert (model.kind, model.architecture) == ("timm", "resnet50")
    assert model.name == "timm:resnet50=w.pth"  # no path of this machine


MISTAKES = [
    ("timm:resnet50", "image", "names no weights; expected timm:ARCHITECTURE=FILE"),
    ("timm:resnet50=no.pth", "image", "no file of weights at 'no.pth'"),
    ("./nowhere", "text", "no folder at './nowhere'; expected a model's folder or its hub's name"),
    ("a b", "text", "no folder at 'a b'"),
]


@pytest.mark.parametrize(("given", "modality", "said"), MISTAKES)
def test_a_model_that_is_not_there_is_one_line(given: str, modality: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("'", ".")):
        find_model(given, modality)  # type: ignore[arg-type]


FOLDERS = [
    ({"model_type": "t5", "is_encoder_decoder": True}, "is an encoder-decoder"),
    ({"model_type": "owlvit", "vision_config": {}}, "is a owlvit model"),
    ({"model_type": "whisper"}, "reads neither text"),
    ({"dim": 3}, "says no model_type"),
]


@pytest.mark.parametrize(("config", "said"), FOLDERS, ids=lambda v: str(v)[:20])
def test_a_folder_of_another_kind_is_one_line(
    config: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        find_model(str(model_folder(tmp_path, **config)), "text")


def test_a_damaged_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no model: it has neither modules\.json"):
        find_model(str(tmp_path), "text")
    inner = model_folder(tmp_path / "inner", model_type="bert", vocab_size=9)
    with pytest.raises(DataError, match=r"'.*inner' holds one"):
        find_model(str(tmp_path), "text")
    (inner / "model.safetensors").unlink()
    with pytest.raises(DataError, match="holds no weights"):
        find_model(str(inner), "text")
    (inner / "config.json").write_text("{")
    with pytest.raises(DataError, match="not readable JSON"):
        find_model(str(inner), "text")
    (inner / "config.json").write_text("[]")
    with pytest.raises(DataError, match="not a JSON object"):
        find_model(str(inner), "text")


def test_a_model_of_the_other_modality_is_refused(tmp_path: Path) -> None:
    text = str(model_folder(tmp_path / "t", model_type="bert", vocab_size=9))
    image = str(model_folder(tmp_path / "i", architecture="resnet50"))
    with pytest.raises(UsageError, match=r"--image .* is a text model, which reads text"):
        find_model(text, "image")
    with pytest.raises(UsageError, match=r"--text .* is a timm model, which reads image"):
        find_model(image, "text")


def test_the_digest_follows_weights_configuration_and_vocabulary_and_no_path(
    tmp_path: Path,
) -> None:
    def digest(name: str) -> str:
        return find_model(str(tmp_path / name), "text").digest()

    for name in ("a", "b"):
        model_folder(tmp_path / name, model_type="bert", vocab_size=9)
        (tmp_path / name / "vocab.txt").write_text("a b")
    before = digest("a")
    assert before == digest("b")
    (tmp_path / "a" / "README.md").write_text("words")
    assert digest("a") == before
    for file in ("vocab.txt", "model.safetensors"):
        was = digest("a")
        (tmp_path / "a" / file).write_text("changed")
        assert digest("a") != was


def test_an_option_that_no_model_has_a_use_for_is_refused(tmp_path: Path) -> None:
    timm = find_model(str(model_folder(tmp_path / "i", architecture="resnet50")), "image")
    bert = find_model(str(model_folder(tmp_path / "t", model_type="bert", vocab_size=9)), "text")
    no = (None, None, None, False, False)
    require_options({"text": bert, "image": timm}, -2, "cls", None, False, True)
    require_options({"image": timm}, *no)
    for options, said in (
        ((-2, None, None, False, False), "--layer does nothing here: timm models"),
        ((None, "cls", None, False, False), "--pooling does nothing here"),
        ((None, None, 99, False, False), "--image-side needs --image with a vision-language"),
        ((None, None, None, True, False), "--with-title needs --image"),
        ((None, None, None, False, True), "--tag-names needs --text"),
    ):
        with pytest.raises(UsageError, match=said):
            require_options({"image": timm}, *options)  # type: ignore[arg-type]


def test_without_the_extra_the_command_that_installs_it_is_named() -> None:
    with pytest.raises(UsageError, match=r"needs no-such-thing: pip install 'mmctr-kit\[encode\]'"):
        require_installed("no_such_thing")


def test_finding_a_model_loads_nothing_heavy(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, model_type="bert", vocab_size=9)
    code = (
        "import sys\nfrom mmctr_kit.embed.encode import models\n"
        "models.require_installed = lambda _: None\n"
        f"print(models.find_model({json.dumps(str(folder))}, 'text').kind)\n"
        "print([m for m in ('torch', 'transformers', 'timm', 'pandas') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["text", "[]"]
