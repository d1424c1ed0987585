"""What a reports folder says of its profile: its data, and which runs are its own."""

from pathlib import Path
from typing import Any

import pandas as pd

from effnet.files import Damaged, read_sealed
from effnet.paths import relative
from effnet.runs import grid_runs, runs_below

# What profile.json must hold, and its `data`.
PROFILE: dict[str, Any] = {"data": dict, "commit": str, "machine": str, "seconds": (int, float)}
DATA = {"name": str, "images": int, "classes": int, "complete": bool, "data_hash": str}


def read_profile(reports: Path | str) -> dict[str, Any]:
    """`profile.json` of a reports folder; empty before anything was trained, or where damaged."""
    return _profile(Path(reports))[0]


def damaged_profile(reports: Path | str) -> str:
    """Why `profile.json` tells nothing of a grid that was trained; empty where it does."""
    return _profile(Path(reports))[1]


def command_profile(reports: Path) -> str:
    """What `make ... PROFILE=` takes for a reports folder's profile: a name, or a file's path."""
    source = read_profile(reports).get("profile")
    return source if isinstance(source, str) else reports.name


def _profile(reports: Path) -> tuple[dict[str, Any], str]:
    path = reports / "profile.json"
    if not path.exists() and not (reports / "grid.json").exists():
        return {}, ""
    try:
        profile = read_sealed(path)
    except Damaged as damage:
        return {}, str(damage)
    data = profile.get("data")
    wrong = [name for name, kind in PROFILE.items() if not isinstance(profile.get(name), kind)]
    if isinstance(data, dict):
        wrong += [name for name, kind in DATA.items() if not isinstance(data.get(name), kind)]
    if wrong:
        return {}, f"{relative(path)} lacks {', '.join(wrong)}: the kit did not write it so."
    return profile, ""


def is_real(profile: dict[str, Any]) -> bool:
    """Whether a profile's runs saw the whole of Stanford Cars, which the grid has looked at."""
    data = profile.get("data", {})
    return data.get("name") == "Stanford Cars" and data.get("complete") is True


def is_part(profile: dict[str, Any]) -> bool:
    """Whether they saw photographs of Stanford Cars, but not all of them."""
    data = profile.get("data", {})
    return data.get("name") == "Stanford Cars" and data.get("complete") is False


def profile_runs(reports: Path | str) -> pd.DataFrame:
    """Finished runs of the profile's own grid (every finished run where grid.json lacks)."""
    if (Path(reports) / "grid.json").exists():
        return grid_runs(reports)
    return runs_below(reports, states=("finished",))


def data_label(profile: dict[str, Any]) -> str:
    """What comments call the data of a profile; a part of the real data says how much."""
    data = profile.get("data", {})
    if not data:
        return "this profile's data"
    if data["name"] == "demo":
        return "demo data"
    return f"{data['images']:,} images of {data['classes']} classes"
