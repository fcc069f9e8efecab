"""What kind of encoder a folder holds, read off its configuration before anything heavy loads."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from mmctr_kit.data.contract import Modality
from mmctr_kit.errors import DataError, UsageError, did_you_mean
from mmctr_kit.files import file_sha256, regular

BUILT_IN: Literal["built-in"] = "built-in"
"""The kind of encoders that know nothing but the data set."""
BUILT_INS: Mapping[str, Modality] = {"words": "text", "colours": "image"}
"""The names of those encoders; see :mod:`mmctr_kit.embed.encode.built_in`."""
_BUILT_IN_FORMAT = 1
Kind = Literal[
    "sentence-transformers", "dual", "vision-language", "text", "vision", "timm", "built-in"
]
"""``dual``: one model of text and one of images, such as CLIP; ``text`` and ``vision``: one stack
of layers whose hidden states are pooled; ``vision-language``: a language model that sees images."""

PACKAGES: Mapping[Kind, str] = {"sentence-transformers": "sentence_transformers", "timm": "timm"}
"""What a kind needs of the extra; a kind that is not here needs transformers, or is built in."""
EXTRA = "pip install 'mmctr-kit[encode]'"

DUAL = ("clip", "siglip", "siglip2", "chinese_clip", "altclip", "align", "metaclip_2")
READS: Mapping[Kind, tuple[Modality, ...]] = {
    "sentence-transformers": ("text", "image"),  # its modules say whether they read images
    "dual": ("text", "image"),
    "vision-language": ("text", "image"),
    "text": ("text",),
    "vision": ("image",),
    "timm": ("image",),
    BUILT_IN: ("text", "image"),
}
POOLED: tuple[Kind, ...] = ("vision-language", "text", "vision")
"""The kinds for which layer and pooling are choices; the others have their pooling built in."""

_WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".tar")
_TIMM = "timm:"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_NOT_NEEDED = ["*.onnx", "*.h5", "*.msgpack", "*.ot", "*.gguf", "onnx/*", "openvino/*", "coreml/*"]


@dataclass(frozen=True)
class Model:
    """An encoder in a local folder, or a timm architecture with a file of weights.

    ``name`` has no path in it: the hub's name, or the last part of the folder's. ``revision`` is
    the hub's commit if the folder says it. ``architecture`` is timm's, None for other kinds. A
    built-in one has no folder, and its ``path`` means nothing.
    """

    name: str
    kind: Kind
    path: Path
    revision: str | None
    config: Mapping[str, Any]
    architecture: str | None = None

    def digest(self) -> str:
        """sha256 of the names and contents of the model's weights, configuration and vocabulary.

        A built-in model's is that of its name and version, and of scikit-learn's version.
        """
        total = hashlib.sha256()
        if self.kind == BUILT_IN:
            of = f"{self.name} {_BUILT_IN_FORMAT} scikit-learn {version('scikit-learn')}"
            return hashlib.sha256(of.encode()).hexdigest()
        for path in sorted(self._files()):
            name = path.name if path == self.path else path.relative_to(self.path).as_posix()
            total.update(f"{name} {file_sha256(path)}\n".encode())
        return total.hexdigest()

    def _files(self) -> Iterator[Path]:
        if self.path.is_file():
            yield self.path
            return
        for path in self.path.rglob("*"):
            known = path.suffix in (*_WEIGHTS, ".json", ".txt", ".model", ".jinja")
            hidden = any(part.startswith(".") for part in path.relative_to(self.path).parts)
            if known and path.is_file() and not hidden:
                yield path


def find_model(given: str, modality: Modality, download: bool = False) -> Model:
    """Find the encoder that a user named, without loading it.

    ``given`` is one of :data:`BUILT_INS`, a folder, ``timm:ARCHITECTURE=FILE``, or a name in the
    local Hugging Face cache; with ``download`` a name that is not in the cache is fetched from the
    hub. Raises UsageError if there is no such model, if it does not read the modality, or if its
    library is not installed; DataError if the folder is damaged or of an unknown kind.
    """
    if given in BUILT_INS:
        model = Model(given, BUILT_IN, Path(), None, {})
    elif given.startswith(_TIMM):
        model = _timm_file(given)
    else:
        folder = Path(given)
        name = folder.resolve().name
        if not folder.is_dir():
            name, folder = given, _cached(given, download)
        model = _of_folder(name, folder)
    known = (BUILT_INS[given],) if given in BUILT_INS else READS[model.kind]
    if modality not in known:
        reads = " and ".join(known)
        raise UsageError(
            f"--{modality} {given} is a {model.kind} model, which reads {reads}; name one that "
            f"reads {modality}"
        )
    if model.kind != BUILT_IN:
        require_installed(PACKAGES.get(model.kind, "transformers"))
    return model


def require_options(
    models: Mapping[Modality, Model],
    layer: int | None,
    pooling: str | None,
    image_side: int | None,
    with_title: bool,
    tag_names: bool,
) -> None:
    """Raise UsageError for an option that no model of the command has a use for."""
    kinds = {model.kind for model in models.values()}
    has = " and ".join(sorted(kinds))
    if not kinds & set(POOLED) and (layer is not None or pooling is not None):
        option = "--pooling" if layer is None else "--layer"
        raise UsageError(f"{option} does nothing here: {has} models have their pooling built in")
    sees = "image" in models and models["image"].kind == "vision-language"
    if not sees and (image_side is not None or with_title):
        option = "--with-title" if image_side is None else "--image-side"
        raise UsageError(f"{option} needs --image with a vision-language model; got {has}")
    if tag_names and "text" not in models and not with_title:
        raise UsageError("--tag-names needs --text: the names are appended to titles")


def require_installed(package: str) -> None:
    """Raise UsageError if a package of the extra ``encode`` is not installed."""
    if find_spec(package) is None:
        raise UsageError(f"encoding needs {package.replace('_', '-')}: {EXTRA}")


def _timm_file(given: str) -> Model:
    architecture, _, file = given.removeprefix(_TIMM).partition("=")
    path = Path(file)
    if not file or not architecture:
        raise UsageError(
            f"'{given}' names no weights; expected timm:ARCHITECTURE=FILE, or the hub's name of a "
            "model in the local cache, like timm/resnet50.a1_in1k"
        )
    if not path.is_file():
        raise UsageError(f"no file of weights at '{file}' (--image {given})")
    name = f"{_TIMM}{architecture}={path.name}"
    return Model(name, "timm", path, None, {}, architecture)


def _cached(given: str, download: bool) -> Path:
    """Return the folder of a hub's model in the local cache."""
    looks_like_path = given.startswith((".", "/", "~")) or given.count("/") > 1
    if looks_like_path or not _HUB_NAME.fullmatch(given):
        raise UsageError(f"no folder at '{given}'; expected a model's folder or its hub's name")
    require_installed("huggingface_hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(given, local_files_only=not download, ignore_patterns=_NOT_NEEDED)
        )
    except LocalEntryNotFoundError as e:
        if download:
            raise UsageError(f"'{given}' cannot be fetched (the hub is not reached)") from e
        raise UsageError(
            f"'{given}' is neither a folder nor in the local Hugging Face cache; name a model's "
            "folder, or fetch it with --download"
        ) from e
    except (HfHubHTTPError, HFValidationError, OSError) as e:
        raise UsageError(f"'{given}' cannot be fetched ({str(e).splitlines()[0]})") from e


