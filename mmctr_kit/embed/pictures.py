"""Reading an item's picture safely: upright RGB of bounded size, or what is wrong with it."""

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mmctr_kit.data.contract import IMAGES_FOLDER, PICTURE_SUFFIXES
from mmctr_kit.data.parquet import first_line
from mmctr_kit.files import regular

if TYPE_CHECKING:
    from PIL.Image import Image

FaultKind = Literal["missing", "not_an_image", "broken", "too_large", "too_small", "grey"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""What a file may hold, whatever its name says."""
MAX_PIXELS = 40_000_000
"""A picture that must be decoded with more pixels is too large. A baseline JPEG is decoded at up to
an eighth of its sides, so that one of 20,000 x 20,000 pixels passes; memory stays under 400 MB."""
MIN_SIDE = 16
"""A picture with a shorter side, in pixels, is too small."""
MAX_RATIO = 20
"""A picture whose sides differ by a larger factor is too small on its shorter side."""
GREY_DEVIATION = 2.0
"""A picture is grey, that is uniform, if no colour channel (0..255) has a larger deviation."""

_LARGE_PIXELS = 4_000_000
_opening, _large = threading.Lock(), threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A usable picture.

    ``image`` is RGB, turned as its EXIF says, on white if it was transparent, and reduced by a
    whole factor if its shorter side was at least four times the size asked for. ``width`` and
    ``height`` are the file's, in pixels; ``deviation`` is the largest standard deviation of a
    colour channel, 0..127.5.
    """

    image: "Image"
    width: int
    height: int
    deviation: float


@dataclass(frozen=True)
class Fault:
    """Why a picture is not usable: its kind, and one line for people."""

    kind: FaultKind
    text: str


def picture_paths(data: Path) -> dict[int, Path]:
    """The file of each item that has one in the data folder's item_images/, by item_id."""
    paths: dict[int, Path] = {}
    try:
        entries = sorted(os.scandir(data / IMAGES_FOLDER), key=_preference)
    except (FileNotFoundError, NotADirectoryError):
        return paths
    for entry in entries:
        stem, suffix = os.path.splitext(entry.name)
        if suffix.lower() in PICTURE_SUFFIXES and stem.isdecimal() and entry.is_file():
            paths.setdefault(int(stem), Path(entry.path))
    return paths


def _preference(entry: "os.DirEntry[str]") -> tuple[int, str]:
    suffix = os.path.splitext(entry.name)[1].lower()
    known = suffix in PICTURE_SUFFIXES
    return PICTURE_SUFFIXES.index(suffix) if known else len(PICTURE_SUFFIXES), entry.name


def read_picture(path: Path | None, size: int) -> Picture | Fault:
    """Read one picture for an encoder that takes ``size`` x ``size`` pixels.

    ``path`` is None for an item without a file. Whatever the file holds, nothing is raised, no
    warning is shown and memory is bounded (:data:`MAX_PIXELS`).
    """
    with _quiet():
        return _read(size, path)


def read_pictures(
    paths: Sequence[Path | None], size: int, threads: int = 1
) -> list[Picture | Fault]:
    """Read several pictures as :func:`read_picture` does, in the order of ``paths``."""
    with _quiet(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(partial(_read, size), paths))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's warnings, such as those about damaged EXIF; filters are the process's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(size: int, path: Path | None) -> Picture | Fault:
    from PIL import UnidentifiedImageError

    if path is None:
        return Fault("missing", "no picture file")
    try:
        image = _open(path)
    except FileNotFoundError:
        return Fault("missing", "no picture file")
    except UnidentifiedImageError:
        what = f"not an image ({path.stat().st_size:,} bytes)"
        return Fault("not_an_image", f"{what}; expected {', '.join(FORMATS)}")
    except Exception as e:  # plugins raise errors of many types for damaged headers
        why = e.strerror if isinstance(e, OSError) and e.strerror else first_line(e)
        return Fault("broken", f"cannot be opened ({why})")
    with image:
        return _decoded(image, size)


def _open(path: Path) -> "Image":
    """Open a picture without decoding it, whatever size its header claims."""
    from PIL import Image

    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(regular(path), formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decoded(image: "Image", size: int) -> Picture | Fault:
    width, height = image.size
    short, long = sorted(image.size)
    if short < MIN_SIDE or long > MAX_RATIO * short:
        expected = f"at least {MIN_SIDE} pixels a side, and sides within a factor of {MAX_RATIO}"
        return Fault("too_small", f"{width:,} x {height:,} pixels; expected {expected}")
    if not image.info.get("progressive"):  # such a file is held whole, at whatever scale
        image.draft("RGB", (2 * size, 2 * size))
    pixels = image.size[0] * image.size[1]
    if pixels > MAX_PIXELS:
        most = f"at most {MAX_PIXELS:,} pixels that must be decoded"
        return Fault("too_large", f"{width:,} x {height:,} pixels; expected {most}")
    try:
        if pixels > _LARGE_PIXELS:
            with _large:  # one at a time, so that threads do not multiply its memory
                whole = _upright(image, size)
        else:
            whole = _upright(image, size)
    except Exception as e:  # decoders raise errors of many types for damaged data
        return Fault("broken", f"truncated or damaged ({first_line(e)})")
    deviation = _deviation(whole)
    if deviation <= GREY_DEVIATION:
        return Fault("grey", f"all pixels have nearly one colour (deviation {deviation:.1f})")
    return Picture(whole, width, height, deviation)


def _upright(image: "Image", size: int) -> "Image":
    """Decode a picture into RGB, reduced, on white, and turned as its EXIF says."""
    from PIL import Image

    image.load()
    whole = _turned(image)
    if whole.mode.startswith("I"):
        whole = whole.point(lambda value: value * (1 / 256)).convert("L")  # 16 bits a pixel
    transparent = whole.has_transparency_data
    whole = whole.convert("RGBA" if transparent else "RGB")
    factor = min(whole.size) // (2 * size)
    if factor > 1:
        whole = whole.reduce(factor)
    if transparent:
        white = Image.new("RGB", whole.size, "white")
        white.paste(whole, mask=whole.getchannel("A"))
        return white
    return whole


def _turned(image: "Image") -> "Image":
    """Turn a picture as its EXIF says; damaged EXIF says nothing."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _deviation(image: "Image") -> float:
    """Return the largest standard deviation of a colour channel, 0..127.5."""
    from PIL import ImageStat

    return max(ImageStat.Stat(image).stddev)
