"""What of a profile failed, is missing or damaged, for the page and for the terminal."""

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effnet.files import Damaged
from effnet.paths import relative
from effnet.report.notebooks import FAILED
from effnet.runs import damaged_runs, read_grid, runs_below
from effnet.training.identity import code_hash
from effnet.verdicts.profile import damaged_profile


@dataclass
class Failures:
    """Everything that is not whole, as text.

    Attributes:
        notebooks: name, message, begun (time) and file of each notebook that failed.
        runs: id, name and message of each failed run of the grid, or of today's training code.
        missing: names of the grid's runs that are neither finished nor failed, with their state.
        grid: how many of the grid's runs are finished, and how many there are.
        groups: the groups that they are of.
        damaged: files, with what is the matter with them.
    """

    notebooks: list[dict[str, str]] = field(default_factory=list)
    runs: list[dict[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    grid: tuple[int, int] = (0, 0)
    groups: set[str] = field(default_factory=set)
    damaged: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.notebooks or self.runs or self.missing or self.damaged)

    @property
    def complete(self) -> bool:
        """Whether every notebook and every run of the grid came to its end."""
        return not self.notebooks and self.grid[0] == self.grid[1]

    def short(self) -> str:
        """How much of each kind, in a line."""
        kinds = (
            (self.notebooks, "failed notebook"),
            (self.runs, "failed run"),
            (self.missing, f"of the grid's {self.grid[1]} runs unfinished"),
            (self.damaged, "damaged file"),
        )
        return ", ".join(
            f"{len(some)} {name}{'s' * (len(some) > 1 and name[:2] != 'of')}"
            for some, name in kinds
            if some
        )

    def lines(self) -> list[str]:
        """A line each, for a terminal."""
        return [
            *(f"notebook {n['name']} failed: {n['message']}" for n in self.notebooks),
            *(f"run {r['name']} ({r['id']}) failed: {r['message']}" for r in self.runs),
            *(f"run {name}" for name in self.missing),
            *(f"damaged: {file} {why}" for file, why in self.damaged),
        ]


def find_failures(reports: Path) -> Failures:
    """What failed in a profile's folder; files of figures and notebooks are not looked into."""
    found = Failures(notebooks=_notebooks(reports), damaged=damaged_runs(reports))
    if text := damaged_profile(reports):
        path = relative(reports / "profile.json")
        found.damaged.append((path, text.removeprefix(f"{path} ")))
    runs = runs_below(reports)
    states = dict(zip(runs["trial_id"], runs["state"], strict=True))
    try:
        grid = read_grid(reports)
    except Damaged as damage:
        grid = []
        found.damaged.append((relative(reports / "grid.json"), str(damage)))
    ids = {entry["trial_id"] for entry in grid}
    failed = runs[runs["state"] == "failed"].to_dict("records")
    # A run that failed under other code, and was trained since under this, is no news.
    found.runs = [
        _run(row) for row in failed if row["trial_id"] in ids or row["code_hash"] == code_hash()
    ]
    for entry in grid:
        state = states.get(entry["trial_id"])
        if state is None and entry["state"] == "failed":
            found.runs.append(_run(entry))
        elif state not in ("finished", "failed"):
            found.missing.append(f"{entry['name']}: {state or 'missing'}")
    done = sum(states.get(entry["trial_id"]) == "finished" for entry in grid)
    found.grid, found.groups = (done, len(grid)), {entry["group"] for entry in grid}
    return found


def _run(row: dict[str, Any]) -> dict[str, str]:
    message = row["message"] if isinstance(row["message"], str) else ""
    return {"id": row["trial_id"], "name": row["name"], "message": message or "no message"}


def note_failure(notebook: Any, message: str, begun: datetime) -> None:
    """Write into a notebook's metadata why its execution that began then (UTC) failed."""
    stamp = begun.isoformat(timespec="seconds")
    notebook.metadata["effnet_failure"] = {"message": message, "begun": stamp}


def _notebooks(reports: Path) -> list[dict[str, str]]:
    """The notebooks of a profile whose last execution failed, with the message each kept."""
    import nbformat

    found = []
    for path in sorted((reports / "notebooks").glob(f"*{FAILED}")):
        begun = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        failure: dict[str, str] = {"message": "its record cannot be read", "begun": begun}
        try:
            noted = nbformat.read(path, as_version=4).metadata["effnet_failure"]
            failure |= {name: str(noted[name]) for name in failure}
        except Exception:  # the file may be anything; that it is there says enough
            pass
        name = path.name.removesuffix(FAILED)
        found.append(failure | {"name": name, "file": f"notebooks/{path.name}"})
    return found


def say(failures: Failures, reports: Path) -> None:
    """Print on stderr what failed, a line each."""
    for line in failures.lines():
        print(line, file=sys.stderr)
    if failures:
        print(f"not everything of {relative(reports)} is there: see above", file=sys.stderr)
