"""Encoders in memory: prompts and pictures in, one vector for each out."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mmctr_kit.data.contract import Modality
from mmctr_kit.embed.encode.libraries import (
    mend_torchvision,
    missing_weights,
    quiet_libraries,
)
from mmctr_kit.embed.encode.models import Kind, Model
from mmctr_kit.errors import DataError, UsageError, did_you_mean
from mmctr_kit.metrics.ranks import Floats32

if TYPE_CHECKING:
    from PIL.Image import Image

Pooling = Literal["mean", "last", "cls"]
"""How the hidden states of an input's tokens become one vector: their mean, the last or the first
token's."""
_LOADING = (OSError, ValueError, KeyError, RuntimeError, ImportError, EOFError, UnpicklingError)
"""What the libraries raise for a folder that is damaged, or that they are too old for."""
MAX_TOKENS = 512
"""A longer text is cut, by models that pool hidden states."""


@dataclass(frozen=True)
class Reading:
    """How a model is read: of ``layer`` -1 is the last, and -2 the second-last.

    ``side``: a vision-language model sees pictures whose longer side has at most that many pixels.
    """

    layer: int
    pooling: Pooling
    side: int


@dataclass(frozen=True)
class Item:
    """One input: a text, a picture, or both in one prompt."""

    text: str | None = None
    image: "Image | None" = None


@dataclass(frozen=True)
class Encoder:
    """A model on its device.

    ``prepare`` turns items into tensors on the CPU, in any thread; ``forward`` turns those into
    vectors (n, d) on the device. ``size`` is the side in pixels in which it needs pictures.
    """

    prepare: Callable[[Sequence[Item]], Any]
    forward: Callable[[Any], Tensor]
    module: nn.Module
    device: str
    bf16: bool
    size: int = 0

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    def encode(self, prepared: Any) -> Floats32:
        """(n, d) float32 of prepared items. Raises DataError if a value is not finite."""
        mixed = torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.bf16)
        with torch.inference_mode(), mixed if self.bf16 else nullcontext():
            vectors = self.forward(prepared).float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise DataError("the encoder's vectors hold values that are not finite")
        return np.ascontiguousarray(vectors, np.float32)


def load_encoder(
    model: Model, modality: Modality, reading: Reading, device: str, bf16: bool
) -> Encoder:
    """Load a model for texts or images; ``bf16``: mixed precision, for a GPU that has it.

    Raises DataError if its folder is damaged or lacks weights, UsageError if it does not read the
    modality.
    """
    from safetensors import SafetensorError

    mend_torchvision()
    make: dict[Kind, Callable[[], Encoder]] = {
        "sentence-transformers": lambda: _sentences(model, modality, device, bf16),
        "dual": lambda: _dual(model, modality, device, bf16),
        "vision-language": lambda: _vision_language(model, reading, device, bf16),
        "text": lambda: _text(model, reading, device, bf16),
        "vision": lambda: _vision(model, reading, device, bf16),
        "timm": lambda: _timm(model, device, bf16),
    }
    with quiet_libraries():
        try:
            return make[model.kind]()
        except (*_LOADING, SafetensorError) as e:
            raise DataError(f"{model.name} cannot be loaded: {_short(str(e))}") from e


def _sentences(model: Model, modality: Modality, device: str, bf16: bool) -> Encoder:
    from sentence_transformers import SentenceTransformer

    with missing_weights() as missing:
        net = SentenceTransformer(str(model.path), device=device, local_files_only=True)
    _require_weights(model, missing)
    if not net.supports(modality):
        raise UsageError(f"{model.name} reads {', '.join(map(str, net.modalities))} alone")

    def forward(items: Sequence[Item]) -> Tensor:
        inputs: list[Any] = [item.text if modality == "text" else item.image for item in items]
        made = net.encode(
            inputs, batch_size=len(inputs), convert_to_tensor=True, show_progress_bar=False
        )
        assert isinstance(made, Tensor)
        return made

    return Encoder(lambda items: items, forward, net, device, bf16, 224)


