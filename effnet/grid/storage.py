"""Runs that travel: their whole epochs on any place that fsspec reaches (STORAGE=<url>).

`<url>/<profile>/<trial id>/00007.json` lists the files of seven whole epochs with their sizes and
hashes. It is written after them and never changed, so that an epoch is there whole or not at all,
also where nothing can be renamed. A file lies under its hash: what has not changed is not sent
again. `finished.json` and `failed.json` say how the run ended.
"""

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from effnet.datasets.download import shown
from effnet.datasets.remote import reaching
from effnet.errors import EffnetError
from effnet.files import (
    Damaged,
    atomic_write,
    digest,
    parse_sealed,
    read_sealed,
    sealed_json,
    write_sealed,
)  # fmt: skip
from effnet.training.status import OUTPUTS, read_status, sealed

FILES = (*OUTPUTS, "last.ckpt")
# Places where a file needs its folder; elsewhere a name may hold any slashes.
WITH_FOLDERS = {"file", "local", "sftp", "ssh", "smb", "ftp", "hdfs", "webdav"}
ENDS = ("finished", "failed")
LEFT_OUT = {"finished": ("last.ckpt",), "failed": ("best.ckpt", "last.ckpt")}
PAUSES = (1.0, 5.0, 20.0)  # seconds before a request that failed is made again


class StorageFailed(EffnetError):
    """The storage cannot be reached, or refuses."""


class Storage:
    """The runs of a profile on the storage at `url`.

    Raises StorageFailed where fsspec does not know the place, or lacks the package for it.
    """

    def __init__(self, url: str, profile: str) -> None:
        import fsspec  # of the extra `cluster`

        self.url, self.name = url, shown(url)
        with self._told():
            self.files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.root = f"{root.rstrip('/')}/{profile}"

    def save(self, folder: Path, name: str) -> None:
        """Send what is new of the run in `folder`; `name` is "00007" (epochs), or one of ENDS.

        What only earlier epochs had is removed. Raises StorageFailed; the epoch before is there
        then as it was.
        """
        files = sealed(folder, [file for file in FILES if file not in LEFT_OUT.get(name, ())])
        # The status as it is now: the run's process goes on writing signs of life.
        manifest = {"status": read_sealed(folder / "status.json"), "files": files}
        before = self._manifests(folder.name)
        there = _hashes(before.values())
        for file, known in files.items():
            if (sha := known["sha256"]) not in there:
                self._put(f"{folder.name}/files/{sha}", folder / file)
        self.write(f"{folder.name}/{name}.json", manifest)
        kept = _hashes([manifest])
        for old, known_then in before.items():
            # A failed run's epochs stay: who tries it again goes on from there.
            if name != "failed" and old != name and (name == "finished" or old < name):
                self.remove(f"{folder.name}/{old}.json")
                for sha in _hashes([known_then]) - kept:
                    self.remove(f"{folder.name}/files/{sha}")

    def load(self, folder: Path, ends: bool = False) -> str | None:
        """Bring the run of the folder's name to `folder`: the name of what came, None if nothing.

        Its newest epoch that is whole; with `ends` only how it ended. A folder that is as far
        stays as it is.
        """
        manifests = self._manifests(folder.name)
        epochs = sorted(manifests.keys() - {*ENDS}, reverse=True)
        wanted = ENDS if ends else ("finished", *epochs)
        for name in (name for name in wanted if name in manifests):
            manifest, resumable = manifests[name], (folder / "last.ckpt").exists()
            if name not in ENDS and resumable and epochs_done(folder) >= int(name):
                return None
            try:
                for file, known in sorted(manifest["files"].items()):
                    self._get(folder, file, known["sha256"])
            except Damaged as error:
                print(f"{error} The epoch before is taken.", flush=True)
                continue
            write_sealed(folder / "status.json", manifest["status"])
            return name
        return None

    def ended(self) -> set[str]:
        """The ids of the runs that ended, by one listing of everything."""
        paths = self._paths(lambda: self.files.find(self.root))
        names = {f"{name}.json" for name in ENDS}
        return {path.split("/")[-2] for path in paths if path.rpartition("/")[2] in names}

    def _manifests(self, trial_id: str) -> dict[str, dict[str, Any]]:
        """The whole ones among a run's lists of files, by their names."""
        found = {}
        folder = f"{self.root}/{trial_id}"
        for path in self._paths(lambda: self.files.ls(folder, detail=False)):
            name, dot, suffix = path.rpartition("/")[2].partition(".")
            if (dot, suffix) == (".", "json") and re.fullmatch(r"\d{5}|finished|failed", name):
                with suppress(Damaged, FileNotFoundError):  # half written, or removed meanwhile
                    found[name] = self.read(f"{trial_id}/{name}.json")
        return found

    def read(self, name: str) -> dict[str, Any]:
        """A sealed JSON object. Raises Damaged, FileNotFoundError or StorageFailed."""
        content = self._try(lambda: self.files.cat_file(f"{self.root}/{name}"))
        return parse_sealed(content, f"{self.name}: {name}")

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Write a sealed JSON object over the one before."""
        self._put(name, sealed_json(value).encode())

    def remove(self, name: str) -> None:
        """Remove a file; one that cannot be removed is litter at worst."""
        with suppress(FileNotFoundError, StorageFailed), self._told():
            self.files.rm_file(f"{self.root}/{name}")

    def _paths(self, listing: Callable[[], list[str]]) -> list[str]:
        """What a listing gives as things are now; nothing where there is no such folder."""
        self.files.invalidate_cache()
        try:
            return self._try(listing)
        except FileNotFoundError:
            return []

    def _put(self, name: str, content: Path | bytes) -> None:
        target = f"{self.root}/{name}"

        def put() -> None:
            if isinstance(content, Path):
                self.files.put_file(str(content), target)
            else:
                self.files.pipe_file(target, content)

        try:
            self._try(put)
        except FileNotFoundError:
            if not WITH_FOLDERS & {*_protocols(self.files)}:
                raise StorageFailed(
                    f"STORAGE is {self.name}: there is no such bucket. Make it first."
                ) from None
            folder = target.rpartition("/")[0]
            self._try(lambda: self.files.makedirs(folder, exist_ok=True))
            self._try(put)

    def _get(self, folder: Path, file: str, sha: str) -> None:
        """A file of a run. Raises Damaged where it is not there as it was sent."""
        target = folder / file
        if target.exists() and digest(target) == sha:
            return
        try:
            with atomic_write(target) as new:
                source = f"{self.root}/{folder.name}/files/{sha}"
                self._try(lambda: self.files.get_file(source, str(new)))
                if digest(new) != sha:
                    raise Damaged(f"{self.name}: {file} of {folder.name} is not what was sent.")
        except FileNotFoundError:
            raise Damaged(f"{self.name}: {file} of {folder.name} is gone.") from None

    def _try(self, call: Callable[[], Any]) -> Any:
        """Ask again where the place fails: networks do."""
        for pause in PAUSES:
            try:
                with self._told():
                    return call()
            except StorageFailed:
                time.sleep(pause)
        with self._told():
            return call()

    def _told(self) -> AbstractContextManager[None]:
        advice = "Install it in the environment of every node."
        return reaching(f"STORAGE is {self.name}", advice, StorageFailed)


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else files.protocol


def _hashes(manifests: Any) -> set[str]:
    return {known["sha256"] for manifest in manifests for known in manifest["files"].values()}


def epochs_done(folder: Path) -> int:
    """Epochs of the run that lies in a folder here; 0 where that is not known."""
    try:
        return read_status(folder).get("epochs_done", 0)
    except Damaged:
        return 0
