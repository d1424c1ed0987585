"""A figure or table as files, an image or a CSV beside the JSON of its origin, and on the page."""

import hashlib
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pandas as pd
from PIL import Image

from effnet.files import Damaged, read_sealed
from effnet.paths import relative
from effnet.report.drawing import Drawing, drawing
from effnet.report.notebooks import anchor
from effnet.spreadsheet import as_written

TABLE_ROWS = 40
RUNS_NAMED = 6  # runs that a figure's provenance names before it refers to the table
# What made a figure; the page shows each of these fields.
TEXTS = ["caption", "notebook", "cell", "data_hash", "code_hash", "version", "commit", "device"]
RECORD: dict[str, Any] = dict.fromkeys([*TEXTS, "created"], str) | {
    "seed": int,
    "seconds": (int, float),
    "runs": list,
    "demo": bool,
}


@dataclass
class Item:
    """A figure or table; `drawing`, `rows` and `origin` are empty where it is missing."""

    id: str
    title: str
    notebook: str
    from_data: bool = False  # made from the profile's images or runs, so that a demo shows in it
    claims: list[dict[str, str]] = field(default_factory=list)
    caption: str = ""
    alt: str = ""  # what it shows, for who does not see it
    original: str = ""  # address of the thesis's image
    drawing: Drawing | None = None
    file: str = ""  # relative to the page
    origin: dict[str, Any] = field(default_factory=dict)
    lost: bool = False  # it was made, and nothing of it is whole
    needs: str = ""  # the group without which the profile has not its notebook
    earlier: bool = False  # its notebook failed since, before it came to this figure
    runs: list[dict[str, str]] = field(default_factory=list)
    more_runs: int = 0
    link: str = ""  # executed notebook, at the cell
    columns: list[str] = field(default_factory=list)
    numeric: list[bool] = field(default_factory=list)  # columns of numbers, set to the right
    rows: list[list[str]] = field(default_factory=list)
    more_rows: int = 0

    @property
    def name(self) -> str:
        """What a reader calls it: by the thesis's number, or what it is beyond the thesis."""
        number = re.fullmatch(r"fig(\d\d)", self.id)
        return f"Figure {int(number[1])}" if number else "Table" if self.columns else "Extra"

    @property
    def published(self) -> list[str]:
        """The files of published numbers that it was drawn from."""
        return self.origin.get("published") or []


@dataclass
class Context:
    """What all items of a page share; `damaged` grows: (file, what is the matter with it)."""

    names: dict[str, str]  # of the runs, by id
    notebooks: dict[str, set[str]]  # exported ones, each with the tags of its cells
    failed: dict[str, str]  # notebooks that failed, with the time at which they began
    damaged: list[tuple[str, str]]
    left_out: dict[str, str]  # group that the profile lacks, by the number of its notebook


def fill(item: Item, folder: Path, context: Context) -> None:
    """Image or rows, caption and provenance of an item, from the files that bear its id.

    What is damaged is noted in `context.damaged` and left out; the rest is shown.
    """
    files = [folder / f"{item.id}{suffix}" for suffix in (".png", ".svg", ".csv")]
    files = [path for path in files if path.exists()]
    record = folder / f"{item.id}.json"
    if not files and not record.exists():
        item.needs = context.left_out.get(item.notebook[:2], "")
        return
    item.origin = _record(record, context.damaged)
    _fill_origin(item, context)
    if not files:
        context.damaged.append((relative(record), "its image or table is missing"))
    hashes = item.origin.get("files")
    whole: dict[str, bytes] = {}
    for path in files:
        try:
            content = _whole(path, hashes if isinstance(hashes, dict) else {})
            if path.suffix == ".csv":
                _read_table(item, content)
            whole[path.suffix] = content
        except Damaged as damage:
            context.damaged.append((relative(path), str(damage)))
        except Exception:  # the readers of images and tables have many kinds of their own
            context.damaged.append((relative(path), f"is no whole {path.suffix[1:].upper()} file"))
    item.lost = not whole
    if whole:
        item.file = f"{folder.name}/{item.id}{next(iter(whole))}"
    if whole and ".csv" not in whole:
        alt = item.alt or f"{item.title}. {item.caption}"
        item.drawing = drawing(whole, anchor(item.id), alt)


def _record(path: Path, damaged: list[tuple[str, str]]) -> dict[str, Any]:
    """The record of what made a figure; None in fields that are not what they must be."""
    try:
        record = read_sealed(path)
    except Damaged as damage:
        damaged.append((relative(path), str(damage).removeprefix(f"{relative(path)} ")))
        return dict.fromkeys(RECORD)
    wrong = [name for name, kind in RECORD.items() if not isinstance(record.get(name), kind)]
    if wrong:
        damaged.append((relative(path), f"lacks {', '.join(wrong)}"))
    return record | dict.fromkeys(wrong)


def _fill_origin(item: Item, context: Context) -> None:
    item.caption = item.origin["caption"] or ""
    item.notebook = item.origin["notebook"] or item.notebook
    begun = context.failed.get(item.notebook)
    item.earlier = begun is not None and (item.origin["created"] or "") < begun
    ids = [str(i) for i in item.origin["runs"] or []]
    item.runs = [{"id": i, "name": context.names.get(i, "")} for i in ids[:RUNS_NAMED]]
    item.more_runs = max(0, len(ids) - RUNS_NAMED)
    if item.notebook in context.notebooks:
        cell = item.origin["cell"] or item.id
        place = f"#cell-id={anchor(cell)}" if cell in context.notebooks[item.notebook] else ""
        item.link = f"notebooks/{quote(item.notebook)}.html{place}"


def _whole(path: Path, hashes: dict[str, str]) -> bytes:
    """The bytes of an image or table; raises Damaged, or what its reader raises for half a one."""
    content = path.read_bytes()
    if not content:
        raise Damaged("is empty")
    if path.suffix == ".png":
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.verify()
    elif path.suffix == ".svg":
        assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
    if hashes.get(path.name, (found := hashlib.sha256(content).hexdigest())) != found:
        raise Damaged("is not what its notebook wrote")
    return content


def _read_table(item: Item, content: bytes) -> None:
    table = pd.read_csv(io.BytesIO(content))
    item.columns = [str(as_written(column)).replace("_", " ") for column in table.columns]
    item.numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns]
    item.more_rows = max(0, len(table) - TABLE_ROWS)
    item.rows = [[_cell(v) for v in row] for row in table.head(TABLE_ROWS).to_numpy(object)]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if pd.isna(value) else f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"
    return "–" if value is None else str(as_written(value))
