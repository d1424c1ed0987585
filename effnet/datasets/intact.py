"""Whether a pixel cache is still what was written: its parts have hashes, looked at once.

A cache is `pixels-*.npy` and a sealed `pixels-*.json` beside it, with the bad rows and a hash of
every part of the array. Looking at 2.4 GB (16,185 images at 224 px) takes seconds, so that it was
done is written to `pixels-*.checked`: for as long as the array's stamp stays, the next process
does not look again.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from effnet.datasets.fingerprint import settled, stamp
from effnet.files import CannotWrite, Damaged, read_sealed, write_sealed
from effnet.paths import relative

_TOLD_BYTES = 10**9  # looking at more is told, because it takes a while


class Part(NamedTuple):
    """Bytes of a file, and their SHA-256."""

    start: int
    length: int
    sha256: str


# Stamps of arrays that this process has looked at: where that cannot be written down.
_seen: set[tuple[Path, str]] = set()


def seal_cache(file: Path, array: Path, bad: Sequence, parts: list[Part]) -> dict[str, Any]:
    """Write and return the list that stands beside the pixel file `file`, still called `array`."""
    header = parts[0].start
    with open(array, "rb") as opened:
        parts = [Part(0, header, hashlib.sha256(opened.read(header)).hexdigest()), *parts]
    listed = {"bad": bad, "parts": parts}
    write_sealed(file.with_suffix(".json"), listed)
    return listed


def open_cache(file: Path) -> dict[str, Any]:
    """What stands beside a pixel file that is whole: `bad`, a list of [row, reason].

    Raises Damaged, with the name of the file that is missing, cut or changed.
    """
    now = stamp(file)
    if not now:
        raise Damaged(f"{relative(file)} is missing.")
    listed = read_sealed(file.with_suffix(".json"))
    if "parts" not in listed:
        raise Damaged(f"{relative(file)} is of an earlier version, which kept no hash of it.")
    parts = [Part(*part) for part in listed["parts"]]
    if (file, now) not in _seen and not _was_checked(file, now):
        if wrong := _damage(file, parts):
            raise Damaged(f"{relative(file)} {wrong}.")
        if settled(now):
            _seen.add((file, now))
            with suppress(CannotWrite):  # another user's, or a full disk: the next one looks again
                write_sealed(_checked(file), {"stamp": now})
    return listed


def changed_parts(file: Path, parts: Sequence[Part]) -> list[int]:
    """Which of these parts of a file (by number) are not what their hash says."""

    def same(part: Part) -> bool:
        with open(file, "rb") as opened:
            opened.seek(part.start)
            return hashlib.sha256(opened.read(part.length)).hexdigest() == part.sha256

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # hashing releases Python's lock
        return [i for i, fine in enumerate(threads.map(same, parts)) if not fine]


def _damage(file: Path, parts: list[Part]) -> str:
    whole, size = sum(part.length for part in parts), file.stat().st_size
    if size != whole:
        return "is empty" if not size else f"has {size:,} bytes in place of {whole:,}"
    if whole >= _TOLD_BYTES:
        print(f"looking through {relative(file)} once ({whole / 1e9:.1f} GB)", flush=True)
    try:
        changed = changed_parts(file, parts)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return f"was changed after it was written ({len(changed)} of {len(parts)} parts)" * bool(
        changed
    )


def _was_checked(file: Path, now: str) -> bool:
    try:
        return read_sealed(_checked(file)).get("stamp") == now
    except Damaged:
        return False


def _checked(file: Path) -> Path:
    return file.with_suffix(".checked")
