"""What a data set is, as a hash: its rows and the bytes of every file."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from effnet import files
from effnet.errors import EffnetError
from effnet.files import Damaged, read_sealed, sweep, write_sealed
from effnet.paths import DATA

# In place of the hash of a file that has none.
MISSING, IRREGULAR, UNREADABLE = "missing", "no regular file", "unreadable"
# A file changed this recently (seconds) may change again within its time stamps' resolution.
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
    """Return the SHA-256 of each file (paths relative to `data_dir`).

    A file without one gives "missing", "no regular file" (a folder, a pipe) or "unreadable". A
    file's hash is computed once and remembered for as long as its stamp stays, in a JSON file under
    `cache_dir` (default data/cache). That file is only a memo: where it is damaged, or cannot be
    read or written, the hashes are computed again. Raises EffnetError where `data_dir` is no
    folder.
    """
    root = Path(data_dir)
    if not root.is_dir():
        raise EffnetError(f"data_dir: there is no folder {root}; give the folder of the images")
    root = root.resolve()
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    memo_file = Path(cache_dir or DATA / "cache") / f"hashes-{name}.json"
    memo = _read_memo(memo_file)

    stamps = {path: stamp(root / path) for path in paths}
    todo = [path for path, now in stamps.items() if not now or memo.get(path, "")[:-65] != now]
    # Hashing releases Python's lock, and slow disks like several requests at once.
    with ThreadPoolExecutor(min(16, (os.cpu_count() or 1) + 4)) as threads:
        new = dict(zip(todo, threads.map(lambda path: _hash(root / path), todo), strict=True))
    hashes = [new.get(path) or memo[path][-64:] for path in paths]

    learnt = {
        path: f"{stamps[path]} {new[path]}"
        for path in todo
        if len(new[path]) == 64 and settled(stamps[path])
    }
    if learnt:
        _write_memo(memo_file, memo | learnt)
    return hashes


def stamp(file: Path) -> str:
    """`files.stamp` of a file; "" for no regular file."""
    try:
        now = os.stat(file)
    except OSError:
        return ""
    if not stat.S_ISREG(now.st_mode):
        return ""
    return files.stamp(now)


def settled(now: str) -> bool:
    """Whether any change after this stamp was taken is sure to give another one."""
    latest = max((int(number) for number in now.split()[2:]), default=time.time_ns())
    return latest < time.time_ns() - _SETTLED * 1e9


def _hash(file: Path) -> str:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return IRREGULAR  # opening a pipe would wait for its writer
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return MISSING
    except OSError:
        return UNREADABLE


# Path -> "stamp hash", by memo file: where that cannot be written, once a process is enough.
_learnt: dict[Path, dict[str, str]] = {}


def _read_memo(file: Path) -> dict[str, str]:
    now = stamp(file)
    return (_parsed(file, now) if now else {}) | _learnt.get(file, {})


@lru_cache(maxsize=4)
def _parsed(file: Path, now: str) -> dict[str, str]:
    try:
        memo = read_sealed(file).get("files")
    except Damaged:
        return {}
    return memo if isinstance(memo, dict) else {}


def _write_memo(file: Path, memo: dict[str, str]) -> None:
    _learnt[file] = memo
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock"), timeout=0):
            sweep(file.parent, [file.name])
            write_sealed(file, {"files": memo})
    except (OSError, Timeout, ValueError):
        pass  # another process writes it, the disk is full, or it is not ours to write
