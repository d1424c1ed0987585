"""`python -m effnet.verdicts reports/demo` prints the verdict on every claim of the thesis."""

import argparse
import shutil
import sys
from contextlib import suppress

import pandas as pd

from effnet.errors import command_line
from effnet.runs import damaged_runs
from effnet.trial import resolve
from effnet.verdicts.claims import damaged_profile, judge, verdict_counts
from effnet.verdicts.finding import SYMBOLS, VERDICTS


def print_table(table: pd.DataFrame, width: int) -> None:
    """The verdict table for a terminal, two or three lines a claim, then the counts."""
    for row in table.itertuples():
        print(f"{SYMBOLS[row.verdict]} {row.id}  {row.verdict:<17}  {row.claim}"[:width])
        unit = f" {row.unit}" if row.unit else ""
        got = row.got or "nothing"
        print(f"{'':8}thesis {row.expected}{unit}; here {got} ({row.tolerance or '-'})"[:width])
        if row.found:
            print(f"{'':8}{row.found}"[:width])
    print()
    for verdict, count in verdict_counts(table).items():
        print(f"{SYMBOLS[verdict]} {count:4d}  {verdict}")
    print(f"  {len(table):4d}  claims")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.verdicts", description=__doc__)
    parser.add_argument("reports", nargs="?", default="reports/demo", help="a profile's folder")
    parser.add_argument("--verdict", choices=VERDICTS, help="only claims with this verdict")
    parser.add_argument("--data-dir", help="folder of Stanford Cars to count as well")
    options = parser.parse_args(arguments)
    reports = resolve(options.reports)
    table = judge(reports, options.data_dir)
    if options.verdict:
        table = table[table["verdict"] == options.verdict]
    damage = [damaged_profile(reports), *(f"{file}: {why}" for file, why in damaged_runs(reports))]
    for text in filter(None, damage):
        print(f"damaged, and not counted: {text}", file=sys.stderr)
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 10_000
    with suppress(BrokenPipeError):  # `| head` has read enough
        print_table(table, width)


if __name__ == "__main__":
    command_line(main)
