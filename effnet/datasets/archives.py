"""Archives of a dataset, unpacked once, safely, to a folder that is whole or absent."""

import glob
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

from effnet.errors import EffnetError
from effnet.files import WRITING, cannot_write, locked
from effnet.paths import relative

SUFFIXES = (".tgz", ".tar.gz", ".tar", ".tar.bz2", ".tar.xz", ".zip")
# Stanford Cars has 16,185 images in 2 GB. The limits stop archives made to fill a disk.
MAX_FILES = 1_000_000
MAX_BYTES = 64 * 2**30
CHUNK = 1 << 20
# What the standard library lets through for broken or hostile archives.
BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError,
    ValueError, NotImplementedError, RuntimeError, OverflowError, LookupError, TypeError,
    MemoryError,
)  # fmt: skip


def find_archives(folder: Path) -> list[Path]:
    """The archives in a folder, sorted by name."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES)]
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def unpack(archives: list[Path], target: Path, loose: list[Path] | None = None) -> Path:
    """Unpack `archives` into `target`, with copies of the files `loose`; returns `target`.

    All of it is written to a temporary folder beside `target`, which is then renamed; a `target`
    that exists is taken as it is. What a killed call left is removed by the next one there. Only
    plain files and folders below `target` are written: a member that is a link, a device, absolute
    or climbs out with "..", that is encrypted or a duplicate, or an archive past MAX_FILES or
    MAX_BYTES, raises EffnetError, and nothing is left.
    """

    def write(folder: Path) -> None:
        budget = [MAX_FILES, MAX_BYTES]
        for archive in archives:
            print(f"Unpacking {archive} ({archive.stat().st_size / 2**20:.0f} MiB) ...", flush=True)
            try:
                _unpack_one(archive, folder, budget)
            except EffnetError:
                raise
            except BROKEN as error:
                raise EffnetError(
                    f"{archive}: not a whole archive ({type(error).__name__}: {error}). "
                    "Download it again."
                ) from None
        for file in loose or []:
            shutil.copyfile(file, folder / file.name)

    return make_folder(target, write)


def make_folder(target: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary folder and rename it to `target`, unless that exists already.

    An OSError on the way (a full disk) becomes an EffnetError; nothing half-made is left, and what
    a killed process left beside `target` is removed. One process at a time writes in a folder.
    """
    if target.is_dir():
        return target
    lock = target.parent / ".unpacking.lock"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock, f"{relative(target)} is written"), ExitStack() as at_end:
            at_end.callback(lock.unlink, missing_ok=True)
            if not target.is_dir():  # else another process wrote it while we waited
                _sweep(target)
                _fill(target, write)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


def _sweep(target: Path) -> None:
    """Remove what killed processes left; `.name-*` is how earlier versions called it."""
    for pattern in (f"{WRITING}*", f".{glob.escape(target.name)}-????????"):
        for left in target.parent.glob(pattern):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)


def _fill(target: Path, write: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f"{WRITING}{target.name}-", dir=target.parent))
    try:
        write(temporary)
        temporary.chmod(0o755)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack_one(archive: Path, folder: Path, budget: list[int]) -> None:
    members = _zip_members if archive.suffix.lower() == ".zip" else _tar_members
    for name, is_folder, opener in members(archive):
        path = folder / _inside(archive, name)
        budget[0] -= 1
        if budget[0] < 0:
            raise EffnetError(f"{archive}: more than {MAX_FILES:,} files; not unpacked.")
        if is_folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with opener() as source, open(path, "xb") as written:
                # The bytes that come are counted, not those that the header claims.
                while chunk := source.read(CHUNK):
                    budget[1] -= len(chunk)
                    if budget[1] < 0:
                        raise EffnetError(
                            f"{archive}: unpacks to more than {MAX_BYTES / 2**30:.0f} GiB."
                        )
                    written.write(chunk)
        except FileExistsError:
            raise EffnetError(f"{archive}: {name!r} comes twice.") from None


def _inside(archive: Path, name: str) -> Path:
    """A member's name as a relative path of plain parts, or EffnetError."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    bad = path.is_absolute() or ".." in parts or not name.isprintable() or ":" in name
    if bad or any(len(part.encode()) > 255 for part in parts):
        raise EffnetError(f"{archive}: refused, a member would be written to {name!r:.200}.")
    return Path(*parts)


Member = tuple[str, bool, Callable[..., Any]]


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise EffnetError(
                    f"{archive}: refused, {info.filename!r:.200} is a link or device."
                )
            if info.flag_bits & 1:
                raise EffnetError(f"{archive}: is encrypted; unpack it by hand.")
            yield info.filename, info.is_dir(), lambda info=info: opened.open(info)


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as opened:
        for info in opened:
            if not (info.isdir() or info.isreg()) or info.issparse():
                raise EffnetError(f"{archive}: refused, {info.name!r:.200} is a link or device.")
            yield info.name, info.isdir(), lambda info=info: opened.extractfile(info)
        # tarfile takes a cut between two members for the end of the archive.
        _require_end(archive, opened)


def _require_end(archive: Path, opened: tarfile.TarFile) -> None:
    """Read the rest of the stream: its end marker and the compression's own checksum."""
    opened.fileobj.seek(opened.offset)
    rest = opened.fileobj.read(CHUNK)
    if len(rest) < tarfile.BLOCKSIZE or rest.strip(b"\x00"):
        raise tarfile.ReadError("it ends without an end mark")
    while opened.fileobj.read(CHUNK):
        pass


def folder_key(files: list[Path]) -> str:
    """A name part that changes when one of the files does (by name, size and time)."""
    text = "".join(
        f"{path.name}\0{path.stat().st_size}\0{path.stat().st_mtime_ns}\0" for path in files
    )
    return f"{zlib.crc32(os.fsencode(text)):08x}"
