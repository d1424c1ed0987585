"""The pixel cache: every image decoded and resized once, as one uint8 array on disk.

The thesis decodes and resizes each JPEG again in every epoch. Its resize comes first and has no
randomness, so doing it once gives the same pixels. A cache is keyed by content: the bytes of the
files, their boxes where they are cropped, the size, the channels. It is written in chunks by
several processes into a partial file, renamed when whole; a killed build goes on where it stopped.
A cache that is no longer what was written is named, and made again; a whole one is only read.
`python -m effnet.datasets.cache` says how much there is, `--clean` removes it.
"""

import argparse
import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import PIL
from filelock import FileLock, Timeout

from effnet.datasets.building import make_cache, size_on_disk
from effnet.datasets.fingerprint import file_hashes, fingerprint
from effnet.datasets.intact import open_cache
from effnet.errors import EffnetError, command_line
from effnet.files import WRITING, Damaged
from effnet.paths import DATA, relative

__all__ = ["Pixels", "cache_size", "clean_cache", "fingerprint", "pixels"]

FORMAT = 1  # raise it when the same images would give other pixels
_OURS = ("pixels-*", "hashes-*")


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

    Raises EffnetError for a bad argument, unreadable images, too little disk, and where a cache
    must be made in a folder that cannot be written.
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
    try:
        listed = open_cache(final)
    except Damaged as damage:
        files = [str(Path(data_dir).resolve() / path) for path in paths]
        job = {"size": image_size, "channels": in_channels, "margin": margin}
        listed = make_cache(final, list(zip(files, boxes, strict=True)), job, workers, damage)
    bad = listed["bad"]
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
    return sum(size_on_disk(file) for name in _OURS for file in _files(cache, name))


def clean_cache(cache_dir: Path | str | None = None) -> int:
    """Remove pixel caches and file hashes, but no cache that is being built; return bytes freed.

    Raises EffnetError for what belongs to another user.
    """
    cache = Path(cache_dir or DATA / "cache")
    freed = 0
    try:
        for lock in cache.glob("pixels-*.lock"):
            with suppress(Timeout), FileLock(lock, timeout=0):
                freed += _remove(_files(cache, f"{lock.stem}*"))
                shutil.rmtree(lock.with_suffix(".chunks"), ignore_errors=True)
        return freed + _remove(_files(cache, "hashes-*"))
    except OSError as error:
        raise EffnetError(
            f"{error.filename or cache}: cannot be removed ({error.strerror})"
        ) from None


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


def _files(cache: Path, pattern: str) -> list[Path]:
    """What lies there under a name of ours, what killed writers left included."""
    patterns = (pattern, f"{pattern}.chunks/*", f"{WRITING}{pattern}")
    found = [file for each in patterns for file in cache.glob(each)]
    # A lock file stays: removed, it would lock out nobody who already waits for it.
    return [f for f in found if f.is_file() and f.suffix != ".lock"]


def _remove(files: list[Path]) -> int:
    freed = sum(size_on_disk(file) for file in files)
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
