"""`python -m effnet.grid demo` trains every trial of a profile that is not finished."""

import argparse

from effnet.errors import EffnetError, command_line
from effnet.grid.profiles import Profile
from effnet.grid.train import Grid, stop_with_parent, train_grid


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.grid", description=__doc__)
    parser.add_argument("profile", nargs="?", default="demo")
    parser.add_argument("--jobs", type=int, help="trials at once (default: by the machine)")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    profile = Profile.load(arguments.profile)
    if not profile.jobs:
        raise EffnetError(f"profile {profile.name} has no trials.")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise EffnetError(f"--jobs is {arguments.jobs}: it must be at least 1.")
    if arguments.worker:
        stop_with_parent()
        Grid(profile, arguments.worker).train(wait=False)
    else:
        train_grid(profile, arguments.jobs)


if __name__ == "__main__":
    command_line(main)
