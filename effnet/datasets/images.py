"""One image file to the pixels the network sees: decode, crop, convert, resize, all with PIL.

This is the thesis's `(Grayscale,) Resize` (page "Data transformations"): the aspect ratio is lost,
the filter is PIL's antialiased bilinear one, and luma is taken before the resize.

The workers of the pixel cache import this module: with nothing but NumPy and PIL they start fast.
"""

import hashlib
import json
import math
import os
import stat
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]
NO_FILE, NO_TARGET = "there is no such file", "a link to what is not there"
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnreadableImage(Exception):
    """A file that gives no pixels; the message is the reason, without the path."""


def require_file(path: Path | str) -> None:
    """Raise UnreadableImage unless a regular file is there; opening a pipe would wait for ever."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        link = os.path.islink(path)
        raise UnreadableImage(NO_TARGET if link else NO_FILE) from None
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror or error})") from None
    if not stat.S_ISREG(mode):
        raise UnreadableImage(
            f"not a regular file but {KINDS.get(stat.S_IFMT(mode), 'something else')}"
        )


def decode(path: Path | str | Image.Image, channels: int = 3) -> Image.Image:
    """Return the whole image in mode "RGB" (`channels` 3) or "L" (1, PIL's luma of the RGB image).

    An image that PIL has opened already goes the same way.

    Whatever PIL reads is taken as its `convert("RGB")` gives it (gray, CMYK, palette, alpha,
    16 bit; an EXIF orientation is ignored, as in the thesis). Truncated files are not read in part.

    Raises UnreadableImage.
    """
    if not isinstance(path, Image.Image):
        require_file(path)
    try:
        with warnings.catch_warnings():
            # Large (below PIL's hard limit), odd palettes and broken metadata still give pixels.
            warnings.simplefilter("ignore")
            opened = nullcontext(path) if isinstance(path, Image.Image) else Image.open(path)
            with opened as image:
                rgb = image.convert("RGB")
    except Image.UnidentifiedImageError:
        empty = not isinstance(path, Image.Image) and os.path.getsize(path) == 0
        raise UnreadableImage("the file is empty" if empty else "not an image PIL knows") from None
    except MemoryError:
        raise  # says nothing of the file
    except PermissionError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror})") from None
    except Exception as error:  # PIL's decoders raise nearly every type on broken bytes
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error
    return rgb if channels == 3 else rgb.convert("L")


def crop_to_box(image: Image.Image, box: Box, margin: float = 0.0) -> Image.Image:
    """Cut out `box` = (x1, y1, x2, y2), widened by `margin` (fraction of the box's side) per side.

    Pixels are counted from 1 and x2, y2 belong to the box, as in Stanford Cars' annotation files.
    The result is clipped to the image and rounded outwards to whole pixels.

    Raises UnreadableImage where the box has no area or lies outside the image.
    """
    x1, y1, x2, y2 = box[0] - 1, box[1] - 1, box[2], box[3]
    if not (x2 > x1 and y2 > y1):
        raise UnreadableImage(f"its box {box} has no area")
    dx, dy = margin * (x2 - x1), margin * (y2 - y1)
    left, top = max(0, math.floor(x1 - dx)), max(0, math.floor(y1 - dy))
    right, bottom = min(image.width, math.ceil(x2 + dx)), min(image.height, math.ceil(y2 + dy))
    if right <= left or bottom <= top:
        raise UnreadableImage(f"its box {box} lies outside the image of {image.size} pixels")
    return image.crop((left, top, right, bottom))


def load(
    path: Path | str | Image.Image,
    size: int,
    channels: int = 3,
    box: Box | None = None,
    margin: float = 0.0,
) -> np.ndarray:
    """Return one image as uint8 (size, size, channels). Raises UnreadableImage."""
    image = decode(path, channels)
    if box is not None:
        image = crop_to_box(image, box, margin)
    image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, channels)


def load_chunk(job: dict) -> tuple[list[tuple[int, str]], str]:
    """Decode the images of `job`, write their rows into its array file, then its marker file.

    Keys: `images` (list of [path, box or null]), `first_row`, `size`, `channels`, `margin`,
    `array` (file), `offset` (of row 0 in it, bytes), `marker` (file). Returns ([(row, reason)] of
    the unreadable ones, whose rows are zeros, and the SHA-256 of all rows).
    """
    size, channels = job["size"], job["channels"]
    pixels = np.zeros((len(job["images"]), size, size, channels), np.uint8)
    bad = []
    for i, (path, box) in enumerate(job["images"]):
        try:
            pixels[i] = load(path, size, channels, box, job["margin"])
        except UnreadableImage as error:
            bad.append((job["first_row"] + i, str(error)))
    with open(job["array"], "r+b") as file:
        file.seek(job["offset"] + job["first_row"] * pixels[0].nbytes)
        file.write(pixels.data)
        file.flush()
        os.fsync(file.fileno())  # the marker must not outlive its pixels in a power cut
    digest = hashlib.sha256(pixels.data).hexdigest()
    _write_marker(Path(job["marker"]), bad, digest)
    return bad, digest


def _write_marker(marker: Path, bad: list[tuple[int, str]], digest: str) -> None:
    """A JSON line, and a line with its hash. (`effnet.files` would do it, and start slowly.)"""
    line = json.dumps([bad, digest])
    temporary = marker.with_suffix(f".{os.getpid()}")
    temporary.write_text(f"{line}\n{hashlib.sha256(line.encode()).hexdigest()}\n", "utf-8")
    os.replace(temporary, marker)


def read_marker(marker: Path) -> tuple[list[tuple[int, str]], str] | None:
    """What `load_chunk` returned for this marker; None where it is not there, cut or changed."""
    try:
        line, seal, _ = marker.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return None
    if hashlib.sha256(line.encode()).hexdigest() != seal:
        return None
    bad, digest = json.loads(line)
    return [(row, reason) for row, reason in bad], digest
