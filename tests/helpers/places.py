"""Places where writing fails for real: a small disk, and another user's folder."""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from effnet.paths import ROOT

UNREADABLE = 77
# The kit imports these late, and another user may not reach this interpreter's own modules.
for late in ("encodings.utf_8_sig", "tqdm"):
    importlib.import_module(late)


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


def as_nobody(call: Callable[..., Any], *arguments: Any) -> subprocess.CompletedProcess[str]:
    """`call(*arguments)` in a process of a user who owns nothing here; skips where that cannot be.

    A fork: what this process has imported is there, and what it remembers, too.
    """
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    done = in_child(call, *arguments, user=65534)
    if done.returncode == UNREADABLE:
        pytest.skip("another user cannot read this checkout")
    return done


def in_child(
    call: Callable[..., Any], *arguments: Any, user: int | None = None
) -> subprocess.CompletedProcess[str]:
    """What a command that does this prints, and its exit code: what `call` returns, or 0."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        child = os.fork()
        if child == 0:
            for number, file in enumerate((out, error), start=1):
                os.dup2(file.fileno(), number)
            sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))
            code = 1
            try:
                if user is not None:
                    become(user)
                code = call(*arguments) or 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)
            except BaseException:
                traceback.print_exc()
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (out, error):
            file.seek(0)
        return subprocess.CompletedProcess(call, code, out.read(), error.read())


def become(user: int) -> None:
    """Go on as that user, who has no home; ends the process where he cannot read the package."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    os.environ["HOME"] = "/nonexistent"
    os.chdir("/")
    sys.dont_write_bytecode = True
    if not os.access(ROOT / "effnet/errors.py", os.R_OK):
        os._exit(UNREADABLE)
