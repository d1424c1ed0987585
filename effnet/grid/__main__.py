"""`python -m effnet.grid demo` trains every trial of a profile that is not finished."""

import argparse
import os

from effnet.errors import EffnetError, command_line
from effnet.grid import outcome
from effnet.grid.profiles import Profile
from effnet.grid.train import Grid, train_grid
from effnet.grid.workers import stop_with_parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.grid", description=__doc__)
    parser.add_argument("profile", nargs="?", default="demo", help="name, or path of a .yaml")
    parser.add_argument("--engine", choices=["local", "ray"], default="local", help="docs/scale.md")
    parser.add_argument("--jobs", type=int, help="trials at once (default: by the machine)")
    parser.add_argument("--retry", choices=["failed"], help="try failed trials again, too")
    parser.add_argument(
        "--go-on",
        action="store_true",
        help="exit code 0 though trials failed; grid.json says which",
    )
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--began", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    profile = Profile.load(arguments.profile)
    if arguments.jobs is not None and arguments.jobs < 1:
        raise EffnetError(f"--jobs is {arguments.jobs}: it must be at least 1.")
    if arguments.worker:
        stop_with_parent()
        grid = Grid(profile, arguments.worker, arguments.began, bool(arguments.retry))
        return grid.train(wait=False)
    if arguments.engine == "ray":
        if arguments.jobs:
            raise EffnetError("--jobs is for ENGINE=local: on Ray CPUS_PER_TRIAL says it.")
        from effnet.grid import cluster  # what it takes is an extra

        entries = cluster.train_grid(profile, bool(arguments.retry))
    else:
        if os.environ.get("STORAGE"):
            print("STORAGE is set: ENGINE=local does without it", flush=True)
        entries = train_grid(profile, arguments.jobs, bool(arguments.retry))
    if not arguments.go_on:
        outcome.report(profile, entries)


if __name__ == "__main__":
    command_line(main)
