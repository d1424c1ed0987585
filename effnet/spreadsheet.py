"""CSV files that people open, and what a spreadsheet would make of them."""

import csv
import re
from pathlib import Path

import pandas as pd

from effnet.files import atomic_write

# A cell that begins so is run as a formula. The apostrophe before it makes it text again.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")


def write_csv(path: Path | str, table: pd.DataFrame, index: bool = False) -> None:
    """Write a table in which no text is a formula: "=1+1" becomes "'=1+1", "-0.5" stays.

    `as_written` gives the exact text back. Raises CannotWrite.
    """
    table = table.reset_index() if index else table
    names = [_defused(str(name)) for name in table.columns]
    columns = [
        table.iloc[:, i] if pd.api.types.is_numeric_dtype(dtype) else table.iloc[:, i].map(_defused)
        for i, dtype in enumerate(table.dtypes)
    ]
    safe = pd.concat(columns, axis=1) if columns else table
    # Readers take a lone carriage return for the end of a row where it is not in quotes.
    cells = [*names, *(cell for column in columns for cell in column)]
    returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    with atomic_write(path) as temporary:
        safe.to_csv(temporary, index=False, header=names, quoting=quoting)


def _defused(cell: object) -> object:
    formula = isinstance(cell, str) and FORMULA.match(cell) and not NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def as_written(cell: object) -> object:
    """A cell that `write_csv` wrote, as it was before."""
    text = isinstance(cell, str) and cell.startswith("'") and FORMULA.match(cell)
    return cell[1:] if isinstance(cell, str) and text else cell
