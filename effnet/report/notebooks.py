"""Executed notebooks as HTML pages with an anchor at every tagged cell."""

import html
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from effnet.files import write_text
from effnet.paths import relative
from effnet.report.markup import aligned, clean, formulas
from effnet.training.identity import text_hash

FAILED = ".failed.ipynb"  # what is kept of a notebook that failed
TEMPLATES = Path(__file__).parent / "templates"
# Outputs that are scripts, or that need some, are shown as their text.
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg"]
SHOWN.append("text/plain")
# Where the links to the other pages go: no text of a notebook can be a comment of its page.
OTHERS = "<!-- other pages -->"


class Page(NamedTuple):
    """A notebook's page before its neighbours are known: `OTHERS` stands for the links to them."""

    path: Path
    title: str
    text: str
    tags: set[str]


def export_notebooks(reports: Path) -> tuple[dict[str, set[str]], list[tuple[str, str]]]:
    """Write `notebooks/<name>.html` beside each executed notebook of a profile.

    The pages fetch nothing: their styles are inside, and scripts cannot run in them. They link to
    each other, in the notebooks' order, and to the report. A cell with a tag (the id of its figure
    or table) gets the anchor `cell-id=<anchor(tag)>`. Returns the tags by notebook, and the
    notebooks that could not be read, each with the reason. Raises CannotWrite.
    """
    pages: list[Page] = []
    damaged = []
    for path in sorted((reports / "notebooks").glob("*.ipynb")):
        if path.name.endswith(FAILED) or path.name.startswith("."):  # hidden: being executed
            continue
        try:
            pages.append(_page(path))
        except Exception as error:  # whatever is in the file: nbformat and nbconvert have many
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            damaged.append((relative(path), f"is no whole notebook ({reason[:200]})"))
            path.with_suffix(".html").unlink(missing_ok=True)  # of an earlier, whole one
    for page, before, after in zip(pages, [None, *pages], [*pages[1:], None], strict=False):
        text = page.text.replace(OTHERS, _others(before, after))
        write_page(page.path.with_suffix(".html"), text)
    return {page.path.stem: page.tags for page in pages}, damaged


def anchor(tag: str) -> str:
    """A cell's tag as its id: itself where it may be one, else readable and still unique."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tag):
        return tag
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", tag)[:50].strip("-")
    return f"{readable}-{text_hash(repr(tag))[:12]}"


def _others(before: Page | None, after: Page | None) -> str:
    """Links to the report and to the notebooks before and after one, where there are any."""

    def link(page: Page | None, rel: str, words: str) -> str:
        if page is None:
            return "<span></span>"
        address = f"{quote(os.fsencode(page.path.stem))}.html"
        return f'<a rel="{rel}" href="{address}">{words.format(html.escape(page.title))}</a>'

    return (
        f'<nav aria-label="Notebooks">{link(before, "prev", "← {}")}'
        f'<a href="../index.html">Report</a>{link(after, "next", "{} →")}</nav>'
    )


def _page(path: Path) -> Page:
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    tags: set[str] = set()
    for cell in notebook.cells:
        given = cell.metadata.get("tags")
        given = [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []
        cell.metadata["tags"] = given  # the template takes them for text
        named = [tag for tag in given if tag != "injected-parameters"]
        if named and named[0] not in tags:
            cell["id"] = anchor(named[0])
            tags.add(named[0])
    prose = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heads = (re.search(r"^# +(.+)", text, re.MULTILINE) for text in prose)
    title = next((head[1].strip() for head in heads if head), path.stem)
    resources = _look() | {"metadata": {"name": path.stem}, "title": title}
    text, _ = _exporter().from_notebook_node(notebook, resources=resources)
    return Page(path, title, text, tags)


@cache
def _look() -> dict[str, Any]:
    """Colours: the report's, for light and for dark, and those of code."""
    from pygments.formatters import HtmlFormatter

    # What stands there before the first rule.
    report = (TEMPLATES / "report.css").read_text(encoding="utf-8").partition("\n* {")[0]
    styles = {"light": "friendly", "dark": "github-dark"}
    code = {k: HtmlFormatter(style=v).get_style_defs(".highlight") for k, v in styles.items()}
    return {"report_variables": report, "pygments": code}


@cache
def _exporter() -> Any:
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    exporter = HTMLExporter(
        template_name="notebook",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        sanitize_html=True,
        config=Config({"NbConvertBase": {"display_data_priority": SHOWN}}),
    )
    exporter.register_filter("formulas", formulas)
    exporter.register_filter("clean_html", clean)
    exporter.register_filter("aligned", aligned)
    return exporter


def write_page(path: Path, text: str) -> None:
    """Write a page; letters that a file name holds and UTF-8 does not become question marks."""
    write_text(path, text.encode("utf-8", "replace").decode("utf-8"))
