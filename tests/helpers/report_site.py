"""A whole report made of made-up runs, and a reader of its pages."""

import base64
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pandas as pd
from fake_results import fake_figure, fake_table
from fake_runs import fake_profile

from effnet import thesis
from effnet.report.page import build_report
from effnet.runs import load_runs

MISSING = {"fig08", "fig12"}
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
        "0000000c49444154789c63f8ffff3f0005fe02fe0def46b80000000049454e44ae426082"
    )
).decode()


def make_site(reports: Path) -> Path:
    """A demo profile with 32 of 34 figures, two further results and an executed notebook."""
    fake_profile(reports, dropout_rates=(0.0, 0.3), weight_decays=(0.01,))
    for row in thesis.figures().itertuples():
        if row.figure not in MISSING:
            fake_figure(reports, row.figure, row.notebook)
    fake_figure(reports, "agreement", "05_prediction_matrix")
    wide = pd.DataFrame({f"column_{i}": [i / 7, "text with spaces"] * 30 for i in range(15)})
    fake_table(reports, "tab_wide", wide, "05_prediction_matrix")
    ids = list(load_runs(reports)["trial_id"])
    origin = reports / "figures" / "fig20.json"
    record = json.loads(origin.read_text()) | {"runs": ids, "caption": "A <b>caption</b> & more"}
    origin.write_text(json.dumps(record))
    write_notebook(reports / "notebooks" / "03_train_pretrained.ipynb", "fig20")
    shutil.copy(
        reports / "notebooks" / "03_train_pretrained.ipynb",
        reports / "notebooks" / "04_train_scratch.failed.ipynb",
    )
    build_report(reports)
    return reports


def write_notebook(path: Path, tag: str) -> None:
    output = nbformat.v4.new_output("display_data", {"image/png": PIXEL})
    cell = nbformat.v4.new_code_cell("session.save(fig)", metadata={"tags": [tag]})
    cell.outputs = [output, nbformat.v4.new_output("stream", text="a line of output " * 30)]
    prose = nbformat.v4.new_markdown_cell("# Title\n\nWith $N$ classes, but `cost $5`:\n\n$$x^2$$")
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[prose, cell]), path)


class Page(HTMLParser):
    """Ids, links, images and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []  # attributes that would run something
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.handlers += [name for name in values if name.startswith("on")]
        if values.get("id"):
            self.ids.append(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        elif values.get("href"):
            self.sources.append(values["href"])
        if values.get("src"):
            self.sources.append(values["src"])


def broken_links(path: Path) -> list[str]:
    page, broken = Page(path), []
    for link in page.links:
        if link.startswith("https://github.com/"):  # the thesis's; no test asks another host
            continue
        target, _, anchor = link.partition("#")
        file = path if not target else (path.parent / unquote(target))
        ids = page.ids if not target else Page(file).ids if file.suffix == ".html" else []
        if not file.is_file() or (anchor and anchor not in ids):
            broken.append(link)
    return broken