def _dual(model: Model, modality: Modality, device: str, bf16: bool) -> Encoder:
    from transformers import AutoImageProcessor, AutoTokenizer

    net = _transformer(model, torch.float32).to(device)
    if modality == "text":
        tokenizer = AutoTokenizer.from_pretrained(model.path, local_files_only=True)
        limit = min(tokenizer.model_max_length, _text_length(net.config))
        # SigLIP was trained on texts that are padded to its full length, without a mask.
        padding = "max_length" if "siglip" in model.config["model_type"] else True

        def prepare(items: Sequence[Item]) -> Any:
            texts = [item.text for item in items]
            return tokenizer(
                texts, padding=padding, truncation=True, max_length=limit, return_tensors="pt"
            )

        return Encoder(prepare, _features(net.get_text_features, device), net, device, bf16)
    processor = AutoImageProcessor.from_pretrained(model.path, local_files_only=True, backend="pil")
    forward = _features(net.get_image_features, device)
    return Encoder(_images(processor), forward, net, device, bf16, _side(processor))


def _features(function: Callable[..., Any], device: str) -> Callable[[Any], Tensor]:
    def forward(inputs: Any) -> Tensor:
        made = function(**inputs.to(device))
        pooled: Tensor = made if isinstance(made, Tensor) else made.pooler_output
        return pooled

    return forward