def _of_folder(name: str, folder: Path) -> Model:
    config = _json(folder / "config.json")
    architecture = None
    if (folder / "modules.json").is_file():
        kind: Kind = "sentence-transformers"
    elif config is None:
        raise DataError(
            f"'{folder}' holds no model: it has neither modules.json (sentence-transformers) nor "
            f"config.json (transformers, timm){_inner(folder)}"
        )
    elif "architecture" in config and "model_type" not in config:
        kind, architecture = "timm", str(config["architecture"])
    else:
        kind = _transformers_kind(folder, config)
    if not any(path.suffix in _WEIGHTS for path in folder.rglob("*")):
        raise DataError(f"'{folder}' holds no weights ({', '.join(_WEIGHTS[:4])}); get it whole")
    return Model(name, kind, folder, _revision(folder, config or {}), config or {}, architecture)


def _transformers_kind(folder: Path, config: Mapping[str, Any]) -> Kind:
    kind = str(config.get("model_type", ""))
    made_for = " ".join(config.get("architectures") or [])
    if not kind:
        raise DataError(f"'{folder / 'config.json'}' says no model_type; expected one of a model")
    if kind in DUAL:
        return "dual"
    if config.get("is_encoder_decoder"):
        raise DataError(
            f"'{folder}' is an encoder-decoder ({kind}), which is not supported; use its "
            "sentence-transformers form if it has one"
        )
    if "vision_config" in config:
        if "ForConditionalGeneration" in made_for or "ForImageTextToText" in made_for:
            return "vision-language"
        known = did_you_mean(kind, DUAL)
        raise DataError(
            f"'{folder}' is a {kind} model ({made_for or 'no architectures'}), which is neither a "
            f"vision-language model nor one of {', '.join(DUAL)}{known}"
        )
    if "vocab_size" in config:
        return "text"
    if "image_size" in config or (folder / "preprocessor_config.json").is_file():
        return "vision"
    raise DataError(
        f"'{folder}' is a {kind} model, which reads neither text (vocab_size) nor images "
        "(preprocessor_config.json)"
    )


def _revision(folder: Path, config: Mapping[str, Any]) -> str | None:
    """Return the hub's commit: the snapshot's name in the cache, or what the configuration says."""
    if folder.parent.name == "snapshots":
        return folder.name
    commit = config.get("_commit_hash")
    return None if commit is None else str(commit)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(regular(path).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise DataError(f"{path} is not readable JSON; get the model's folder again") from e
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a JSON object; get the model's folder again")
    return content


def _inner(folder: Path) -> str:
    """Name a folder below that holds a model, if there is one."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if (path / "config.json").is_file() or (path / "modules.json").is_file():
                return f"; '{path}' holds one"
    return ""
