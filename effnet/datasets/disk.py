"""A disk that takes no more, in one message: what it is, what it needs, what is free."""

import errno
import os
import shutil
from pathlib import Path

from effnet.files import CannotWrite
from effnet.paths import relative

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def cannot_write(path: Path | str, error: OSError, needed: int = 0) -> CannotWrite:
    """The error of a file that could not be written; `needed` bytes were still to come (0: more
    than there are)."""
    why = f"{relative(path)} cannot be written ({error.strerror or error})"
    if error.errno in _FULL:
        more = f"{needed:,} bytes more" if needed else "more"
        return CannotWrite(
            f"{why}: it needs {more}, {free_bytes(path):,} are free. Make room (`make clean-cache`,"
            " `make clean-runs`), and the same command goes on where it stopped."
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
