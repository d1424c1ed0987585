"""`python -m effnet.verdicts reports/demo` prints the verdict on every claim of the thesis."""

import argparse
import shutil
import sys
from contextlib import suppress

import pandas as pd

from effnet.errors import command_line
from effnet.runs import damaged_runs
from effnet.trial import resolve
from effnet.verdicts.claims import judge
from effnet.verdicts.finding import SYMBOLS, VERDICTS
from effnet.verdicts.profile import damaged_profile, data_label, read_profile
from effnet.verdicts.summary import counts, headline


def print_table(table: pd.DataFrame, width: int) -> None:
    """The verdict table for a terminal, two or three lines a claim."""
    for row in table.itertuples():
        print(
            f"{SYMBOLS[row.verdict]} {row.id}  {row.verdict:<17}  {row.basis:<9}  {row.claim}"[
                :width
            ]
        )
        unit = f" {row.unit}" if row.unit else ""
        got = row.got or "nothing"
        print(f"{'':8}thesis {row.expected}{unit}; here {got} ({row.tolerance or '-'})"[:width])
        if row.found:
            print(f"{'':8}{row.found}"[:width])


def print_counts(table: pd.DataFrame, label: str) -> None:
    """What was decided on which basis: the headline, then a line per basis."""
    print()
    for line in headline(table, label):
        print(line)
    print()
    for row in counts(table).to_dict("records"):
        found = ", ".join(f"{row[v]} {v}" for v in VERDICTS if row[v])
        print(f"{row['claims']:4d}  {row['what']}: {found}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.verdicts", description=__doc__)
    parser.add_argument("reports", nargs="?", default="reports/demo", help="a profile's folder")
    parser.add_argument("--verdict", choices=VERDICTS, help="only claims with this verdict")
    parser.add_argument("--data-dir", help="folder of Stanford Cars to count as well")
    options = parser.parse_args(arguments)
    reports = resolve(options.reports)
    table = judge(reports, options.data_dir)
    damage = [damaged_profile(reports), *(f"{file}: {why}" for file, why in damaged_runs(reports))]
    for text in filter(None, damage):
        print(f"damaged, and not counted: {text}", file=sys.stderr)
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 10_000
    with suppress(BrokenPipeError):  # `| head` has read enough
        print_table(table[table["verdict"] == options.verdict] if options.verdict else table, width)
        print_counts(table, data_label(read_profile(reports)))


if __name__ == "__main__":
    command_line(main)
