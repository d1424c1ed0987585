"""Real disks that are full, and real users who may not write."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(at: Path, megabytes: float) -> Iterator[Path]:
    """A disk of so many megabytes, mounted at a folder; skips where that is not permitted."""
    at.mkdir(parents=True, exist_ok=True)
    size = f"size={int(megabytes * 1024)}k"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(at)]
    if os.name != "posix" or not shutil.which("mount") or os.geteuid():
        pytest.skip("needs the right to mount a disk")
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine permits no mount")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def resize(disk: Path, megabytes: float) -> None:
    """Make room on a `small_disk`, or take it."""
    option = f"remount,size={int(megabytes * 1024)}k"
    subprocess.run(["mount", "-o", option, str(disk)], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read; pytest's own ones are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_nobody(command: list[str], **options) -> subprocess.CompletedProcess:
    """Run a command as a user who owns nothing; skips where this process may not become one."""
    if not shutil.which("setpriv") or os.geteuid():
        pytest.skip("needs root, to become somebody else")
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return subprocess.run([*other, *command], capture_output=True, text=True, **options)
