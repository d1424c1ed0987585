"""Files that are either whole or absent, and that say when they are no longer what was written."""

import errno
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from effnet.errors import EffnetError
from effnet.paths import relative

# Begins the name of a file that is being written. One that outlives its writer is litter.
WRITING = ".writing-"
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Damaged(EffnetError):
    """A file of the kit that is missing, cut, changed, or was never the kit's."""


class CannotWrite(EffnetError):
    """The disk is full or failing, or the file is not ours to write: no fault of its content."""


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it.

    The temporary name keeps the suffix (writers choose a format by it). After an exception the
    temporary file is removed and `path` is as it was. Raises CannotWrite for a full disk and for
    missing permission.
    """
    path = Path(path)
    temporary = path  # until there is one
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f"{WRITING}{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; a report is as readable as any other new file.
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except Exception as error:
        # Torch's writer, closed by Ctrl-C in the middle of a part, raises an error of its own.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        if refused := _why_not(error, path):
            raise refused from error
        raise
    finally:
        if temporary != path:
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder with its parents. Raises CannotWrite where that is not allowed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{relative(path)} cannot be made ({error.strerror}).") from error


def _why_not(error: BaseException, path: Path) -> CannotWrite | None:
    """What kept a file from being written; None where it was not the disk."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__  # torch reports a full disk as RuntimeError
    if cause is None or cause.errno not in _REFUSED | _FULL | {errno.EIO}:
        return None
    if cause.filename and Path(os.fsdecode(cause.filename)).parent not in (
        path.parent,
        *path.parents,
    ):
        return None  # of another file, which the writer was reading
    begun = sum(_size(left) for left in path.parent.glob(f"{WRITING}{path.stem}-*{path.suffix}"))
    return cannot_write(path, cause, f"more than {max(begun, _size(path)):,} bytes", begun)


def cannot_write(
    path: Path | str, error: OSError, needs: str = "more", freed: int = 0
) -> CannotWrite:
    """The error of a file that could not be written, in one message.

    `needs` says how much a full disk is short of; `freed` bytes will be free besides.
    """
    why = f"{relative(path)} cannot be written"
    if error.errno == errno.EIO:
        return CannotWrite(f"{why}: the disk reports an error ({error}).")
    why += f" ({error.strerror or error})"
    if error.errno in _FULL:
        return CannotWrite(
            f"{why}: it needs {needs}, {free_bytes(path) + freed:,} are free. Make room (`make "
            "clean-cache`, `make clean-runs`), and the same command goes on where it stopped."
        )
    if error.errno in _REFUSED:
        return CannotWrite(f"{why}: its folder belongs to another user, or the disk is read-only.")
    return CannotWrite(f"{why}.")


def free_bytes(path: Path | str) -> int:
    """Free bytes of the disk that a file lies on, or will."""
    folder = Path(os.path.abspath(path))
    while not folder.is_dir():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text by rename."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON by rename; numbers that JSON lacks (NaN) raise ValueError."""
    write_text(path, _json(value))


def write_sealed(path: Path | str, value: dict[str, Any]) -> None:
    """Write a JSON object with a hash of its content in it: `read_sealed` sees any change."""
    write_text(path, sealed_json(value))


def sealed_json(value: dict[str, Any]) -> str:
    """The text that `write_sealed` writes."""
    return _json(value | {"seal": _seal(value)})


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def read_sealed(path: Path | str) -> dict[str, Any]:
    """The object that `write_sealed` wrote, without its seal.

    A file without a seal is of an earlier version, and taken as it is. Raises Damaged where the
    file is missing, cannot be read, is no JSON object, or is not what was written.
    """
    path = Path(path)
    try:
        return parse_sealed(path.read_bytes(), relative(path))
    except FileNotFoundError:
        raise Damaged(f"{relative(path)} is missing.") from None
    except OSError as error:
        raise Damaged(f"{relative(path)} cannot be read: {error.strerror or error}.") from None


def parse_sealed(content: bytes, name: str) -> dict[str, Any]:
    """The object in what `sealed_json` made, without its seal; `name` is for messages.

    Raises Damaged where it is not what was written.
    """
    try:
        value = json.loads(content.decode())
    except ValueError:
        what = "is no whole JSON file" if content else "is empty"
        raise Damaged(f"{name} {what}.") from None
    if not isinstance(value, dict):
        raise Damaged(f"{name} holds no JSON object: the kit did not write it.")
    if value.pop("seal", None) not in (None, _seal(value)):
        raise Damaged(f"{name} was changed after it was written.")
    return value


def _seal(value: dict[str, Any]) -> str:
    # As it will be read again: tuples become lists, keys become text.
    text = json.dumps(json.loads(json.dumps(value)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest(path: Path | str) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Remembered in this process for as long as path, inode, size and both time stamps stay.
    """
    return _digest(str(path), stamp(os.stat(path)))


def stamp(stat: os.stat_result) -> str:
    """Inode, size (bytes), and when content and inode last changed (ns).

    The last cannot be set by hand: a file put in another's place shows in it.
    """
    return f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


@lru_cache(maxsize=100_000)
def _digest(path: str, stamp: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove what killed writers of these files left; call it where nobody writes them now."""
    for name in names:
        stem, suffix = os.path.splitext(name)
        for left in folder.glob(f"{WRITING}{stem}-*{suffix}"):
            left.unlink(missing_ok=True)


@contextmanager
def locked(lock: FileLock | Path, what: str, wait: bool = True) -> Iterator[None]:
    """Hold a lock file. Who has to wait says so, and for whom.

    `what` is done under the lock, for the message ("the pixel cache is made"). Raises CannotWrite
    where the lock file cannot be made, and filelock's Timeout where it is held and `wait` is False.
    """
    lock = lock if isinstance(lock, FileLock) else FileLock(lock)
    file = Path(lock.lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        print(f"waiting: {what} by {_holder(file)}", flush=True)
        lock.acquire()
    except OSError as error:
        raise CannotWrite(
            f"{relative(file)} cannot be made ({error.strerror}): {what} under this lock, and the "
            "folder belongs to another user, or the disk is full or read-only."
        ) from error
    beside, now = _beside(file), datetime.now(UTC).isoformat(timespec="seconds")
    me = {"pid": os.getpid(), "host": platform.node(), "since": now}
    try:
        with suppress(OSError):  # only for the message of those who wait
            beside.write_text(json.dumps(me), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        lock.release()


def _holder(file: Path) -> str:
    """Who holds a lock, as far as it has said so."""
    try:
        who = json.loads(_beside(file).read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _beside(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.by")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
