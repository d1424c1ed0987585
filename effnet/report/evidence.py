"""The small files of finished runs, to commit: what a long training leaves when its machine goes.

`python -m effnet.report.evidence keep FROM TO` copies them between two folders of reports, without
weights and with the predictions packed; `restore FOLDER` unpacks them there, after which the runs
are finished to every reader, and to a grid that goes on with the others.
"""

import argparse
import gzip
import shutil
from pathlib import Path

from effnet.errors import command_line
from effnet.files import atomic_write, read_sealed, write_sealed
from effnet.paths import relative
from effnet.runs import load_runs
from effnet.training.status import OUTPUTS, sealed

OF_PROFILE = ("grid.json", "profile.json")
WHOLE = ("trial.json", "status.json", "metrics.csv", "summary.json")
PACKED = "predictions_*.csv"
assert {*WHOLE, PACKED} >= {*OUTPUTS} - {"best.ckpt"}


def keep(source: Path, target: Path) -> list[Path]:
    """Copy what is small of a profile's finished runs; returns the folders written.

    Runs that list weights among their files are left out: without them they would count as
    damaged (`keep_weights: false` in a group of the profile says that none are kept).
    """
    written = []
    for name in OF_PROFILE:
        if (source / name).exists():
            _copy(source / name, target / name)
    for run in load_runs(source, states=("finished",)).to_dict("records"):
        folder, kept = Path(run["path"]), target / "runs" / run["trial_id"]
        if (folder / "best.ckpt").exists():
            continue
        for name in WHOLE:
            _copy(folder / name, kept / name)
        _without_places(kept)
        for path in sorted(folder.glob(PACKED)):
            packed = kept / f"{path.name}.gz"
            with atomic_write(packed) as temporary:
                # No time in it: the same predictions give the same bytes.
                temporary.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        written.append(kept)
    return written


def restore(reports: Path) -> list[Path]:
    """Unpack the predictions of kept runs where they are missing; returns the files written."""
    written = []
    for packed in sorted(reports.glob(f"runs/*/{PACKED}.gz")):
        path = packed.with_suffix("")
        if not path.exists():
            with atomic_write(path) as temporary:
                temporary.write_bytes(gzip.decompress(packed.read_bytes()))
            written.append(path)
    return written


def _without_places(kept: Path) -> None:
    """Leave out where the images lay and which machine it was: neither counts in a run's id."""
    record, status = (read_sealed(kept / name) for name in ("trial.json", "status.json"))
    if Path(record["trial"]["data_dir"]).is_absolute():
        record["trial"]["data_dir"] = "data/stanford_cars"
    write_sealed(kept / "trial.json", record)
    status["host"], status["pid"] = "", 0
    if "trial.json" in status["outputs"]:
        status["outputs"] |= sealed(kept, ["trial.json"])
    write_sealed(kept / "status.json", status)


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.report.evidence", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    kept = commands.add_parser("keep")
    kept.add_argument("source", type=Path)
    kept.add_argument("target", type=Path)
    commands.add_parser("restore").add_argument("reports", type=Path)
    options = parser.parse_args()
    if options.command == "keep":
        folders = keep(options.source, options.target)
        print(f"{len(folders)} runs kept in {relative(options.target)}")
    else:
        print(f"{len(restore(options.reports))} files unpacked in {relative(options.reports)}")


if __name__ == "__main__":
    command_line(main)
