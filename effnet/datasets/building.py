"""A pixel cache made: allocated, filled chunk by chunk, sealed, and only then given its name."""

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from effnet.datasets.chunks import Chunk, build_chunks
from effnet.datasets.intact import open_cache, seal_cache
from effnet.files import CannotWrite, Damaged, cannot_write, free_bytes, locked, sweep
from effnet.paths import relative

CHUNK_BYTES = 16 * 2**20  # of decoded pixels that one worker holds at a time
SPARE_BYTES = 64 * 2**20  # of disk to be left beside a new cache

Images = list[tuple[str, list[float] | None]]


def make_cache(
    final: Path, images: Images, job: dict[str, Any], workers: int | None, damage: Damaged
) -> dict[str, Any]:
    """Build the cache under its lock, unless another run has done so while we waited."""
    # Nothing is damaged where it was never whole.
    wrong = "" if _never_whole(final) else str(damage)
    left = len(images) * job["size"] ** 2 * job["channels"]
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with locked(final.with_suffix(".lock"), f"the pixel cache at {job['size']} px is made"):
            try:
                return open_cache(final)
            except Damaged:
                if wrong:
                    print(f"{wrong} It is made again.", flush=True)
                return _build(final, images, job, workers)
    except OSError as error:
        raise cannot_write(final, error, f"{left:,} bytes more") from error
    except CannotWrite as error:
        if not wrong:
            raise
        raise CannotWrite(f"{wrong} It cannot be made again: {error}") from error


def _never_whole(final: Path) -> bool:
    """Whether a cache was never whole, as far as its files tell."""
    both = (final.exists(), final.with_suffix(".json").exists())
    return not any(both) or (not both[0] and final.with_suffix(".partial").exists())


def _build(final: Path, images: Images, job: dict[str, Any], workers: int | None) -> dict[str, Any]:
    partial, markers = final.with_suffix(".partial"), final.with_suffix(".chunks")
    size, channels = job["size"], job["channels"]
    row_bytes = size * size * channels
    whole = row_bytes * len(images)
    for damaged in (final, final.with_suffix(".json"), final.with_suffix(".checked")):
        damaged.unlink(missing_ok=True)
    sweep(final.parent, [final.with_suffix(end).name for end in (".json", ".checked")])
    header = _header((len(images), size, size, channels))
    if not _same_length(partial, header, whole):
        shutil.rmtree(markers, ignore_errors=True)
        partial.unlink(missing_ok=True)
        _require_disk(final, whole)
        _allocate(partial, header, whole)
    else:
        _require_disk(final, whole - size_on_disk(partial))
    markers.mkdir(exist_ok=True)

    # Small enough to spread over the workers, to lose little when killed, and to fit in memory.
    step = max(1, min(128, CHUNK_BYTES // row_bytes))
    chunks = []
    for first in range(0, len(images), step):
        part = images[first : first + step]
        marker = markers / f"{first}-{first + len(part)}.json"
        where = {"array": str(partial), "offset": len(header), "marker": str(marker)}
        chunks.append(Chunk(len(part), marker, job | where | {"images": part, "first_row": first}))
    bad, parts = build_chunks(chunks, workers, f"pixel cache at {size} px")

    listed = seal_cache(final, partial, bad, parts)
    os.replace(partial, final)
    shutil.rmtree(markers, ignore_errors=True)
    return listed


def _header(shape: tuple[int, ...]) -> bytes:
    """What stands before the pixels in a .npy file."""
    written = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(written, header)
    return written.getvalue()


def _allocate(partial: Path, header: bytes, pixel_bytes: int) -> None:
    """Make the .npy file at its full length; its pixels are still a hole in the file."""
    temporary = partial.with_suffix(".new")
    with open(temporary, "wb") as file:
        file.write(header)
        file.truncate(len(header) + pixel_bytes)
    os.replace(temporary, partial)


def _same_length(partial: Path, header: bytes, pixel_bytes: int) -> bool:
    """Whether an earlier call left its unfinished file here, as this one would make it."""
    try:
        with open(partial, "rb") as file:
            return file.read(len(header)) == header and (
                file.seek(0, os.SEEK_END) == len(header) + pixel_bytes
            )
    except FileNotFoundError:
        return False


def _require_disk(final: Path, needed: int) -> None:
    free = free_bytes(final)
    if free < needed + SPARE_BYTES:
        raise CannotWrite(
            f"not enough disk for the pixel cache {relative(final)}: it needs {needed:,} bytes "
            f"and {SPARE_BYTES:,} to spare, {free:,} are free; free some (`make clean-cache` "
            "removes old caches) or choose a smaller image_size"
        )


def size_on_disk(file: Path) -> int:
    """Bytes that a file takes, holes left out."""
    stat = file.stat()
    # A partial array is mostly a hole; Windows has no st_blocks.
    return min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)
