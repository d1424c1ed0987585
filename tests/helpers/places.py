"""Places where writing fails for real: a small disk, and another user's folder."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from effnet.paths import ROOT


@contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[Path]:
    """A file system of that size on `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={int(megabytes * 2**20)}"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(disk: Path, megabytes: float) -> None:
    """Make room on a `small_disk`, or take it."""
    option = f"remount,size={int(megabytes * 2**20)}"
    subprocess.run(["mount", "-o", option, str(disk)], check=True)


def fill(folder: Path, left: int) -> Path:
    """Fill the disk that `folder` lies on up to `left` bytes."""
    file = folder / "filler"
    with open(file, "wb") as opened:
        while (free := shutil.disk_usage(folder).free - left) > 0:
            opened.write(bytes(min(free, 2**20)))
            opened.flush()
    return file


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that any user may enter (those of pytest are its own user's)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_nobody(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess:
    """`python <arguments>` as a user who owns nothing here; skips where that cannot be had."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv, to become another user")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def run(*what: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*user, sys.executable, *what],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            cwd="/",
        )

    if run("-c", "import effnet.errors").returncode:
        pytest.skip("another user cannot read this checkout")
    return run(*arguments)
