"""What becomes of pictures that are fine, odd or broken."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmctr_kit.embed.pictures import (
    MAX_PIXELS,
    Fault,
    Picture,
    picture_paths,
    read_picture,
    read_pictures,
)


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return Image.frombytes(mode, (width, height), values.tobytes())


def usable(path: Path, size: int = 32) -> Picture:
    picture = read_picture(path, size)
    assert isinstance(picture, Picture), picture
    assert picture.image.mode == "RGB"
    return picture


def half(mode: str = "RGB") -> Image.Image:
    """Red above, blue below."""
    image = Image.new("RGB", (40, 40), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 40, 20))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "1", "RGBA", "LA", "I;16"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_every_mode_of_colour_is_usable(mode: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"1{suffix}"
    image = half("L").convert("I;16").point(lambda v: v * 256) if mode == "I;16" else half(mode)
    try:
        image.save(path)
    except OSError:
        assert mode == "CMYK" if suffix == ".png" else mode in ("P", "RGBA", "LA", "I;16")
        return  # the format has no such mode
    picture = usable(path)
    assert (picture.width, picture.height) == (40, 40)
    top, bottom = (
        np.asarray(picture.image)[rows].mean((0, 1)) for rows in (slice(18), slice(22, None))
    )
    if mode in ("RGB", "CMYK", "P", "RGBA"):
        np.testing.assert_allclose(top, (255, 0, 0), atol=12)
        np.testing.assert_allclose(bottom, (0, 0, 255), atol=12)
    elif mode != "1":
        np.testing.assert_allclose([top[0], bottom[0]], [76, 29], atol=12)


def test_a_name_need_not_say_what_the_file_holds(tmp_path: Path) -> None:
    half().save(tmp_path / "1.jpg", "webp")
    usable(tmp_path / "1.jpg")


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 40, 20))
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([0, 0, 0, 10, 10, 10])
    palette.paste(1, (0, 0, 40, 20))
    clear.save(tmp_path / "1.png")
    palette.save(tmp_path / "2.png", transparency=0)
    for name in ("1.png", "2.png"):
        image = usable(tmp_path / name).image
        assert image.getpixel((20, 35)) == (255, 255, 255)
        assert max(np.asarray(image)[5, 20]) <= 10


def test_a_picture_stands_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8  # the camera was turned: show it turned by 90 degrees to the left
    wide = Image.new("RGB", (80, 40), (0, 0, 255))
    wide.paste((255, 0, 0), (40, 0, 80, 40))
    wide.save(tmp_path / "1.jpg", exif=exif)
    picture = usable(tmp_path / "1.jpg")
    assert picture.image.size == (40, 80)
    red = np.asarray(picture.image)[10, 20]
    assert red[0] > 200
    assert red[2] < 50


def test_damaged_exif_costs_no_picture_and_shows_no_warning(tmp_path: Path) -> None:
    half().save(tmp_path / "1.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01\x02")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        usable(tmp_path / "1.jpg")
    assert shown == []


def truncated(path: Path) -> None:
    noise(200, 200).save(path, "jpeg")
    path.write_bytes(path.read_bytes()[:9000])


def text(path: Path) -> None:
    path.write_text("<html>404</html>")


def empty(path: Path) -> None:
    path.touch()


def one_pixel(path: Path) -> None:
    noise(1, 1).save(path)


def ribbon(path: Path) -> None:
    noise(16, 400).save(path)


def one_colour(path: Path) -> None:
    Image.new("RGB", (64, 64), (128, 128, 128)).save(path, "jpeg")


def bomb(path: Path) -> None:
    Image.new("L", (20_000, 20_000)).save(path, "png", compress_level=1)


def cut_header(path: Path) -> None:
    noise(64, 64).save(path, "png")
    path.write_bytes(path.read_bytes()[:20])


def folder(path: Path) -> None:
    path.mkdir()


FAULTS: list[tuple[Callable[[Path], None], str, str]] = [
    (truncated, "broken", "truncated or damaged"),
    (cut_header, "broken", "cannot be opened"),
    (text, "not_an_image", "not an image (16 bytes)"),
    (empty, "not_an_image", "not an image (0 bytes)"),
    (one_pixel, "too_small", "1 x 1 pixels"),
    (ribbon, "too_small", "16 x 400 pixels"),
    (one_colour, "grey", "all pixels have nearly one colour"),
    (bomb, "too_large", f"20,000 x 20,000 pixels; expected at most {MAX_PIXELS:,}"),
    (folder, "broken", "cannot be opened"),
]


@pytest.mark.parametrize(("make", "kind", "said"), FAULTS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_bad_picture_is_a_fault_of_one_line(
    make: Callable[[Path], None], kind: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "1.jpg"
    make(path)
    fault = read_picture(path, 32)
    assert isinstance(fault, Fault)
    assert fault.kind == kind
    assert said in fault.text
    assert "\n" not in fault.text
    assert str(tmp_path) not in fault.text


def test_a_missing_picture_is_a_fault(tmp_path: Path) -> None:
    none = Fault("missing", "no picture file")
    assert read_picture(None, 32) == read_picture(tmp_path / "1.jpg", 32) == none


def test_pictures_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    paths: list[Path | None] = [None]
    for number in range(1, 30):
        paths.append(tmp_path / f"{number}.png")
        noise(40 + number, 50).save(tmp_path / f"{number}.png")
    first, *others = read_pictures(paths, 32, threads=4)
    assert isinstance(first, Fault)
    assert [p.width for p in others if isinstance(p, Picture)] == list(range(41, 70))


def test_a_large_picture_is_reduced_to_what_the_encoder_needs(tmp_path: Path) -> None:
    noise(900, 700).save(tmp_path / "1.png")
    noise(900, 700).save(tmp_path / "2.jpg")
    for name in ("1.png", "2.jpg"):
        picture = usable(tmp_path / name, 32)
        assert (picture.width, picture.height) == (900, 700)
        assert 64 <= min(picture.image.size) < 128
    assert usable(tmp_path / "1.png", 400).image.size == (900, 700)


def test_a_huge_baseline_jpeg_is_read_in_bounded_memory(tmp_path: Path) -> None:
    image = Image.new("L", (20_000, 20_000))
    image.paste(noise(20, 20, "L").resize((4000, 4000), Image.Resampling.NEAREST), (9000, 9000))
    image.save(tmp_path / "1.jpg")
    code = (
        "from pathlib import Path\n"
        "from mmctr_kit.embed.pictures import read_picture\n"
        f"picture = read_picture(Path({str(tmp_path / '1.jpg')!r}), 224)\n"
        "assert picture.width == 20_000 and 448 <= min(picture.image.size) < 900\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 400_000  # kB


def test_each_item_has_one_file_and_the_first_kind_counts(tmp_path: Path) -> None:
    pictures = tmp_path / "item_images"
    assert picture_paths(tmp_path) == {}
    pictures.mkdir()
    for name in ("1.jpg", "1.png", "2.webp", "3.JPEG", "cover.jpg", "4.txt", "5"):
        (pictures / name).touch()
    (pictures / "6.jpg").symlink_to("nowhere.jpg")
    (pictures / "7.jpg").mkdir()
    found = {item: path.name for item, path in picture_paths(tmp_path).items()}
    assert found == {1: "1.jpg", 2: "2.webp", 3: "3.JPEG"}
