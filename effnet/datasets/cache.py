"""The pixel cache: every image decoded and resized once, as one uint8 array on disk.

The thesis decodes and resizes each JPEG again in every epoch. Its resize comes first and has no
randomness, so doing it once gives the same pixels. A cache is keyed by content: the bytes of the
files, their boxes where they are cropped, the size, the channels. It is written in chunks by
several processes into a partial file, renamed when whole; a killed build goes on where it stopped.
`python -m effnet.datasets.cache` says how much there is, `--clean` removes it.
"""

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import PIL
from filelock import FileLock, Timeout

from effnet.datasets.chunks import Chunk, build_chunks
from effnet.datasets.fingerprint import file_hashes, fingerprint
from effnet.errors import EffnetError, command_line
from effnet.files import write_json
from effnet.paths import DATA, relative

__all__ = ["Pixels", "cache_size", "clean_cache", "fingerprint", "pixels"]

FORMAT = 1  # raise it when the same images would give other pixels
CHUNK_BYTES = 16 * 2**20  # of decoded pixels that one worker holds at a time
_OURS = ("pixels-*", "hashes-*")
SPARE_BYTES = 64 * 2**20  # of disk to be left beside a new cache


@dataclass(frozen=True)
class Pixels:
    """The images of a data set.

    array: read-only memory map, uint8 (N, H, W, C); row i belongs to row i of the annotations, and
        is zeros where the image is unreadable.
    rows: int64, the rows that are good, ascending.
    skipped: (path, reason) of the others; empty unless `on_bad_image="skip"`.
    path: the file on disk.
    """

    array: np.ndarray
    rows: np.ndarray
    skipped: list[tuple[str, str]]
    path: Path


def pixels(
    data_dir: Path | str,
    annotations: pd.DataFrame,
    image_size: int,
    in_channels: int = 3,
    crop: str = "none",
    margin: float = 0.0,
    cache_dir: Path | str | None = None,
    on_bad_image: str = "stop",
    workers: int | None = None,
) -> Pixels:
    """Return the pixels of every row of `annotations`, from the cache or made now.

    Args:
        data_dir: folder that the paths of `annotations` are relative to.
        annotations: columns `path` and, for crop="box", `x1 y1 x2 y2` (pixels).
        image_size: side of the square result, at least 1.
        in_channels: 3 (RGB) or 1 (PIL's luma, taken before the resize).
        crop: "none" (whole photograph, the thesis) or "box".
        margin: of the box's side, added on each side of the box, >= 0; used with crop="box".
        cache_dir: where caches lie (default data/cache).
        on_bad_image: "stop" raises one error that lists every unreadable file; "skip" leaves them
            out and names them in the result.
        workers: processes that decode (default: one per core, none for few images).

    Raises EffnetError for a bad argument, unreadable images, too little disk.
    """
    _check(annotations, image_size, in_channels, crop, margin, on_bad_image)
    cache = Path(cache_dir or DATA / "cache")
    paths = annotations["path"].tolist()
    boxes = _boxes(annotations) if crop == "box" else [None] * len(paths)
    margin = float(margin) if crop == "box" else 0.0

    made_of = [FORMAT, PIL.__version__, image_size, in_channels, boxes, margin]
    made_of.append(file_hashes(data_dir, paths, cache))
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:24]
    final = cache / f"pixels-{image_size}x{in_channels}-{key}.npy"
    needed = len(paths) * image_size**2 * in_channels
    if not _whole(final, needed):
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(final.with_suffix(".lock")):
            if not _whole(final, needed):  # another run may have made it while we waited
                images = [
                    (str(Path(data_dir).resolve() / path), box)
                    for path, box in zip(paths, boxes, strict=True)
                ]
                _build(final, images, image_size, in_channels, margin, workers)

    bad = json.loads(final.with_suffix(".json").read_text(encoding="utf-8"))["bad"]
    if bad and on_bad_image == "stop":
        lines = "\n".join(f"  {paths[row]}: {reason}" for row, reason in bad)
        raise EffnetError(
            f"{len(bad)} of {len(paths)} images in {data_dir} are unreadable:\n{lines}\n"
            'replace them, or leave them out with on_bad_image="skip"'
        )
    rows = np.delete(np.arange(len(paths)), [row for row, _ in bad])
    skipped = [(paths[row], reason) for row, reason in bad]
    return Pixels(np.load(final, mmap_mode="r"), rows, skipped, final)


def cache_size(cache_dir: Path | str | None = None) -> int:
    """Return the bytes that pixel caches and file hashes take on disk, partial ones included."""
    cache = Path(cache_dir or DATA / "cache")
    return sum(_bytes(file) for name in _OURS for file in _files(cache, name))


def clean_cache(cache_dir: Path | str | None = None) -> int:
    """Remove pixel caches and file hashes, but no cache that is being built; return bytes freed."""
    cache = Path(cache_dir or DATA / "cache")
    freed = 0
    for lock in cache.glob("pixels-*.lock"):
        with suppress(Timeout), FileLock(lock, timeout=0):
            freed += _remove(_files(cache, f"{lock.stem}*"))
            shutil.rmtree(lock.with_suffix(".chunks"), ignore_errors=True)
    return freed + _remove(_files(cache, "hashes-*"))


