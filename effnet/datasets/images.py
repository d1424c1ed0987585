"""One image file to the pixels the network sees: decode, crop, convert, resize, all with PIL.

This is the thesis's `(Grayscale,) Resize` (page "Data transformations"): the aspect ratio is lost,
the filter is PIL's antialiased bilinear one, and luma is taken before the resize.

The workers of the pixel cache import this module: with nothing but NumPy and PIL they start fast.
"""

import json
import math
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]


class UnreadableImage(Exception):
    """A file that gives no pixels; the message is the reason, without the path."""


def decode(path: Path | str, channels: int = 3) -> Image.Image:
    """Return the whole image in mode "RGB" (`channels` 3) or "L" (1, PIL's luma of the RGB image).

    Whatever PIL reads is taken as its `convert("RGB")` gives it (gray, CMYK, palette, alpha,
    16 bit; an EXIF orientation is ignored, as in the thesis). Truncated files are not read in part.

    Raises UnreadableImage.
    """
    try:
        with warnings.catch_warnings():
            # Large (below PIL's hard limit), odd palettes and broken metadata still give pixels.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                rgb = image.convert("RGB")
    except FileNotFoundError:
        raise UnreadableImage("there is no such file") from None
    except Image.UnidentifiedImageError:
        empty = os.path.getsize(path) == 0
        raise UnreadableImage("the file is empty" if empty else "not an image PIL knows") from None
    except MemoryError:
        raise  # says nothing of the file
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
    path: Path | str, size: int, channels: int = 3, box: Box | None = None, margin: float = 0.0
) -> np.ndarray:
    """Return one image as uint8 (size, size, channels). Raises UnreadableImage."""
    image = decode(path, channels)
    if box is not None:
        image = crop_to_box(image, box, margin)
    image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, channels)


def load_chunk(job: dict) -> list[tuple[int, str]]:
    """Decode the images of `job`, write their rows into its array file, then its marker file.

    Keys: `images` (list of [path, box or null]), `first_row`, `size`, `channels`, `margin`,
    `array` (file), `offset` (of row 0 in it, bytes), `marker` (file). Returns [(row, reason)] of
    the unreadable ones, whose rows are zeros. The marker holds the same list as JSON.
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
    marker = Path(job["marker"])
    temporary = marker.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(bad), encoding="utf-8")
    os.replace(temporary, marker)
    return bad