def _text(model: Model, reading: Reading, device: str, bf16: bool) -> Encoder:
    from transformers import AutoTokenizer

    net = _transformer(model, torch.float32).to(device)
    tokenizer = AutoTokenizer.from_pretrained(model.path, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    limit = min(tokenizer.model_max_length, _text_length(net.config), MAX_TOKENS)

    def prepare(items: Sequence[Item]) -> Any:
        texts = [item.text for item in items]
        return tokenizer(
            texts, padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )

    def forward(inputs: Any) -> Tensor:
        inputs = inputs.to(device)
        hidden = _hidden(net(**inputs, output_hidden_states=True), reading.layer)
        return pooled(hidden, inputs["attention_mask"], reading.pooling)

    return Encoder(prepare, forward, net, device, bf16)


def _vision(model: Model, reading: Reading, device: str, bf16: bool) -> Encoder:
    from transformers import AutoImageProcessor

    net = _transformer(model, torch.float32).to(device)
    processor = AutoImageProcessor.from_pretrained(model.path, local_files_only=True, backend="pil")

    def forward(inputs: Any) -> Tensor:
        made = net(**inputs.to(device), output_hidden_states=True)
        hidden = _hidden(made, reading.layer)
        if hidden.ndim == 4:  # channels of a convolution, (n, d, height, width)
            hidden = hidden.flatten(2).mT
        return pooled(hidden, torch.ones(hidden.shape[:2], device=device), reading.pooling)

    return Encoder(_images(processor), forward, net, device, bf16, _side(processor))


def _vision_language(model: Model, reading: Reading, device: str, bf16: bool) -> Encoder:
    from transformers import AutoProcessor

    # Weights in bf16 too: such models fill a GPU's memory, and were trained in it.
    net = _transformer(model, torch.bfloat16 if bf16 else torch.float32).to(device)
    processor = AutoProcessor.from_pretrained(model.path, local_files_only=True)
    if not processor.chat_template:
        raise DataError(f"{model.name} has no chat template, which says how prompts are written")
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token

    def prompt(item: Item) -> str:
        content: list[dict[str, str]] = [] if item.image is None else [{"type": "image"}]
        content += [] if item.text is None else [{"type": "text", "text": item.text}]
        message = [{"role": "user", "content": content}]
        return str(processor.apply_chat_template(message, tokenize=False))

    def prepare(items: Sequence[Item]) -> Any:
        seen = [[_shrunk(item.image, reading.side)] for item in items if item.image is not None]
        texts = [prompt(item) for item in items]
        return processor(text=texts, images=seen or None, padding=True, return_tensors="pt")

    def forward(inputs: Any) -> Tensor:
        inputs = inputs.to(device)
        made = net(**inputs, output_hidden_states=True, use_cache=False)
        return pooled(_hidden(made, reading.layer), inputs["attention_mask"], reading.pooling)

    return Encoder(prepare, forward, net, device, bf16, reading.side // 2)


def _timm(model: Model, device: str, bf16: bool) -> Encoder:
    import timm
    from timm.data import create_transform, resolve_model_data_config

    assert model.architecture is not None
    if not timm.is_model(model.architecture.partition(".")[0]):
        hint = did_you_mean(model.architecture, timm.list_models())
        raise UsageError(f"timm knows no architecture '{model.architecture}'{hint}")
    try:
        if model.path.is_dir():
            net = timm.create_model(f"local-dir:{model.path}", pretrained=True)
        else:
            weights = {"file": str(model.path)}
            net = timm.create_model(
                model.architecture, pretrained=True, pretrained_cfg_overlay=weights
            )
    except RuntimeError as e:
        if (unfit := _unfit_keys(str(e))) is None:
            raise
        raise DataError(f"{model.path} does not fit timm's {model.architecture}: {unfit}") from e
    net.reset_classifier(0)
    net = net.to(device).eval()
    settings = resolve_model_data_config(net)
    transform = create_transform(**settings, is_training=False)

    def prepare(items: Sequence[Item]) -> Tensor:
        return torch.stack([transform(item.image) for item in items])

    size = max(settings["input_size"][1:])
    return Encoder(prepare, lambda inputs: net(inputs.to(device)), net, device, bf16, size)


def pooled(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """(n, d): one vector of the hidden states (n, tokens, d); ``mask`` (n, tokens), 1 = real."""
    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(torch.float32)
        return (hidden.float() * weights).sum(1) / weights.sum(1)
    # argmax gives the first of equals; padding may stand on either side.
    order = torch.arange(mask.shape[1], device=mask.device)
    rank = mask * (order + 1 if pooling == "last" else mask.shape[1] - order)
    return hidden[torch.arange(len(hidden), device=mask.device), rank.argmax(1)]


def _transformer(model: Model, dtype: torch.dtype) -> Any:
    """Load a transformers model without its task's head; DataError if weights are missing."""
    from transformers import AutoModel

    net, info = AutoModel.from_pretrained(
        model.path, dtype=dtype, local_files_only=True, output_loading_info=True
    )
    _require_weights(model, info["missing_keys"])
    return net.eval()


def _require_weights(model: Model, missing: Iterable[str]) -> None:
    """Raise DataError if weights are missing: they would be random."""
    # A pooler belongs to a task, and hidden states do not pass it.
    needed = sorted(k for k in missing if "pooler" not in k or model.kind == "dual")
    if needed:
        raise DataError(f"{model.name} lacks weights: {_names(needed)}")


def _hidden(made: Any, layer: int) -> Tensor:
    states = made.hidden_states
    if not -len(states) <= layer < len(states):
        expected = f"{-len(states)}..{len(states) - 1}"
        raise UsageError(f"--layer {layer} does not exist; expected {expected} (0: before layer 1)")
    # The last state is normalised in the model's own output alone.
    chosen: Tensor = made.last_hidden_state if layer in (-1, len(states) - 1) else states[layer]
    return chosen


def _images(processor: Any) -> Callable[[Sequence[Item]], Any]:
    return lambda items: processor([item.image for item in items], return_tensors="pt")


def _side(processor: Any) -> int:
    """Return the side in pixels to which an image processor resizes."""
    size = dict(processor.size or {})
    return int(max(size.values(), default=224))


def _text_length(config: Any) -> int:
    config = getattr(config, "text_config", config)
    length = int(getattr(config, "max_position_embeddings", MAX_TOKENS))
    # RoBERTa counts positions from behind the padding's number.
    return length - 2 if length % 8 == 2 else length


def _shrunk(image: "Image", side: int) -> "Image":
    image = image.copy()
    image.thumbnail((side, side))
    return image


def _unfit_keys(message: str) -> str | None:
    """Shorten torch's list of keys that do not fit; None if the message is about another thing."""
    parts = []
    for what in ("Missing", "Unexpected"):
        if listed := re.search(rf"{what} key\(s\) in state_dict: (.*?)\.\s*$", message, re.M):
            names = re.findall(r'"([^"]+)"', listed[1])
            parts.append(f"{what.lower()} {_names(names)}")
    if sizes := re.findall(r"size mismatch for ([\w.]+)", message):
        parts.append(f"of another shape {_names(sizes)}")
    return "; ".join(parts) or None


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _short(message: str) -> str:
    return " ".join(message.split())[:300]
