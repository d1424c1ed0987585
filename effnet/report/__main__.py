"""`python -m effnet.report reports/demo` rebuilds a profile's page without training."""

import argparse

from effnet.errors import command_line
from effnet.paths import relative
from effnet.report.page import build_report
from effnet.trial import resolve


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.report", description=__doc__)
    parser.add_argument("reports", nargs="?", default="reports/demo", help="a profile's folder")
    page = build_report(resolve(parser.parse_args(arguments).reports))
    print(f"wrote {relative(page)}, report.md and claims.csv beside it")


if __name__ == "__main__":
    command_line(main)
