"""Made-up figures and tables in the kit's format, for tests of the page that shows them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from fake_runs import DATA_HASH
from matplotlib.figure import Figure

from effnet.files import write_json
from effnet.report.output import write_figure


def fake_figure(
    reports: Path, figure: str, notebook: str = "03_train_pretrained", demo: bool = True
) -> Path:
    """A small PNG and SVG with the JSON of their origin beside them; returns the PNG."""
    folder = Path(reports) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".svg"):
        (folder / f"{figure}{suffix}").write_bytes(_drawing()[suffix])
    write_json(folder / f"{figure}.json", _origin(figure, notebook, demo))
    return folder / f"{figure}.png"


def fake_table(
    reports: Path,
    table: str,
    rows: pd.DataFrame,
    notebook: str = "03_train_pretrained",
    demo: bool = True,
) -> Path:
    """A CSV table with its JSON; returns the CSV."""
    folder = Path(reports) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / f"{table}.csv", index=False)
    write_json(folder / f"{table}.json", _origin(table, notebook, demo))
    return folder / f"{table}.csv"


@cache
def _drawing() -> dict[str, bytes]:
    """A chart as the kit writes it, by suffix."""
    figure = Figure(figsize=(6, 3), dpi=100)
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 1, 4], label="made up")
    axes.set_title("made up for a test")
    with TemporaryDirectory() as folder:
        return {p.suffix: p.read_bytes() for p in write_figure(figure, Path(folder), "made_up")}


def _origin(name: str, notebook: str, demo: bool) -> dict[str, Any]:
    return {
        "id": name,
        "caption": f"A made-up caption of {name}, as long as a sentence.",
        "notebook": notebook,
        "cell": name,
        "runs": [],
        "data_hash": DATA_HASH,
        "code_hash": "c0" * 32,
        "version": "0.1.0",
        "commit": "0" * 40,
        "seed": 0,
        "device": "cpu",
        "seconds": 1.5,
        "created": "2026-01-02T04:00:00+00:00",
        "demo": demo,
    }
