"""CSV files of annotations, read strictly: a damaged one is refused, not guessed at."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from effnet.errors import EffnetError


def read_table(file: Path) -> dict[str, list[str]]:
    """Columns of a CSV (UTF-8, a header line) by name, as text.

    Raises EffnetError unless every row has the header's length and all cells are printable.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            rows = list(_checked(file, csv.reader(opened, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EffnetError(f"{file}: not a readable CSV in UTF-8 ({error}).") from None
    if len(rows) < 2:
        raise EffnetError(f"{file}: holds no rows below a header.")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) < len(header):
        raise EffnetError(f"{file}: a column name stands twice in the header: {header}.")
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(header)}


def read_columns(file: Path, fields: tuple[str, ...]) -> list[np.ndarray]:
    """The named columns of a CSV: one object array of text of shape (N,) each."""
    table = read_table(file)
    missing = [field for field in fields if field not in table]
    if missing:
        raise EffnetError(
            f"{file}: needs the columns {', '.join(fields)}; lacks {', '.join(missing)}."
        )
    return [np.array(table[field], dtype=object) for field in fields]


def header(file: Path) -> set[str]:
    """Column names of a CSV; empty where the file cannot be read."""
    if not file.is_file():
        return set()  # a pipe would wait for its writer
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            return {name.strip() for name in next(csv.reader(opened), [])}
    except (OSError, UnicodeDecodeError, csv.Error):
        return set()


def _checked(file: Path, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    length = 0
    for number, row in enumerate(rows, start=1):
        if not row:
            continue
        length = length or len(row)
        if len(row) != length:
            raise EffnetError(f"{file}: line {number} has {len(row)} fields, the header {length}.")
        if any(not cell.isprintable() for cell in row):
            raise EffnetError(f"{file}: line {number} holds control characters: {row!r:.80}.")
        yield row