def main() -> None:
    """Print how much the cache takes, and with `--clean` remove it."""
    parser = argparse.ArgumentParser(
        prog="python -m effnet.datasets.cache", description=main.__doc__
    )
    parser.add_argument("--clean", action="store_true")
    clean = parser.parse_args().clean
    print(f"{relative(DATA / 'cache')}: {cache_size() / 1e6:,.1f} MB")
    if clean:
        print(f"removed {clean_cache() / 1e6:,.1f} MB")


def _build(
    final: Path,
    images: list[tuple[str, list[float] | None]],
    size: int,
    channels: int,
    margin: float,
    workers: int | None,
) -> None:
    partial, markers = final.with_suffix(".partial"), final.with_suffix(".chunks")
    shape = (len(images), size, size, channels)
    row_bytes = size * size * channels
    if not partial.exists() or os.path.getsize(partial) <= row_bytes * len(images):
        shutil.rmtree(markers, ignore_errors=True)
        _require_disk(final.parent, row_bytes * len(images))
        _allocate(partial, shape)
    markers.mkdir(exist_ok=True)

    common = {"array": str(partial), "size": size, "channels": channels, "margin": margin}
    common["offset"] = os.path.getsize(partial) - row_bytes * len(images)
    # Small enough to spread over the workers, to lose little when killed, and to fit in memory.
    step = max(1, min(128, CHUNK_BYTES // row_bytes))
    chunks = []
    for first in range(0, len(images), step):
        part = images[first : first + step]
        marker = markers / f"{first}-{first + len(part)}.json"
        job = common | {"images": part, "first_row": first, "marker": str(marker)}
        chunks.append(Chunk(len(part), marker, job))
    bad = build_chunks(chunks, workers, f"pixel cache at {size} px")

    write_json(final.with_suffix(".json"), {"bad": sorted(bad), "shape": shape})
    os.replace(partial, final)
    shutil.rmtree(markers, ignore_errors=True)


def _allocate(partial: Path, shape: tuple[int, ...]) -> None:
    """Make the .npy file at its full length; its pixels are still a hole in the file."""
    temporary = partial.with_suffix(".new")
    with open(temporary, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + int(np.prod(shape)))
    os.replace(temporary, partial)


def _require_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise EffnetError(
            f"not enough disk for the pixel cache in {folder}: it needs {needed / 1e6:,.0f} MB "
            f"and {SPARE_BYTES / 1e6:,.0f} MB to spare, {free / 1e6:,.0f} MB are free; free some "
            "(`make clean-cache` removes old caches) or choose a smaller image_size"
        )


def _whole(file: Path, pixel_bytes: int) -> bool:
    """Whether the array lies there at its full length, with the list of its bad rows."""
    there = file.exists() and file.with_suffix(".json").exists()
    return there and os.path.getsize(file) > pixel_bytes


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("another run is building the pixel cache; waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _files(cache: Path, pattern: str) -> list[Path]:
    found = [*cache.glob(pattern), *cache.glob(f"{pattern}.chunks/*")]
    # A lock file stays: removed, it would lock out nobody who already waits for it.
    return [f for f in found if f.is_file() and f.suffix != ".lock"]


def _bytes(file: Path) -> int:
    stat = file.stat()
    # A partial array is mostly a hole; Windows has no st_blocks.
    return min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)


def _remove(files: list[Path]) -> int:
    freed = sum(_bytes(file) for file in files)
    for file in files:
        file.unlink(missing_ok=True)
    return freed


def _boxes(annotations: pd.DataFrame) -> list[list[float]]:
    boxes = annotations[["x1", "y1", "x2", "y2"]].to_numpy(np.float64)
    without = np.flatnonzero(~np.isfinite(boxes).all(1))
    if len(without):
        raise EffnetError(
            f'crop="box": {len(without)} of {len(boxes)} images have no box (the first is '
            f'{annotations["path"].iloc[without[0]]}); use crop="none" for this data'
        )
    return boxes.tolist()


def _check(
    annotations: pd.DataFrame,
    image_size: int,
    in_channels: int,
    crop: str,
    margin: float,
    on_bad_image: str,
) -> None:
    for name, value, allowed in (
        ("in_channels", in_channels, (1, 3)),
        ("crop", crop, ("none", "box")),
        ("on_bad_image", on_bad_image, ("stop", "skip")),
    ):
        if value not in allowed:
            raise EffnetError(f"{name} is {value!r}; allowed are {allowed[0]!r} and {allowed[1]!r}")
    if not (isinstance(image_size, int) and image_size >= 1):
        raise EffnetError(f"image_size is {image_size!r}; it must be a whole number of at least 1")
    if not 0 <= margin < float("inf"):
        raise EffnetError(f"the crop's margin is {margin!r}; it must be 0 or more")
    if not len(annotations):
        raise EffnetError("there is no image to prepare: the annotations are empty")


if __name__ == "__main__":
    command_line(main)
