"""`python -m effnet.report reports/demo` rebuilds a profile's page without training.

In a clone, where the records of finished runs are but no executed notebooks, it draws what is made
of runs first (`effnet.report.evidence`).
"""

import argparse

from effnet.errors import command_line
from effnet.paths import relative
from effnet.report.failures import find_failures, say
from effnet.trial import resolve


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m effnet.report", description=__doc__)
    parser.add_argument("reports", nargs="?", default="reports/demo", help="a profile's folder")
    parser.add_argument(
        "--check",
        action="store_true",
        help="build nothing: name what failed, and exit with 1 where a notebook or a run of the "
        "profile's grid is not there",
    )
    options = parser.parse_args(arguments)
    reports = resolve(options.reports)
    if options.check:
        failures = find_failures(reports)
        say(failures, reports)
        return int(not failures.complete)
    from effnet.report.evidence import redraw
    from effnet.report.page import build_report

    redraw(reports)
    page = build_report(reports)
    print(f"wrote {relative(page)}, report.md and claims.csv beside it")
    return 0


if __name__ == "__main__":
    command_line(main)
