"""`python -m effnet.weights b0` fetches published checkpoints by name and prints where they lie."""

import argparse
from pathlib import Path

from effnet.errors import command_line
from effnet.paths import DATA, relative
from effnet.weights.published import BASE_URL, NAMES, fetch_weights


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.weights", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--folder", default=DATA / "weights", type=Path)
    parser.add_argument("--base-url", default=BASE_URL, help="of a mirror; ends in a slash")
    options = parser.parse_args(arguments)
    for name in options.names:
        print(relative(fetch_weights(name, options.folder, options.base_url)))


if __name__ == "__main__":
    command_line(main)
