"""What a data set is, as a hash: its rows and the bytes of every file."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from effnet.errors import EffnetError
from effnet.files import write_text
from effnet.paths import DATA

MISSING = "missing"
# A file changed this recently (seconds) may change again within its time stamp's resolution.
_SETTLED = 2.0


def fingerprint(
    data_dir: Path | str, annotations: pd.DataFrame, cache_dir: Path | str | None = None
) -> str:
    """Return the SHA-256 (64 hex digits) of the rows, in their order, and of every file's bytes."""
    rows = json.dumps(annotations.astype(object).to_numpy().tolist(), default=str)
    hashes = file_hashes(data_dir, annotations["path"].tolist(), cache_dir)
    return hashlib.sha256("\n".join([rows, *hashes]).encode()).hexdigest()


def file_hashes(
    data_dir: Path | str, paths: Sequence[str], cache_dir: Path | str | None = None
) -> list[str]:
    """Return the SHA-256 of each file (paths relative to `data_dir`), "missing" where unreadable.

    A file's hash is computed once and remembered by its path, size and time stamp in a JSON file
    under `cache_dir` (default data/cache). Raises EffnetError where `data_dir` is no folder.
    """
    root = Path(data_dir)
    if not root.is_dir():
        raise EffnetError(f"data_dir: there is no folder {root}; give the folder of the images")
    root = root.resolve()
    name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    memo_file = Path(cache_dir or DATA / "cache") / f"hashes-{name}.json"
    memo = _read_memo(memo_file)

    stamps = {path: _stamp(root / path) for path in paths}
    todo = [path for path, stamp in stamps.items() if memo.get(path, [])[:2] != stamp]
    # Hashing releases Python's lock, and slow disks like several requests at once.
    with ThreadPoolExecutor(min(16, (os.cpu_count() or 1) + 4)) as threads:
        new = dict(zip(todo, threads.map(lambda path: _hash(root / path), todo), strict=True))
    hashes = [new.get(path) or memo[path][2] for path in paths]

    settled = time.time_ns() - _SETTLED * 1e9
    keep = [p for p in todo if new[p] != MISSING and stamps[p][1] < settled]
    if keep:
        write_text(memo_file, json.dumps(memo | {p: [*stamps[p], new[p]] for p in keep}))
    return hashes


def _stamp(file: Path) -> list[int]:
    """Size (bytes) and time of the last change (ns); -1, unlike any entry, without a file."""
    try:
        stat = os.stat(file)
    except OSError:
        return [-1, -1]
    return [stat.st_size, stat.st_mtime_ns]


def _hash(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return MISSING


def _read_memo(file: Path) -> dict[str, list]:
    try:
        memo = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # only a memo: what is lost is computed again
    return memo if isinstance(memo, dict) else {}
