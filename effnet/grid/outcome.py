"""What became of a profile's grid: grid.json and profile.json, and the failures in words.

`python -m effnet.grid.outcome demo` lists the trials that failed; exit code 1 where there are any.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effnet.data import CarsDataModule
from effnet.datasets.stanford import official_order
from effnet.datasets.whole import is_whole
from effnet.errors import EffnetError, command_line
from effnet.files import Damaged, read_sealed, write_sealed
from effnet.grid.profiles import Job, Profile
from effnet.runs import read_grid
from effnet.training import identity
from effnet.training.status import finished, read_status


def entry(job: Job, folder: Path | None, message: str) -> dict[str, Any]:
    """A trial's entry in grid.json: name, group, trial_id, state, message.

    A trial whose data or weights could not be had has no trial_id and the state "failed"; one that
    was not begun has the state "missing", and no trial_id while the demo's checkpoint is missing.
    """
    known = {"name": job.name, "group": job.group, "trial_id": folder.name if folder else None}
    if folder is None:
        return known | {"state": "failed" if message else "missing", "message": message}
    if finished(folder):
        return known | {"state": "finished", "message": ""}
    try:
        status = read_status(folder)
    except Damaged as error:
        return known | {"state": "damaged", "message": str(error)}
    state = status.get("state", "failed" if message else "missing")
    return known | {"state": state, "message": status.get("message") or message}


def write(
    profile: Profile, entries: list[dict[str, Any]], data: CarsDataModule, seconds: float
) -> None:
    """grid.json and profile.json; each stays untouched where nothing is new in it."""
    _write_new(profile.reports / "grid.json", {"runs": entries})
    path = profile.reports / "profile.json"
    try:
        before = read_sealed(path)
    except Damaged as error:
        before = {}
        if path.exists():
            print(f"{error} It is written anew.")
    images, classes = len(data.annotations), data.num_classes
    environment = identity.environment()
    about: dict[str, Any] = {
        "profile": profile.source,
        "note": profile.note,
        "data": {
            "name": _name(profile, data),
            "images": images,
            "classes": classes,
            "complete": is_whole(data.annotations, data.class_names) and not profile.demo,
            "data_hash": data.data_hash,
        },
    }
    if not seconds and about.items() <= before.items():
        return
    about |= {
        "commit": environment["commit"],
        "machine": f"{environment['device']}, {environment['cores']} cores",
        "environment": environment,
        "seconds": round(before.get("seconds", 0.0) + seconds, 1),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_sealed(path, about)


def _name(profile: Profile, data: CarsDataModule) -> str:
    if profile.demo:
        return "demo"
    return "Stanford Cars" if official_order(data.class_names) else "other images"


def _write_new(path: Path, value: dict[str, Any]) -> None:
    """Write where the content is new: what make builds from the file looks at its time."""
    try:
        if read_sealed(path) == value:
            return
    except Damaged:
        pass
    write_sealed(path, value)


def report(profile: Profile, entries: list[dict[str, Any]]) -> None:
    """Print how a grid ended. Raises EffnetError that lists what is not finished, with reasons."""
    left: dict[str, list[str]] = {}
    for known in entries:
        if known["state"] != "finished":
            reason = known["message"] or known["state"]
            left.setdefault(reason, []).append(f"{known['name']} ({known['trial_id'] or 'no run'})")
    count = sum(map(len, left.values()))
    if left:
        lines = [f"  {', '.join(trials)}: {reason}" for reason, trials in left.items()]
        raise EffnetError(
            f"profile {profile.name}: {count} of {len(entries)} trials are not trained:\n"
            + "\n".join(lines)
            + f"\n`make grid PROFILE={profile.source} RETRY=failed` tries them again; the others "
            "are ready."
        )
    print(f"profile {profile.name}: {len(entries)} trials ready", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.grid.outcome", description=__doc__)
    parser.add_argument("profile", nargs="?", default="demo", help="name, or path of a .yaml")
    profile = Profile.load(parser.parse_args().profile)
    report(profile, read_grid(profile.reports))


if __name__ == "__main__":
    command_line(main)
