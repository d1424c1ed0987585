"""Remove a profile's results, or only what no one needs any more; say what takes disk.

`python -m effnet.report.clean demo` removes reports/demo, `--runs` only what is stale among its
runs, and `--du` lists the disk use of every profile and of the data.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from effnet.errors import EffnetError, command_line
from effnet.files import WRITING, Damaged, read_sealed
from effnet.grid.profiles import Profile
from effnet.paths import DATA, REPORTS, relative
from effnet.plots.dashboard import size_text
from effnet.runs import PACKING
from effnet.training.identity import code_hash
from effnet.training.record import run_lock

PARTS = ("runs", "figures", "tables", "notebooks", "custom")
DATA_PARTS = ("cache", "demo*", "weights", "unpacked")


def clean(profile: str) -> int:
    """Remove reports/<profile> with everything in it; returns the bytes.

    Raises EffnetError for an unknown profile, for a folder that is a link, and while a run there
    is being trained.
    """
    folder = _folder(profile)
    if not folder.exists():
        print(f"{relative(folder)} is not there: nothing to remove")
        return 0
    for run in _folders(folder / "runs"):
        if _busy(run):
            raise EffnetError(f"{relative(run)} is being trained: stop that first (Ctrl-C there).")
    size = disk_use(folder)
    parts = [part for part in sorted(folder.iterdir()) if disk_use(part)]
    for part in parts:
        print(f"  {size_text(disk_use(part)):>10}  {relative(part)}")
    _remove(folder)
    print(f"removed {relative(folder)}: {size_text(size)}")
    return size


def clean_runs(profile: str) -> int:
    """Remove from reports/<profile>/runs what nothing will read again; returns the bytes.

    That is: runs of other training code than now, the state for going on (last.ckpt) of finished
    runs, and what killed writers left. Runs of overridden parameters stay. Runs that are being
    trained, what is kept packed, and what is no run of the kit are left alone.
    """
    folder = _folder(profile) / "runs"
    if folder.is_symlink():
        raise EffnetError(f"{relative(folder)} is a link to {folder.readlink()}: clean it there.")
    total = 0
    for run in _folders(folder):
        if _busy(run):
            print(f"  being trained, left: {relative(run)}")
            continue
        for path, why in _stale(run):
            size = disk_use(path)
            _remove(path)
            print(f"  {size_text(size):>10}  {relative(path)}: {why}")
            total += size
    print(f"removed {size_text(total)} from {relative(folder)}")
    return total


def _stale(run: Path) -> Iterator[tuple[Path, str]]:
    """What of a run's folder is of no use, with the reason."""
    if not (run / "trial.json").exists() or any(run.glob(f"*{PACKING}")):
        return  # not the kit's, or kept on purpose
    try:
        if read_sealed(run / "trial.json").get("code_hash") != code_hash():
            yield run, "of other training code"
            return
        if read_sealed(run / "status.json").get("state") == "finished":
            yield from ((path, "the run is finished") for path in run.glob("last.ckpt"))
    except Damaged:
        pass  # the grid trains it again
    for path in run.iterdir():
        if path.name.startswith(WRITING) or path.name.endswith(".damaged"):
            yield path, "litter"


def disk_use(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count as themselves."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size if path.is_symlink() or path.exists() else 0
    return sum(disk_use(inside) for inside in path.iterdir())


def print_disk_use() -> None:
    """A line per profile that has results, and per part of the data."""
    print(f"{'reports':24}" + "".join(f"{part:>12}" for part in (*PARTS, "page", "in all")))
    for folder in _folders(REPORTS):
        sizes = [disk_use(folder / part) for part in PARTS]
        whole = disk_use(folder)
        cells = [*sizes, whole - sum(sizes), whole]
        print(f"{relative(folder):24}" + "".join(f"{size_text(size):>12}" for size in cells))
    print("\ndata")
    for pattern in DATA_PARTS:
        for path in sorted(DATA.glob(pattern)):
            print(f"{relative(path):24}{size_text(disk_use(path)):>12}")


def _folder(profile: str) -> Path:
    """The reports folder of a profile; raises EffnetError where it is unknown, or a link."""
    folder = Profile.load(profile).reports
    if folder.is_symlink():
        raise EffnetError(
            f"{relative(folder)} is a link to {folder.readlink()}: what it leads to is not removed "
            "from here. Remove the link, or clean what it leads to, by hand."
        )
    return folder


def _folders(parent: Path) -> list[Path]:
    """Folders in a folder, none of them a link."""
    found = parent.iterdir() if parent.is_dir() else ()
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())


def _busy(run: Path) -> bool:
    """Whether a process is training this run now."""
    try:
        with run_lock(run).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError as error:
        raise EffnetError(f"{relative(run)} is not ours to clean: {error.strerror}.") from error


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise EffnetError(f"{relative(path)} cannot be removed: {error.strerror}.") from error


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.report.clean", description=__doc__)
    parser.add_argument("profile", nargs="?", help="whose results to remove")
    parser.add_argument("--runs", action="store_true", help="only what is stale among its runs")
    parser.add_argument("--du", action="store_true", help="remove nothing, list the disk use")
    options = parser.parse_args(arguments)
    if options.du:
        print_disk_use()
    elif options.profile is None:
        parser.error("say which profile, or --du")
    elif options.runs:
        clean_runs(options.profile)
    else:
        clean(options.profile)


if __name__ == "__main__":
    command_line(main)
